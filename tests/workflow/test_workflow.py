"""The workflow: style, environments, dry runs of every shipped config, and what makes a job run again."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from checkout import CAMPAIGNS, CHECKOUT, prepared, run
from packaging.requirements import Requirement

from nnexafs.campaign import plan
from nnexafs.config import load
from nnexafs.config.potential_files import resolve
from nnexafs.jobs import record

OVERLAYS = sorted(CAMPAIGNS.glob("*.yaml"))


def dry_run(folder: Path, *options: str) -> str:
    done = run("snakemake", "-n", "--directory", str(folder), *options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def job_counts(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(tmp_path)


def test_lint_is_clean():
    done = run("snakemake", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_format_is_clean():
    done = run("snakefmt", "--check", "Snakefile", "workflow/rules")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overlay", [None, *OVERLAYS], ids=lambda path: path.stem if path else "default")
def test_every_config_plans_its_jobs(folder: Path, overlay: Path | None):
    config = load(*([overlay] if overlay else []))
    counts = job_counts(dry_run(folder, *(["--configfile", str(overlay)] if overlay else [])))
    planned = plan.plan(config).jobs
    assert counts["md"] == counts["snapshots"] == planned["md"]
    assert counts["train"] == config.dataset.folds
    assert counts["total"] == sum(planned.values())


def test_structures_without_dynamics_are_jobs_that_the_verification_waits_for(folder: Path):
    overlay = folder / "objective.yaml"
    overlay.write_text("objective: {structures: 310, structures_per_job: 150}\n")
    counts = job_counts(dry_run(folder, "--configfile", str(overlay)))
    assert counts["objective"] == 3
    assert counts["total"] == sum(plan.plan(load(overlay)).jobs.values())


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_a_run_shows_its_progress_in_one_line_and_its_log_keeps_everything(profile: str):
    settings = yaml.safe_load((CHECKOUT / "profiles" / profile / "config.yaml").read_text())
    assert settings["logger"] == ["nnexafs"]
    assert "quiet" not in settings  # it would hold for Snakemake's log as well


def test_the_slurm_profile_plans_the_same_jobs(folder: Path):
    counts = job_counts(dry_run(folder, "--workflow-profile", str(CHECKOUT / "profiles" / "slurm")))
    assert counts["total"] == sum(plan.plan(load()).jobs.values())


@pytest.mark.parametrize("stage", ["md", "exafs"])
def test_a_target_of_no_batch_is_one_line_that_names_those_like_it(folder: Path, stage: str):
    done = run("snakemake", "-n", "--directory", str(folder), f"results/nickel/{stage}/fcc_T0301.json")
    assert done.returncode == 1
    shown = done.stdout + done.stderr
    said = [line for line in shown.splitlines() if "fcc_T0301" in line]
    assert len(said) == 1
    assert f"results/nickel/{stage}/fcc_T0301.json: no batch 'fcc_T0301' in this campaign" in said[0]
    assert "fcc_T0300" in said[0] and "config" in said[0]
    assert "KeyError" not in shown and "Traceback" not in shown


OWN_POTENTIAL = """
phases:
  fcc: {potential: own, temperatures_kelvin: [300], lattice_scales: [1.0], cells: [2, 2, 2]}
  hcp: null
  bcc: null
  liquid: null
potentials: {own: {style: eam, file: Ni_own.eam}}
dynamics: {equilibration_ps: 0.01, production_ps: 0.02, snapshots: 2}
exafs: {snapshots: 2}
measurements: {ni_foil: null}
"""


def test_another_content_of_a_potentials_file_reruns_the_dynamics_and_another_time_does_not(folder: Path):
    overlay, file = folder / "own.yaml", folder / "Ni_own.eam"
    overlay.write_text(OWN_POTENTIAL)
    file.write_bytes(resolve("Ni_u3.eam").read_bytes())
    made = folder / "results/nickel/md/fcc_T0300_x1.0000_r0/trajectory.nc"
    options = ("--configfile", str(overlay), "--", "results/nickel/md/fcc_T0300.json")
    done = run("snakemake", "--cores", "1", "--directory", str(folder), *options)
    assert done.returncode == 0, done.stderr[-3000:]
    inputs = record.read(record.path_of(made))["inputs"]
    assert inputs == {"../../../../Ni_own.eam": record.sha256(file)}
    file.touch()
    assert "Nothing to be done" in dry_run(folder, *options)
    file.write_text(file.read_text().replace("3.5200", "3.5201"))
    again = dry_run(folder, *options)
    assert job_counts(again)["md"] == 1 and "params have changed" in again.lower()
    file.unlink()
    gone = run("snakemake", "-n", "--directory", str(folder), *options)
    assert gone.returncode != 0 and "potentials: no file 'Ni_own.eam'" in gone.stdout + gone.stderr
    assert "Traceback" not in gone.stdout + gone.stderr


def test_a_mistake_in_the_config_is_one_line(folder: Path):
    overlay = folder / "bad.yaml"
    overlay.write_text("exafs: {engine: magic}\n")
    done = run("snakemake", "-n", "--directory", str(folder), "--configfile", str(overlay))
    assert done.returncode != 0
    assert "exafs.engine: Input should be 'nbody' or 'feff'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_every_rule_names_log_benchmark_conda_and_science():
    for path in (CHECKOUT / "workflow" / "rules").glob("*.smk"):
        for body in re.split(r"^rule \w+:$", path.read_text(), flags=re.MULTILINE)[1:]:
            assert body.strip().startswith('"""'), path
            assert all(word in body for word in ("log:", "benchmark:", "conda:")), path


