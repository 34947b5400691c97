"""A real campaign from config to report: LAMMPS, FEFF, training, MLflow, the measured foil."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from campaigns import SMALLEST, Campaign
from checkout import FOILS, run

from nnexafs.campaign.plan import plan
from nnexafs.config import load
from nnexafs.config.state_points import of_all, of_campaign
from nnexafs.files import read_dataset
from nnexafs.structures.distributions import pair_distribution
from nnexafs.structures.neighbours import neighbours_within

pytestmark = pytest.mark.campaign
CONFIG = load(*SMALLEST)
FOIL = FOILS / "Ni_foil_EXAFS_61348_r1.dat"


@pytest.fixture
def results(finished_campaign: Campaign) -> Path:
    return finished_campaign.results


def test_the_first_run_says_what_it_will_do_and_loses_nothing(finished_campaign: Campaign):
    assert re.search(r"campaign smallest: \d+ jobs in all", finished_campaign.printed)
    assert finished_campaign.lost_attempts() == {}
    assert json.loads((finished_campaign.results / "verified.json").read_text())["problems"] == []
    assert (
        "at the first attempt, without a warning" in (finished_campaign.results / "report.html").read_text()
    )


def test_without_a_terminal_a_run_prints_few_plain_lines_and_snakemakes_log_has_the_rest(
    finished_campaign: Campaign,
):
    lines = finished_campaign.printed.splitlines()
    assert len(lines) < 40 and all(line.isprintable() for line in lines)
    assert any(re.fullmatch(r" *\d+%  .*\bdynamics done\b.*left\)", line) for line in lines)
    assert re.fullmatch(r"done in .*: results/smallest/report\.html", lines[-1])
    (log, *_) = sorted((finished_campaign.folder / ".snakemake" / "log").iterdir())
    content = log.read_text()
    assert content.count("\nlocalrule md:") == len(of_all(CONFIG)) and content.count("Finished jobid") > 20


def test_a_second_run_has_nothing_to_do(finished_campaign: Campaign):
    assert "Nothing to be done" in finished_campaign.finish(options=("-n",))


def test_the_planned_disk_use_is_about_right(results: Path):
    """Of what grows with the campaign, which tables, report and the MLflow store of the smallest one exceed."""
    folders = [results / name for name in ("md", "exafs", "dataset", "training", "ensemble", "evaluation")]
    files = [
        path for folder in (*folders, results.parent / "mlflow" / "artifacts") for path in folder.rglob("*")
    ]
    used = sum(path.stat().st_size for path in files if path.is_file())
    assert 0.5 < sum(plan(CONFIG).disk.values()) / used < 2


def test_what_a_new_setting_reruns(finished_campaign: Campaign, tmp_path: Path):
    """A learning rate reruns the training and what follows it, and no trajectory."""
    overlay = tmp_path / "faster.yaml"
    overlay.write_text("training: {learning_rate: 0.002}\n")
    faster = Campaign(finished_campaign.folder, *finished_campaign.overlays, overlay)
    planned = set(re.findall(r"^(\w+)\s+\d+$", faster.finish(options=("-n",)), flags=re.MULTILINE))
    assert planned - {"total", "all"} == {
        "track", "train", "ensemble", "evaluate", "predict", "report", "verify"
    }  # fmt: skip


def test_every_state_point_has_spectra_and_targets_of_the_same_absorbers(results: Path):
    for name in of_campaign(CONFIG):
        spectra = read_dataset(results / "exafs" / name / "spectra.nc", what="spectra")
        assert spectra.attrs["state_point"] == name
        assert (spectra.snapshot_status == 0).all()
        assert np.isfinite(spectra.chi).all() and np.abs(spectra.chi).max() > 0.01
        trajectory = read_dataset(results / "md" / name / "trajectory.nc", what="trajectory")
        for number, step in enumerate(spectra.step.values):
            frame = trajectory.isel(frame=int(np.flatnonzero(trajectory.step.values == step)[0]))
            atoms = Atoms(frame.numbers.values, frame.positions.values, cell=frame.cell.values, pbc=True)
            pairs = neighbours_within(atoms, CONFIG.distributions.r_max_angstrom)
            own = pair_distribution(pairs, spectra.absorber_index.values[number], CONFIG.distributions)
            np.testing.assert_allclose(spectra.pair_distribution.values[number], own, atol=1e-6)


def test_phases_are_measured(results: Path):
    for path in (results / "md").glob("*/trajectory.nc"):
        trajectory = read_dataset(path, what="trajectory")
        assert trajectory.attrs["phase_end"] in {"fcc", "liquid"}
        assert trajectory.attrs["phase_end"] == trajectory.attrs["phase_start"]


def test_no_trajectory_is_on_two_sides(results: Path):
    dataset = read_dataset(results / "dataset" / "dataset.nc", what="dataset")
    sides = pd.DataFrame({"point": dataset.state_point.values, "split": dataset.split.values})
    assert (sides.groupby("point").split.nunique() == 1).all()
    assert set(sides.split) == {-1, 0, 1, 2}


def test_the_network_beats_the_mean(results: Path):
    metrics = json.loads((results / "evaluation" / "metrics.json").read_text())["trajectories"]
    assert metrics["ensemble"]["pair_relative_l2"] < 0.7 * metrics["mean"]["pair_relative_l2"]


def test_the_report_needs_no_network(results: Path):
    page = (results / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:)""", page.replace("xlink:href", "href"))
    assert "@import" not in page and "<script" not in page
    for heading in (
        "Measured spectra",
        "Errors on held-out",
        "Lost or flagged",
        "Run times",
        "What made this",
    ):
        assert heading in page


