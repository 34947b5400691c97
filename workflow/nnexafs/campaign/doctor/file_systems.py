"""The type of file system that a folder lies on: local to this machine, or shared by many."""

from pathlib import Path

import psutil

# fmt: off
SHARED = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "daos", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs",
    "fuse.quobyte", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "panfs", "pvfs2", "smb3", "smbfs", "virtiofs", "vboxsf", "wekafs",
})
# fmt: on


def file_system(path: Path) -> str:
    """Type of the file system (`ext4`, `nfs4`, ...) of the deepest mount above `path`; `unknown` without one."""
    above = {Path(path).resolve(), *Path(path).resolve().parents}
    best, name = -1, "unknown"
    for mount in psutil.disk_partitions(all=True):
        place = Path(mount.mountpoint)
        # Of several mounts on one folder the last one counts.
        if place in above and len(place.parts) >= best:
            best, name = len(place.parts), mount.fstype
    return name


def is_shared(name: str) -> bool:
    """Whether many machines see the same files on a file system of this type."""
    return name in SHARED