def test_the_constraints_pin_what_the_project_asks_for():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    lines = (CHECKOUT / "envs" / "constraints.txt").read_text().split()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines)
    extras = project["optional-dependencies"].values()
    for requirement in map(
        Requirement, project["dependencies"] + [text for extra in extras for text in extra]
    ):
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")]), requirement


def test_no_file_names_a_registry():
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True).stdout.split(
        "\n"
    )
    address = re.compile(r"https?://[\w./-]*(pypi|simple|npmjs|debian\.org|anaconda)", re.IGNORECASE)
    files = [name for name in listed if (CHECKOUT / name).is_file()]  # a link to a folder is none
    for name in files:
        text = (CHECKOUT / name).read_bytes().decode("utf-8", errors="replace")
        assert not address.search(text) or name.startswith("tests/"), name


GRID = """
phases:
  fcc: {temperatures_kelvin: [300], lattice_scales: [0.99, 1.0], potential: eam, cells: [2, 2, 2]}
  hcp: null
  bcc: null
  liquid: null
dynamics: {equilibration_ps: 0.01, production_ps: 0.02, snapshots: 2}
exafs: {snapshots: 2}
measurements: {ni_foil: null}
"""


def test_what_is_added_to_the_grid_redoes_no_trajectory(folder: Path):
    """A new temperature makes a batch; a new lattice scale or a lost file repeats one, which keeps what is there."""
    overlay, results = folder / "grid.yaml", folder / "results/nickel/md"

    def simulated(text: str, *batches: str) -> tuple[int, dict[str, int]]:
        """How many batches ran, and when each trajectory was written."""
        overlay.write_text(text)
        targets = [f"results/nickel/md/{batch}.json" for batch in batches]
        done = run(
            "snakemake",
            "--cores",
            "1",
            "--logger-nnexafs-full",
            "--directory",
            str(folder),
            "--configfile",
            str(overlay),
            "--",
            *targets,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        count = job_counts(done.stdout + done.stderr).get("md", 0)
        return count, {path.parent.name: path.stat().st_ino for path in results.glob("*/trajectory.nc")}

    count, first = simulated(GRID, "fcc_T0300")
    assert count == 1 and len(first) == 2
    count, warmer = simulated(GRID.replace("[300]", "[300, 400]"), "fcc_T0300", "fcc_T0400")
    assert count == 1 and len(warmer) == 4 and first.items() <= warmer.items()
    count, wider = simulated(GRID.replace("[0.99, 1.0]", "[0.99, 1.0, 1.01]"), "fcc_T0300")
    assert count == 1 and len(wider) == 5 and warmer.items() <= wider.items()
    (results / "fcc_T0300_x1.0000_r0" / "trajectory.nc").unlink()
    count, again = simulated(GRID.replace("[0.99, 1.0]", "[0.99, 1.0, 1.01]"), "fcc_T0300")
    kept = {name: inode for name, inode in wider.items() if name != "fcc_T0300_x1.0000_r0"}
    assert count == 1 and len(again) == 5 and kept.items() <= again.items()


@pytest.mark.parametrize(
    ("settings", "some"),
    [("{}", True), ("variants: {per_trajectory: 0}", False), ("exafs: {engine: feff}", False)],
    ids=["default", "none asked for", "engine feff"],
)
def test_variants_are_made_of_every_batch_of_the_dataset_or_of_none(folder: Path, settings: str, some: bool):
    """None of a series, which is in no dataset."""
    overlay = folder / "overlay.yaml"
    series = "series: {heating: {phases: {fcc: {temperatures_kelvin: [450], lattice_scales: [1.0]}}}}"
    overlay.write_text(f"{settings}\n" if settings != "{}" else "")
    overlay.write_text(overlay.read_text() + series + "\n")
    counts = job_counts(dry_run(folder, "--configfile", str(CAMPAIGNS / "small.yaml"), str(overlay)))
    planned = plan.plan(load(CAMPAIGNS / "small.yaml", overlay)).jobs
    assert counts["total"] == sum(planned.values())
    assert counts.get("variants", 0) == planned["variants"] == (counts["md"] - 1 if some else 0)
