"""The command refine on a small campaign and on a user's structures: what it starts from, and what it refuses."""

import json
import re
import shutil
from pathlib import Path

import ase.io
import pandas as pd
import pytest
from ase.build import bulk
from click.testing import CliRunner
from fakes.nickel import SETTINGS
from fakes.refinable import frames, write_campaign, write_prediction, write_spectrum
from processes import forked

from nnexafs.cli import main
from nnexafs.config import Tracking
from nnexafs.exafs.cache import folder_of
from nnexafs.structures.reading import frames_of


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, nickel_tables: Path) -> Path:
    """A campaign, the spectrum of fcc nickel that is 1 % wider, and structures to start from."""
    folder = tmp_path_factory.mktemp("refine")
    write_campaign(folder / "campaign", nickel_tables)
    write_spectrum(folder / "ni.chi", frames(scale=1.01, sigma=0.07, seed=9), nickel_tables)
    write_spectrum(folder / "short.chi", frames(), nickel_tables, k_max=8.0)
    ase.io.write(folder / "ni.cif", bulk("Ni", a=3.52))
    ase.io.write(folder / "frames.extxyz", frames(scale=1.01, sigma=0.07, seed=3))
    ase.io.write(folder / "nial.cif", bulk("NiAl", "cesiumchloride", a=2.88).repeat(2))
    write_prediction(folder / "prediction", frames(scale=1.01, sigma=0.09, seed=5), R1_angstrom=2.52)
    return folder


