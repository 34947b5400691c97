"""Completeness: which results a campaign must have, whether they are there, unchanged, and made from each other."""

import json
from pathlib import Path

from nnexafs.campaign.verification.findings import Findings
from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import of_all
from nnexafs.jobs import record, settings


def expected(config: CampaignConfig, folder: Path) -> dict[Path, tuple[str, str | None]]:
    """Every result of a finished campaign (file or folder): its stage, and the leaf of the config it depends on."""
    folder = Path(folder)
    results: dict[Path, tuple[str, str | None]] = {
        folder / "scattering": ("freeze", settings.scattering(config)),
        folder / "dataset" / "dataset.nc": ("dataset", settings.dataset(config)),
        folder / "training" / "run.json": ("track", None),
        folder / "ensemble": ("ensemble", None),
        folder / "evaluation": ("evaluate", None),
        folder / "report.html": ("report", settings.report(config)),
    }
    if config.exafs.engine == "nbody":
        results[folder / "scattering" / "tables.nc"] = ("tables", settings.tables(config))
    for name, point in of_all(config).items():
        results[folder / "md" / name / "trajectory.nc"] = ("md", settings.dynamics(config, point))
        results[folder / "exafs" / name / "spectra.nc"] = ("snapshots", settings.exafs(config, name))
    for fold in range(config.dataset.folds):
        results[folder / "training" / f"fold{fold}"] = ("train", settings.training(config, fold))
    for name in config.measurements:
        results[folder / "spectra" / name / "chi.nc"] = ("spectrum", settings.measurement(config, name))
        results[folder / "spectra" / name / "fit.json"] = ("fit", None)
        results[folder / "inversion" / name] = ("predict", None)
    for name in config.series:
        results[folder / "series" / name] = ("series", settings.series(config, name))
    for name in config.studies:
        results[folder / "studies" / name / "metrics.json"] = ("study", settings.study(config, name))
    return results


def check_results(config: CampaignConfig, folder: Path, findings: Findings) -> None:
    """Every expected result has a finished record, its checksums, the config's settings, and today's inputs."""
    records: dict[Path, dict] = {}
    for result, (stage, leaf) in expected(config, folder).items():
        path = record.path_of(result)
        if not findings.expect(
            path.is_file(), f"{result}: missing ({stage} was not run, or its record is gone)"
        ):
            continue
        content = records[path] = record.read(path)
        findings.count("results")
        done = content["status"] == record.DONE
        findings.expect(done, f"{result}: its job ({stage}) is {content['status']}, not done")
        settings_fit = leaf is None or content["settings"] == json.loads(leaf)
        findings.expect(settings_fit, f"{result}: made with other settings than config.yaml has")
        findings.expect(content["files"] or not done, f"{result}: {stage} wrote no file")
        _check_checksums(path, content, findings)
    _check_inputs(records, findings)


def _check_checksums(path: Path, content: dict, findings: Findings) -> None:
    for name, checksum in content["files"].items():
        file = path.parent / name
        findings.count("files")
        inside = file.resolve().is_relative_to(path.parent.resolve())
        if not findings.expect(inside, f"{path}: names {name}, outside its folder"):
            continue
        if not findings.expect(file.is_file(), f"{file}: missing"):
            continue
        if not findings.expect(record.sha256(file) == checksum, f"{file}: changed since it was written"):
            findings.damaged.append(file)


def _check_inputs(records: dict[Path, dict], findings: Findings) -> None:
    """What a result was made from is what lies there."""
    made = {
        (path.parent / name).resolve(): checksum
        for path, content in records.items()
        for name, checksum in content["files"].items()
    }
    for path, content in records.items():
        for name, checksum in content["inputs"].items():
            present = made.get((path.parent / name).resolve(), checksum)
            findings.expect(
                present == checksum,
                f"{path.parent / content['result']}: made from another {name} than the one that is there",
            )
