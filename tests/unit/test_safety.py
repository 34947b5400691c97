"""Files from others run nothing and reach nothing: each kind of file, with one that tries."""

import ast
import gzip
import hashlib
import io
import json
import pickle
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from checkout import CHECKOUT, prepared, snakemake
from click.testing import CliRunner
from safetensors.torch import save_file

from nnexafs.cli import main
from nnexafs.config import Measurement, load, validate
from nnexafs.errors import UserError
from nnexafs.exafs.trajectory import frames_of
from nnexafs.files import write_dataset
from nnexafs.learning.manifest import tensors_in
from nnexafs.measured import athena
from nnexafs.measured.chi import read_processed
from nnexafs.measured.reading import read_scan

PACKAGE = CHECKOUT / "workflow" / "nnexafs"


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.marker,))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def one_line(call: object) -> str:
    with pytest.raises(UserError) as caught:
        call()
    (line,) = str(caught.value).splitlines()
    return line


# --- nothing is unpickled ------------------------------------------------------------------------


def pickles(marker: Path) -> dict[str, bytes]:
    """The trap in every wrapping that some library unpickles."""
    plain, array, archive = pickle.dumps(Trap(marker), protocol=2), io.BytesIO(), io.BytesIO()
    np.save(array, np.array([Trap(marker)], dtype=object), allow_pickle=True)
    torch.save(Trap(marker), archive)
    return {
        "pickle": plain,
        "text pickle": pickle.dumps(Trap(marker), protocol=0),
        "numpy": array.getvalue(),
        "torch": archive.getvalue(),
        "gzip": gzip.compress(plain),
        "old ASE trajectory": b"PickleTrajectory" + plain,
    }


def test_the_traps_work(marker: Path):
    for name, content in pickles(marker).items():
        marker.unlink(missing_ok=True)
        if name == "numpy":
            np.load(io.BytesIO(content), allow_pickle=True)
        elif name == "torch":
            torch.load(io.BytesIO(content), weights_only=False)
        elif name.endswith("pickle"):
            pickle.loads(content)
        assert marker.exists() or name in ("gzip", "old ASE trajectory")


SPECTRA = ("a.dat", "a.xdi", "a.prj", "a.nc", "a.npy", "a.pkl", "a.dat.gz")
TRAJECTORIES = (
    "a.traj",
    "a.xyz",
    "a.extxyz",
    "XDATCAR",
    "a.pckl",
    "a.db",
    "a.json",
    "a.py",
    "a.gpw",
    "a.nc",
    "a.bin",
)


CHECKPOINTS = ("a.pt", "a.safetensors")


@pytest.mark.parametrize("kind", ["pickle", "text pickle", "numpy", "torch", "gzip", "old ASE trajectory"])
def test_no_reader_unpickles(tmp_path: Path, marker: Path, kind: str):
    content = pickles(marker)[kind]
    for name in {*SPECTRA, *TRAJECTORIES, *CHECKPOINTS}:
        (tmp_path / name).write_bytes(content)
    for name in SPECTRA:
        one_line(lambda name=name: read_scan(tmp_path / name, Measurement(files=["a"])))
    for name in TRAJECTORIES:
        one_line(lambda name=name: frames_of(tmp_path / name))
    one_line(lambda: read_processed(tmp_path / "a.nc"))
    for name in CHECKPOINTS:
        one_line(lambda name=name: tensors_in(tmp_path / name, what="a network"))
    assert not marker.exists()


def test_a_bundle_of_ase_is_no_trajectory(tmp_path: Path, marker: Path):
    (tmp_path / "a.bundle").mkdir()
    (tmp_path / "a.bundle" / "metadata.json").write_text(
        '{"format": "BundleTrajectory", "backend": "pickle"}'
    )
    one_line(lambda: frames_of(tmp_path / "a.bundle"))


