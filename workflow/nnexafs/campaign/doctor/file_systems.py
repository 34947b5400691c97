"""On which kind of file system a folder lies: of this machine, or shared by many."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# fmt: off
SHARED = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "daos", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs",
    "fuse.quobyte", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "panfs", "pvfs2", "smb3", "smbfs", "virtiofs", "vboxsf", "wekafs",
})
# fmt: on


def file_system(path: Path, *, mounts: Path = MOUNTS) -> str:
    """Type of the file system (`ext4`, `nfs4`, ...) of the deepest mount above `path`; `unknown` without /proc."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    above = {Path(path).resolve(), *Path(path).resolve().parents}
    best, name = -1, "unknown"
    for line in lines:
        fields, _, after = line.partition(" - ")
        mount = Path(_unescaped(fields.split()[4]))
        # Of several mounts on one place the last is seen.
        if mount in above and len(mount.parts) >= best:
            best, name = len(mount.parts), after.split()[0]
    return name


def is_shared(name: str) -> bool:
    """Whether many machines see the same files on a file system of this type."""
    return name in SHARED


def _unescaped(text: str) -> str:
    """mountinfo writes blanks and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