def refined(place: Path, out: Path, *options: str, spectrum: str = "ni.chi") -> str:
    """What the command prints; it must succeed."""
    done = CliRunner().invoke(
        main, ["refine", str(place / spectrum), *given(place, options), "--threads", "1", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    return done.output


def given(place: Path, options: tuple[str, ...]) -> list[str]:
    """Options with the names of files and folders of `place` as paths."""
    return [str(place / one) if (place / one).exists() else one for one in options]


def numbers(out: Path) -> dict:
    return json.loads((out / "refinement.json").read_text())


def test_a_campaigns_phases_are_compared_and_s02_kept(place: Path, tmp_path: Path):
    printed = refined(place, tmp_path / "out", "--campaign", "campaign", "--replicas", "2", "--s02", "0.95")
    found = numbers(tmp_path / "out")
    assert [one["phase"] for one in found["candidates"]] == ["fcc", "bcc"]
    assert found["s02"] == 0.95
    assert found["R1_angstrom"] == pytest.approx(2.52, abs=0.02)
    assert "fcc: " in printed and not (tmp_path / "out.restart").exists()
    first = found["shells"][0]
    assert first["N"] == 12 and "shell 1: N 12.00, R 2.5" in printed
    assert first["R_angstrom"] == pytest.approx(found["R1_angstrom"], abs=3e-3)
    assert first["sigma2_angstrom2"] == pytest.approx(found["sigma2_1_angstrom2"], abs=3e-4)
    assert first["R_angstrom_error68"] == pytest.approx(found["R1_angstrom_error68"], rel=0.1)
    assert first["sigma2_angstrom2_error68"] == pytest.approx(found["sigma2_1_angstrom2_error68"], rel=0.2)
    assert first["R_angstrom_error95"] == pytest.approx(2 * first["R_angstrom_error68"])
    assert pd.read_csv(tmp_path / "out" / "shells.csv")["N"].tolist() == [one["N"] for one in found["shells"]]


def test_a_prediction_chooses_the_run_to_begin_with(place: Path, tmp_path: Path):
    refined(place, tmp_path / "out", "--campaign", "campaign", "--from", "prediction", "--replicas", "2")
    assert numbers(tmp_path / "out")["candidates"][0]["prior"] == "fcc_T0600_x1.0000_r0"


def test_a_crystal_runs_with_each_potential(place: Path, tmp_path: Path):
    options = ("--structure", "ni.cif", "--potential", "Ni_u3.eam", "--potential", "sutton-chen")
    small = ("--atoms", "32", "--replicas", "2", "--calls", "4")
    printed = refined(place, tmp_path / "out", "--campaign", "campaign", *options, *small)
    assert re.search(r"lattice: 1\.0\d+ times that of the structure", printed)
    found = numbers(tmp_path / "out")
    assert {one["prior"] for one in found["answers"]} == {"ni.cif, Ni_u3.eam", "ni.cif, sutton-chen"}
    assert found["N1"] == pytest.approx(12, abs=0.5)
    assert len(ase.io.read(tmp_path / "out" / "structure.extxyz", ":")) == 2


def test_without_a_campaign_tables_are_made_or_taken_from_the_cache(
    place: Path, tmp_path: Path, nickel_tables: Path
):
    crystal = tmp_path / "cubic.extxyz"
    ase.io.write(crystal, bulk("Ni", a=3.52, cubic=True))
    cache = folder_of(frames_of(crystal)[0], "Ni", "K", SETTINGS, tmp_path / "cache")
    shutil.copytree(nickel_tables, cache)
    options = ("--structure", str(crystal), "--potential", "Ni_u3.eam", "--atoms", "32", "--replicas", "1")
    theory = ("--path-length", "4", "--no-scf", "--cache", str(tmp_path / "cache"), "--calls", "2")
    assert "warning: one cell" in refined(place, tmp_path / "out", *options, *theory)
    assert numbers(tmp_path / "out")["N1"] == pytest.approx(12, abs=0.5)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cache.name]


def test_frames_are_simulations_already(place: Path, tmp_path: Path):
    refined(place, tmp_path / "out", "--campaign", "campaign", "--structure", "frames.extxyz", "--calls", "4")
    found = numbers(tmp_path / "out")
    assert found["candidates"][0]["prior"] == "frames.extxyz" and found["candidates"][0]["r_factor"] < 0.05
    assert found["shells"][0]["N"] == 12


MISTAKES = {
    "nothing to start from": ((), "give --campaign or --structure"),
    "potential without structure": (("--campaign", "campaign", "--potential", "eam"), "give one"),
    "phase of a structure": (("--structure", "ni.cif", "--phase", "fcc"), "leave out --structure"),
    "no campaign": (("--campaign", "nowhere"), "nowhere"),
    "no structure": (("--structure", "nowhere.cif"), "no such trajectory file"),
    "no prediction": (("--campaign", "campaign", "--from", "nowhere"), "no such prediction"),
    "unknown phase": (("--campaign", "campaign", "--phase", "hcp"), "the campaign has fcc, bcc"),
    "unknown potential": (("--structure", "ni.cif", "--potential", "gold.txt"), "or STYLE:FILE"),
    "missing potential": (("--structure", "ni.cif", "--potential", "gold.eam"), "no file 'gold.eam'"),
    "one structure": (("--campaign", "campaign", "--structure", "ni.cif"), "name a --potential"),
    "too many replicas": (
        ("--campaign", "campaign", "--structure", "frames.extxyz", "--replicas", "9"),
        "4 frames, 9 are asked for",
    ),
    "small cell": (
        ("--campaign", "campaign", "--structure", "ni.cif", "--potential", "Ni_u3.eam", "--atoms", "8"),
        "cannot hold paths of 4",
    ),
    "missing species": (
        ("--campaign", "campaign", "--structure", "nial.cif", "--replicas", "1"),
        "the amplitude tables are for Ni-Ni",
    ),
    "other absorber": (("--structure", "nial.cif", "--element", "Cu", "--replicas", "1"), "no atom of Cu"),
    "several elements": (
        ("--structure", "nial.cif", "--element", "Ni", "--potential", "Ni_u3.eam"),
        "dynamics here are of one element, the structure has Al, Ni",
    ),
    "short paths": (("--structure", "frames.extxyz", "--path-length", "3"), "too short for atoms"),
    "hot": (
        *(("--campaign", "campaign", "--structure", "ni.cif", "--potential", "Ni_u3.eam", "--kelvin", "5000"),),
        "lost its structure",
    ),
    "other campaign's absorber": (("--campaign", "campaign", "--element", "Cu"), "of Cu K"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_leaves_the_result_of_before(
    place: Path, tmp_path: Path, options: tuple[str, ...], words: str
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "refinement.json").write_text("before")
    arguments = ["refine", str(place / "ni.chi"), *given(place, options), "--out", str(out)]
    done = CliRunner().invoke(main, arguments)
    errors = [line for line in done.output.splitlines() if "error: " in line]
    assert done.exit_code == 2 and len(errors) == 1 and words in errors[0], done.output
    assert (out / "refinement.json").read_text() == "before"
    assert [path.name for path in out.iterdir()] == ["refinement.json"]


def test_too_short_a_spectrum_is_one_line(place: Path, tmp_path: Path):
    options = ["--campaign", str(place / "campaign"), "--out", str(tmp_path / "out")]
    for spectrum in (["short.chi"], ["ni.chi", "--k-range", "2", "8"]):
        done = CliRunner().invoke(main, ["refine", str(place / spectrum[0]), *spectrum[1:], *options])
        assert done.exit_code == 2 and "need at least" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:.*type hint.*:UserWarning")
def test_a_tracked_refinement_is_a_run_of_mlflow(place: Path, tmp_path: Path):
    from mlflow import MlflowClient

    from nnexafs.learning.tracking.runs import start_campaign_run

    ids = start_campaign_run(Tracking(), campaign="tiny", results=tmp_path, config={}, dataset_hash="abc")
    (tmp_path / "run.json").write_text(json.dumps(ids))
    options = ("--phase", "fcc", "--replicas", "1", "--calls", "2", "--run", str(tmp_path / "run.json"))
    refined(place, tmp_path / "out", "--campaign", "campaign", *options)
    run_id = json.loads((tmp_path / "out.record.json").read_text())["details"]["run_id"]
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    run, found = client.get_run(run_id), numbers(tmp_path / "out")
    assert run.data.tags["mlflow.parentRunId"] == ids["run_id"]
    assert run.data.params["calls"] == "2" and run.data.params["start.phases"] == "['fcc']"
    for name in ("R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_shift_ev", "s02", "r_factor"):
        assert run.data.metrics[name] == pytest.approx(found[name])
    assert "structure.extxyz" in {item.path for item in client.list_artifacts(run_id)}
    lost = ids | {"tracking_uri": f"sqlite:///{tmp_path / 'gone.db'}"}
    (tmp_path / "run.json").write_text(json.dumps(lost))
    arguments = ["--campaign", str(place / "campaign"), "--run", str(tmp_path / "run.json")]
    done = CliRunner().invoke(
        main, ["refine", str(place / "ni.chi"), *arguments, "--out", str(tmp_path / "no")]
    )
    assert done.exit_code == 2 and "gone.db of this campaign's run is gone" in done.output
    assert not list(tmp_path.glob("no*"))


def run(folder: str, out: str) -> None:
    """What is killed."""
    main(command(Path(folder), Path(out)), standalone_mode=False)


def stop_with(place: Path, out: Path, *, spectra: int) -> None:
    """Kill a refinement when it has kept so many spectra."""
    with forked(run, str(place), str(out)) as process:
        while process.is_alive() and len(list(out.with_name(f"{out.name}.restart").glob("*.npz"))) < spectra:
            process.join(0.01)
        assert process.is_alive()


def command(place: Path, out: Path, *more: str) -> list[str]:
    return [
        *("refine", str(place / "ni.chi"), "--campaign", str(place / "campaign"), "--threads", "1"),
        *("--phase", "fcc", "--calls", "8", "--replicas", "4", "--out", str(out), *more),
    ]


def test_a_killed_refinement_goes_on_and_ends_as_if_nothing_had_happened(place: Path, tmp_path: Path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert CliRunner().invoke(main, command(place, undisturbed)).exit_code == 0
    stop_with(place, killed, spectra=25)
    assert not killed.exists()
    done = CliRunner().invoke(main, command(place, killed))
    assert done.exit_code == 0 and "resumed" in done.output, done.output
    assert numbers(killed) == numbers(undisturbed)
    paths = [pd.read_csv(out / "path.csv").drop(columns="seconds") for out in (killed, undisturbed)]
    pd.testing.assert_frame_equal(*paths)
    assert not (tmp_path / "killed.restart").exists()
    attempts = json.loads((tmp_path / "killed.record.json").read_text())["attempts"]
    assert [one["ended"] for one in attempts] == ["killed", "done"]


def test_other_settings_start_from_the_beginning_with_a_line(place: Path, tmp_path: Path):
    stop_with(place, tmp_path / "out", spectra=3)
    done = CliRunner().invoke(main, command(place, tmp_path / "out", "--s02", "0.9"))
    assert done.exit_code == 0 and "resumed" not in done.output
    assert "starting from the beginning: made with other settings" in done.output
    assert numbers(tmp_path / "out")["s02"] == 0.9