def test_the_commands_say_so_in_one_line(tmp_path: Path, marker: Path):
    (tmp_path / "a.dat").write_bytes(pickles(marker)["pickle"])
    (tmp_path / "a.traj").write_bytes(pickles(marker)["pickle"])
    (tmp_path / "c.yaml").write_text(f"campaign: !!python/object/apply:pathlib.Path.touch [{marker}]\n")
    commands = (
        ["exafs", f"{tmp_path}/a.traj", "--absorber", "Ni", "--out", f"{tmp_path}/o.nc"],
        ["plan", f"{tmp_path}/c.yaml"],
        ["predict", f"{tmp_path}/a.dat", "--ensemble", str(tmp_path), "--out", f"{tmp_path}/o"],
    )
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2, done.output
        assert len(done.stderr.strip().splitlines()) == 1
    assert not marker.exists()


def calls_in(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_the_source_has_no_unsafe_loader():
    """`torch.load` with `weights_only`, `numpy.load` without pickles, `yaml.safe_load`; no eval, no shell."""
    forbidden = {
        "eval",
        "exec",
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "pickle.load",
        "pickle.loads",
    }
    forbidden |= {
        "pd.read_pickle",
        "os.system",
        "os.popen",
        "joblib.load",
        "read_xdi",
        "AthenaProject",
        "open_dict",
    }
    needed = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}
    seen = set()
    for path in PACKAGE.rglob("*.py"):
        for call in calls_in(path):
            name, text = ast.unparse(call.func), ast.unparse(call)
            assert name not in forbidden, f"{path}: {text}"
            assert "shell=True" not in text, f"{path}: {text}"
            if name in needed:
                assert needed[name] in text, f"{path}: {text}"
                seen.add(name)
    assert seen == set(needed)


# --- Athena projects -----------------------------------------------------------------------------

PROJECT = "# Athena project file -- Demeter version 0.9.26\n$old_group = {name};\n@args = {args};\n"
PROJECT += "@x = ({x});\n@y = ({y});\n[record]   #\n"
NUMBERS = ",".join(f"'{value}'" for value in range(8000, 8100))


def project(name: str = "'a'", args: str = "('label','a')", x: str = NUMBERS) -> str:
    return PROJECT.format(name=name, args=args, x=x, y=NUMBERS)


def test_a_project_is_data_not_a_program(tmp_path: Path):
    """Larch's reader, which runs the lists as Python, reads the file that the list names; ours does not."""
    from larch.io.athena_project import parse_perlathena

    (tmp_path / "secret").write_text("password")
    text = project(args=f"('label', str(loadtxt('{tmp_path}/secret', dtype='U20')))")
    assert parse_perlathena(text, "a.prj").group_names == ["password"]
    assert "password" not in athena.groups_of(text)[0].label


@pytest.mark.parametrize(
    "value", ["9**9**9", "[0]*10**12", "zeros(10**12)", "'a'*10**12", "(" * 10**5, "'\\" * 10**5]
)
def test_a_project_cannot_take_time_or_memory(tmp_path: Path, value: str):
    for text in (project(name=value), project(args=f"('label',{value})")):
        assert len(athena.groups_of(text)) == 1
    (tmp_path / "a.prj").write_text(project(x=value))
    one_line(lambda: read_scan(tmp_path / "a.prj", Measurement(files=["a"])))


def test_labels_of_a_project_survive_quotes_and_brackets():
    args = r"('titles',['one','two'],'label','Ni (foil), 300 K \'cold\' \x{b5}m','is_chi','0','bkg_eshift','-1.5')"
    (group,) = athena.groups_of(project(args=args))
    assert (group.label, group.energy_shift_ev) == ("Ni (foil), 300 K 'cold' \u00b5m", -1.5)


def test_gzip_bombs_are_refused(tmp_path: Path):
    (tmp_path / "a.dat").write_bytes(gzip.compress(b"1 2\n" * 10**8, compresslevel=1))
    assert "more than 32 MiB" in one_line(lambda: read_scan(tmp_path / "a.dat", Measurement(files=["a"])))