def test_the_ensemble_predicts_from_another_place(results: Path, tmp_path: Path):
    shutil.copytree(results / "ensemble", tmp_path / "elsewhere")
    done = run("nnexafs", "predict", FOIL, "--ensemble", "elsewhere", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rdf = pd.read_csv(tmp_path / "out" / "rdf.csv")
    assert list(rdf.columns) == ["r_angstrom", "n_mean", "n_std", "n_95"]
    assert np.isfinite(rdf.to_numpy()).all()
    shells = json.loads((tmp_path / "out" / "shells.json").read_text())
    assert shells["R1_angstrom"] == pytest.approx(2.49, abs=0.1)
    assert {
        "R1_angstrom_std",
        "N1",
        "N1_std",
        "sigma2_1_angstrom2",
        "sigma2_1_angstrom2_std",
    } <= shells.keys()
    assert (tmp_path / "out" / "prediction.png").stat().st_size > 10_000


def test_the_registered_model_loads_with_one_call(results: Path, tmp_path: Path):
    code = (
        "import sys, mlflow, numpy as np, pandas as pd\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "k = np.arange(0, 18, 0.05)\n"
        "print(len(model.predict(pd.DataFrame({'k': k, 'chi': 0.1 * np.sin(5 * k) / (1 + k)}))))\n"
    )
    uri = json.loads((results / "evaluation" / "metrics.json").read_text())["model_uri"]
    store = json.loads((results / "training" / "run.json").read_text())["tracking_uri"]
    done = run("python", "-c", code, uri, cwd=tmp_path, MLFLOW_TRACKING_URI=store)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_mlflow_has_the_folds_as_children_of_one_run(results: Path):
    """How many there are is counted where the store was locked (tests/faults): copies of this campaign add theirs."""
    from mlflow import MlflowClient

    ids = json.loads((results / "training" / "run.json").read_text())
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    folds = [results / "training" / f"fold{fold}" / "metrics.json" for fold in range(CONFIG.dataset.folds)]
    children = [client.get_run(json.loads(path.read_text())["run_id"]) for path in folds]
    assert len({child.info.run_id for child in children}) == CONFIG.dataset.folds
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == ids["run_id"]
        assert child.data.tags["dataset_hash"] == ids["dataset_hash"]
        assert len(client.get_metric_history(child.info.run_id, "validation_loss")) > 3
        assert {"network.pt", "learning_curve.png"} <= {
            f.path for f in client.list_artifacts(child.info.run_id)
        }


def test_a_measured_spectrum_is_refined_tracked_and_set_beside_the_networks(results: Path):
    from mlflow import MlflowClient

    numbers = json.loads((results / "refinement" / "ni_foil" / "refinement.json").read_text())
    assert numbers["phase"] == "fcc" and numbers["R1_angstrom"] == pytest.approx(2.49, abs=0.05)
    ids = json.loads((results / "training" / "run.json").read_text())
    record = json.loads((results / "refinement" / "ni_foil.record.json").read_text())
    child = MlflowClient(ids["tracking_uri"]).get_run(record["details"]["run_id"])
    assert child.data.tags["mlflow.parentRunId"] == ids["run_id"]
    for page in ("report.html", "inversion/ni_foil/prediction.html"):
        text = (results / page).read_text()
        assert "refinement (fcc)" in text and "crystallography" in text


def test_where_a_prediction_comes_from(results: Path):
    """From the end of the flow back to seeds, potentials and measured files."""
    file = results / "inversion" / "ni_foil" / "rdf.csv"
    told = run("nnexafs", "provenance", file)
    for text in (
        "6 x md",
        "6 x snapshots",
        "3 x train",
        "library.meam",
        "Feff8L",
        "20250722",
        "seeds",
        "as written",
    ):
        assert text in told.stdout
    whole = run("nnexafs", "provenance", file, "--json")
    assert any(name.endswith(FOIL.name) for name in json.loads(whole.stdout)["outside"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["predict", "missing.dat", "--ensemble", "{ensemble}"], "missing.dat"),
        (["predict", "{foil}", "--ensemble", "nowhere"], "nowhere: not an ensemble folder"),
        (["predict", "{foil}", "--ensemble", "{ensemble}", "--k-range", "3", "8"], "measure further"),
        (["predict", "{foil}", "--ensemble", "{ensemble}", "--s02", "7"], "s02"),
        (["predict", "{empty}", "--ensemble", "{ensemble}"], "empty"),
        (["report", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_and_write_nothing(
    results: Path, tmp_path: Path, command: list[str], message: str
):
    """But for the record of what was found out at work."""
    empty = tmp_path / "empty.dat"
    empty.touch()
    places = {"ensemble": results / "ensemble", "foil": FOIL, "empty": empty}
    words = [word.format(**places) for word in command]
    done = run("nnexafs", *words, "--out", "made", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and message in done.stderr, done.stderr
    late = ["made.record.json"] if "--k-range" in command else []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.dat", *late]
