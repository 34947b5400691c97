"""Takes the place of `python -m nnexafs` in the benchmark of scale: no physics, small files at once.

md, freeze, tables: a line of text where the result would be. snapshots: the file of spectra that was prepared for the
state point (`stub_spectra`). Each with a record next to it, as real stages write it. All other stages are real.
"""

import hashlib
import json
import sys
from pathlib import Path

# of one state point each, in the benchmark's campaign
BATCHED = {"md": "trajectory.nc", "snapshots": "spectra.nc"}


def write(path: Path, content: bytes, stage: str) -> None:
    """A result and its record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    record = {
        "stage": stage,
        "result": path.name,
        "status": "done",
        "inputs": {},
        "files": {path.name: hashlib.sha256(content).hexdigest()},
        "attempts": [{"ended": "done", "incidents": []}],
        "details": "." * 2000,
    }
    path.with_name(f"{path.name}.record.json").write_text(json.dumps(record, indent=2) + "\n")


def main(arguments: list[str]) -> None:
    stage, out = arguments[0], Path(arguments[arguments.index("--out") + 1])
    if stage in BATCHED:
        name = out.stem
        content = Path("prepared", f"{name}.nc").read_bytes() if stage == "snapshots" else b"stub\n"
        write(out.parent / name / BATCHED[stage], content, stage)
        about = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        out.write_text(json.dumps({"files": {f"{name}/{BATCHED[stage]}": about}}))
    elif stage == "tables":
        write(out, b"stub\n", stage)
    elif stage == "freeze":
        for name in ("manifest.json", "phase.pad", "xsect.json", "feff.inp"):
            write(out / name, b"stub\n", stage)
    else:
        from nnexafs.cli import main as real

        real()


if __name__ == "__main__":
    main(sys.argv[1:])