def test_tables_that_would_take_minutes_are_refused(tmp_path: Path):
    contents = {
        "text instead of rows": "beam lost at some time\n" * 5000,
        "columns": "1 " * 10**6,
        "numbers": "1 2 3\n" * 10**6,
    }
    for name, text in contents.items():
        (tmp_path / "a.dat").write_text(text)
        assert name in one_line(lambda: read_scan(tmp_path / "a.dat", Measurement(files=["a"])))


# --- checkpoints ---------------------------------------------------------------------------------


def test_a_packed_checkpoint_is_refused(tmp_path: Path):
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert "a packed archive" in one_line(lambda: tensors_in(tmp_path / "a.pt", what="a network"))
    assert tensors_in(tmp_path / "plain.pt", what="a network")["a"].shape == (10**6,)


def test_a_tensor_larger_than_its_file_is_refused(tmp_path: Path):
    torch.save({"a": torch.zeros(1).expand(10**10)}, tmp_path / "a.pt")
    assert "expected named tensors" in one_line(lambda: tensors_in(tmp_path / "a.pt", what="a network"))
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert "does not hold a network" in one_line(
        lambda: tensors_in(tmp_path / "a.safetensors", what="a network")
    )
    save_file({"a": torch.tensor([np.nan])}, tmp_path / "a.safetensors")
    assert "finite numbers" in one_line(lambda: tensors_in(tmp_path / "a.safetensors", what="a network"))
    for wrong in ([1, 2], {"a": torch.tensor([np.nan])}, {"a": "text"}):
        torch.save(wrong, tmp_path / "a.pt")
        assert "expected named tensors" in one_line(lambda: tensors_in(tmp_path / "a.pt", what="a network"))


def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path):
    from nnexafs.learning.ensemble import Ensemble

    outside = tmp_path / "secret.pt"
    outside.write_bytes(b"x")
    (tmp_path / "e").mkdir()
    manifest = {
        "format": 1, "element": "Ni", "edge": "K", "architecture": {}, "grids": {}, "representation": {},
        "training_domain": {}, "files": {"../secret.pt": hashlib.sha256(b"x").hexdigest()},
    }  # fmt: skip
    (tmp_path / "e" / "manifest.json").write_text(json.dumps(manifest))
    assert "files" in one_line(lambda: Ensemble.load(tmp_path / "e"))


# --- names and shells ----------------------------------------------------------------------------

