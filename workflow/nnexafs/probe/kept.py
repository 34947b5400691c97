"""What making phases and tables took, kept beside them for the next time."""

from pathlib import Path
from typing import TYPE_CHECKING

from nnexafs import files
from nnexafs.errors import UserError
from nnexafs.probe.costs import Stage

if TYPE_CHECKING:
    from nnexafs.probe.campaign import Probe

KEPT_FILE = "probe.json"


def made_or_kept(probe: "Probe", name: str, answer: dict, folder: Path, *, cores: int) -> Stage:
    """The stage `freeze` or `tables`: as just made, or as kept from when it was; otherwise its time is not known."""
    kept = _kept(folder)
    if answer["made"]:
        kept[name] = {key: answer[key] for key in ("cpu_seconds", "peak_bytes")}
        files.write_json(folder / KEPT_FILE, kept)
        note = f"made now, kept in {folder}"
    elif name in kept:
        note = f"read from {folder}; its time was measured when it was made"
    else:
        return probe.stage(
            name,
            None,
            None,
            disk_bytes=answer["disk_bytes"],
            note=f"read from {folder}, where nothing says how long it took",
        )
    seconds, memory = kept[name]["cpu_seconds"], kept[name]["peak_bytes"]
    return probe.stage(
        name, [seconds], memory, longest_seconds=seconds / cores, disk_bytes=answer["disk_bytes"], note=note
    )


def _kept(folder: Path) -> dict:
    try:
        return files.read_json(folder / KEPT_FILE, what="costs")
    except UserError:
        return {}
