"""Completeness: which results a campaign must have, whether they are there, unchanged, and made from each other."""

from pathlib import Path

from nnexafs.campaign.verification.findings import Findings
from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import control_absorbers, of_all, of_campaign
from nnexafs.jobs import record
from nnexafs.jobs.stages import settings_of


def expected(config: CampaignConfig, folder: Path) -> dict[Path, tuple[str, dict]]:
    """Every result of a finished campaign (file or folder): its stage, and which job of it (see `jobs.stages`)."""
    results: dict[str, tuple[str, dict]] = {
        "scattering": ("freeze", {}),
        "dataset/dataset.nc": ("dataset", {}),
        "training/run.json": ("track", {}),
        "ensemble": ("ensemble", {}),
        "evaluation": ("evaluate", {}),
        "report.html": ("report", {}),
    }
    if config.exafs.engine == "nbody":
        results["scattering/tables.nc"] = ("tables", {})
    for name, point in of_all(config).items():
        results[f"md/{name}/trajectory.nc"] = ("md", {"point": point})
        results[f"exafs/{name}/spectra.nc"] = (
            "snapshots",
            {"state_point": name, "controls": control_absorbers(config, point)},
        )
    for name in of_campaign(config) if config.variants_per_trajectory else ():
        results[f"variants/{name}/samples.nc"] = ("variants", {"state_point": name})
    for part in config.objective_parts:
        results[f"objective/part{part}.nc"] = ("objective", {"part": part})
    for fold in range(config.dataset.folds):
        results[f"training/fold{fold}"] = ("train", {"fold": fold})
    for name in config.measurements:
        results[f"spectra/{name}/chi.nc"] = ("spectrum", {"measurement": name})
        results[f"spectra/{name}/fit.json"] = ("fit", {"measurement": name})
        results[f"inversion/{name}"] = ("predict", {"measurement": name})
    for name in config.refined:
        results[f"refinement/{name}"] = ("refine", {"measurement": name})
    for name in config.theories:
        results[f"theories/{name}/scattering"] = ("freeze", {"theory": name})
        if config.exafs.engine == "nbody":
            results[f"theories/{name}/scattering/tables.nc"] = ("tables", {"theory": name})
        results[f"theories/{name}/spectra.nc"] = ("theory", {"theory": name})
    for name in config.series:
        results[f"series/{name}"] = ("series", {"series": name})
    for name in config.studies:
        results[f"studies/{name}/metrics.json"] = ("study", {"study": name})
    return {Path(folder, result): job for result, job in results.items()}


def check_results(config: CampaignConfig, folder: Path, findings: Findings) -> None:
    """Every expected result has a finished record, its checksums, the config's settings, and today's inputs."""
    records: dict[Path, dict] = {}
    for result, (stage, which) in expected(config, folder).items():
        path = record.path_of(result)
        if not findings.expect(
            path.is_file(), f"{result}: missing ({stage} was not run, or its record is gone)"
        ):
            continue
        content = records[path] = record.read(path)
        findings.count("results")
        done = content["status"] == record.DONE
        findings.expect(done, f"{result}: its job ({stage}) is {content['status']}, not done")
        same = content["settings"] == settings_of(stage, config, **which)
        findings.expect(same, f"{result}: made with other settings than config.yaml has")
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
    """What a result was made from is what is there: other results, measured files, files of potentials."""
    made = {
        (path.parent / name).resolve(): checksum
        for path, content in records.items()
        for name, checksum in content["files"].items()
    }
    for path, content in records.items():
        for name, checksum in content["inputs"].items():
            file = (path.parent / name).resolve()
            if file not in made and file.is_file():
                made[file] = record.sha256(file)
            findings.expect(
                made.get(file, checksum) == checksum,
                f"{path.parent / content['result']}: made from another {name} than the one that is there",
            )