HOSTILE = (
    "../up",
    "a/b",
    "a b",
    "a\nb",
    "-rf",
    "$(id)",
    "`id`",
    "a;b",
    "a'b",
    'a"b',
    "n\u0456ckel",
    "..",
    "",
    "a{b}",
    "*",
)
ENTRIES = {
    "measurements": {"files": ["x.dat"]},
    "series": {"phases": {"fcc": {}}},
    "studies": {"folds": 1},
    "potentials": {"style": "sutton-chen"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_reaches_a_path_or_a_shell(name: str):
    for section, entry in ENTRIES.items():
        assert section in one_line(lambda section=section, entry=entry: validate({section: {name: entry}}))
    assert "campaign" in one_line(lambda: validate({"campaign": name}))
    assert "experiment" in one_line(lambda: validate({"tracking": {"experiment": name}}))
    assert "compare_with" in one_line(
        lambda: validate({"report": {"compare_with": {name: {"metrics": "a"}}}})
    )


@pytest.mark.parametrize(
    "uri", ["file:///tmp/x", "../store", "http://a b", "http://a;b", "http://$(id)", "http://a\nb"]
)
def test_a_tracking_address_is_an_address(uri: str):
    assert "tracking.uri" in one_line(lambda: validate({"tracking": {"uri": uri}}))


def test_measured_files_may_lie_anywhere_and_have_any_name():
    files = ["/data/my 'old' foils/Ni (300 K) $x.dat", "../up/a b.dat"]
    assert validate({"measurements": {"foil": {"files": files}}}).measurements["foil"].files == files
    for wrong in ("", " ", "a\nb", "a\x00b", "{a}.dat"):
        one_line(lambda wrong=wrong: validate({"measurements": {"foil": {"files": [wrong]}}}))


def with_overlay(folder: Path, overlay: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "overlay.yaml").write_text(overlay)
    return snakemake(folder, "--configfile", folder / "overlay.yaml", *options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(tmp_path)


def test_snakemake_refuses_a_name_that_is_a_command(folder: Path, marker: Path):
    done = with_overlay(folder, f'measurements: {{"$(touch {marker})": {{files: [x]}}}}\n', "-n")
    assert done.returncode != 0 and "measurements" in done.stdout + done.stderr
    assert not marker.exists() and not (folder / "results").exists()


def test_snakemake_reads_a_measured_file_of_any_name(folder: Path, marker: Path):
    foil = folder / "my 'old' foils" / f"Ni $(touch {marker.name}).dat"
    foil.parent.mkdir()
    foil.write_bytes((CHECKOUT / "resources" / "foils" / "Ni_foil_EXAFS_61348_r1.dat").read_bytes())
    overlay = json.dumps({"measurements": {"foil": {"files": [str(foil)]}}})
    done = with_overlay(folder, overlay, "--cores", "1", "results/nickel/spectra/foil/chi.nc")
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_processed(folder / "results" / "nickel" / "spectra" / "foil" / "chi.nc").sizes["repeat"] == 1
    assert not marker.exists() and not list(foil.parent.glob(marker.name))


def test_a_config_that_snakemake_would_run_is_refused_by_plan(folder: Path, marker: Path):
    """Snakemake runs the templates of a config before any workflow can look at it: a foreign one goes to plan first."""
    overlay = f"__use_yte__: true\ncampaign: ?open('{marker}', 'w').write('x') and 'good'\n"
    assert with_overlay(folder, overlay, "-n").returncode == 0 and marker.exists()
    marker.unlink()
    assert "__use_yte__" in one_line(lambda: load(folder / "overlay.yaml"))
    assert not marker.exists()


def test_every_server_in_the_docs_listens_on_loopback():
    texts = [
        path for name in ("*.md", "Makefile", "*.py", "*.smk", "*.yaml") for path in CHECKOUT.rglob(name)
    ]
    started = [
        line
        for path in texts
        if not {"results", ".venv", ".snakemake", ".git", "tests"} & set(path.relative_to(CHECKOUT).parts)
        for line in path.read_text(errors="replace").splitlines()
        if re.search(r"mlflow (ui|server) -", line)
    ]
    assert started
    assert [line for line in started if "--host 127.0.0.1" not in line] == []


# --- NetCDF --------------------------------------------------------------------------------------

K = 0.05 * np.arange(100)


@pytest.mark.parametrize(
    "variables",
    [
        {"chi": ("k", K)},
        {"chi_repeats": ("k", K)},
        {"chi_repeats": (("k", "repeat"), np.zeros((100, 2)))},
        {"chi_repeats": (("repeat", "k"), np.zeros((0, 100)))},
        {"chi_repeats": (("repeat", "k"), np.full((1, 100), 1e308))},
        {"chi_repeats": (("repeat", "k"), np.full((1, 100), "x"))},
        {"chi_repeats": (("repeat", "k"), np.zeros((1, 100))), "k": ("k", K[::-1])},
        {"chi_repeats": (("repeat", "k"), np.zeros((1, 100))), "k": ("k", np.full(100, np.nan))},
    ],
)
def test_a_processed_spectrum_has_what_it_must_have(tmp_path: Path, variables: dict):
    write_dataset(tmp_path / "a.nc", xr.Dataset({"k": ("k", K)} | variables))
    assert "a.nc" in one_line(lambda: read_processed(tmp_path / "a.nc"))


def test_a_processed_spectrum_is_read(tmp_path: Path):
    write_dataset(
        tmp_path / "a.nc", xr.Dataset({"chi_repeats": (("repeat", "k"), np.zeros((1, 100)))}, {"k": K})
    )
    assert read_processed(tmp_path / "a.nc").sizes == {"repeat": 1, "k": 100}
