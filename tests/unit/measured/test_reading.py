"""Measured files in every state they come in; each flaw must give one clear line."""

from pathlib import Path

import numpy as np
import pytest
from checkout import FOILS

from nnexafs.config import Background, Measurement
from nnexafs.errors import UserError
from nnexafs.measured import reading
from nnexafs.measured.chi import chi_of, process, read
from nnexafs.measured.reading import read_scan

NICKEL = FOILS / "Ni_foil_EXAFS_61348_r1.dat"
K_GRID = 0.05 * np.arange(361)


@pytest.fixture(scope="module")
def foil() -> tuple[np.ndarray, np.ndarray]:
    """Energy and mu of the nickel foil by NumPy's reader; jitter of the encoder sorted out."""
    energy, mu = np.loadtxt(NICKEL, usecols=(1, 2)).T
    order = np.argsort(energy)
    return energy[order], mu[order]


def measurement(**settings: object) -> Measurement:
    return Measurement(files=["any"], **settings)


def write_columns(path: Path, *columns: np.ndarray, header: str = "# energy mu") -> Path:
    rows = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in zip(*columns, strict=True))
    path.write_text(f"{header}\n{rows}\n" if header else rows + "\n")
    return path


def refused(path: Path, *, contains: str, **settings: object) -> None:
    """Reading and processing as nickel raises one line that names the file and says `contains`."""
    one = measurement(**settings)
    with pytest.raises(UserError) as caught:
        process(read([path], one), one.background, k_grid=K_GRID, element="Ni", edge="K")
    message = str(caught.value)
    assert contains in message
    assert path.name in message
    assert "\n" not in message


def test_labels_find_energy_though_the_first_column_counts_points():
    for repeat in (1, 2, 3):
        path = FOILS / f"Ni_foil_EXAFS_61348_r{repeat}.dat"
        scan = read_scan(path, measurement())
        energy, mu = np.loadtxt(path, usecols=(1, 2)).T
        assert scan.kind == "mu"
        assert scan.x[0] == pytest.approx(energy.min(), abs=0.01)
        assert scan.x[-1] == pytest.approx(energy.max(), abs=0.01)
        assert np.all(np.diff(scan.x) > 0)
        assert np.interp(8400.0, scan.x, scan.y) == pytest.approx(np.interp(8400.0, energy, mu), abs=1e-3)


def test_wrong_number_for_the_energy_column_is_noticed_in_a_repeat():
    second = FOILS / "Ni_foil_EXAFS_61348_r2.dat"
    refused(second, contains="do not cover the Ni K edge", energy_column=0, kind="mu")
    refused(second, contains="column", energy_column=99)


def test_numbers_choose_columns_where_labels_say_nothing():
    scan = read_scan(FOILS / "Cu_rt1.fio", measurement(energy_column=0, signal_column=1))
    assert scan.x[0] == pytest.approx(8800, abs=1)
    assert len(scan.x) == 848
    refused(FOILS / "Cu_rt1.fio", contains="give energy_column and signal_column")


def test_unlabelled_pair_of_columns_is_energy_and_mu_or_k_and_chi(tmp_path, foil):
    assert read_scan(write_columns(tmp_path / "a.dat", *foil, header=""), measurement()).kind == "mu"
    k = np.arange(0, 16, 0.05)
    path = write_columns(tmp_path / "b.dat", k, np.sin(k) / 50, header="")
    scan = read_scan(path, measurement())
    assert scan.kind == "chi"
    assert scan.y == pytest.approx(np.sin(k) / 50, rel=1e-6, abs=1e-10)


def test_intensities_become_absorption(tmp_path, foil):
    energy, mu = foil
    current = np.full_like(mu, 2e-5)
    path = write_columns(
        tmp_path / "a.dat", energy, current, current * np.exp(-mu), header="# energy i0 itrans"
    )
    scan = read_scan(path, measurement())
    assert np.interp(8500, scan.x, scan.y) == pytest.approx(np.interp(8500, energy, mu), abs=1e-6)


def test_xdi(tmp_path, foil):
    header = "\n".join(
        [
            "# XDI/1.0 nnexafs-test", "# Column.1: energy eV", "# Column.2: i0", "# Column.3: mutrans",
            "# Element.symbol: Ni", "# Element.edge: K", "# Mono.d_spacing: 3.13550",
            "# Scan.start_time: 2025-06-22T17:54:36", "# ///", "# a foil", "#-----", "# energy i0 mutrans",
        ]
    )  # fmt: skip
    path = write_columns(tmp_path / "ni.xdi", foil[0], np.ones_like(foil[0]), foil[1], header=header)
    scan = read_scan(path, measurement())
    assert (scan.kind, scan.element, scan.edge) == ("mu", "Ni", "K")
    assert scan.y.max() == pytest.approx(foil[1].max(), rel=1e-3)


def test_only_xdi_and_athena_name_an_element_and_only_a_real_one(tmp_path, foil):
    def named(header: str) -> tuple:
        scan = read_scan(write_columns(tmp_path / "a.dat", *foil, header=header), measurement())
        return scan.element, scan.edge

    assert named("# XDI/1.0\n# element.Symbol: cu\n# Element.edge: l3\n#-----\n# energy mu") == ("Cu", "L3")
    assert named("# XDI/1.0\n# Element.symbol: Xx\n# Element.edge: K\n#-----\n# energy mu") == (None, None)
    assert named("# XDI/1.0\n# Element.symbol: Fe\n# Element.edge: Q\n#-----\n# energy mu") == ("Fe", None)
    assert named("# Element.symbol: Cu\n# energy mu") == named("# Ni foil\n# energy mu") == (None, None)


@pytest.fixture(scope="module")
def project(tmp_path_factory, foil) -> Path:
    """An Athena project of two groups, written by larch."""
    from larch import Group
    from larch.io import create_athena

    path = tmp_path_factory.mktemp("athena") / "two.prj"
    athena = create_athena(str(path))
    for name, factor in (("cold", 1.0), ("hot", 2.0)):
        group = Group(energy=foil[0].copy(), mu=factor * foil[1], filename=name, label=name)
        group.__name__ = name
        athena.add_group(group)
    athena.save()
    return path


def test_athena_project(project, foil):
    scan = read_scan(project, measurement(group="hot"))
    assert scan.kind == "mu"
    assert np.interp(8500, scan.x, scan.y) == pytest.approx(2 * np.interp(8500, *foil), abs=1e-4)


def test_athena_project_lists_its_groups(project):
    refused(project, contains="no group 'warm' in this Athena project; it has: cold, hot", group="warm")
    refused(project, contains="choose a group of: cold, hot")


def test_broken_athena_project(tmp_path, project):
    path = tmp_path / "broken.prj"
    path.write_text("# Athena project file -- Demeter version 0.9.21\n$old_group = 'x';\n@x = ('1','a');\n")
    refused(path, contains="Athena project")
    path.write_bytes(project.read_bytes()[:2000])
    refused(path, contains="")


def test_descending_and_repeated_energies_are_mended(tmp_path, foil):
    energy, mu = foil
    falling = read_scan(write_columns(tmp_path / "down.dat", energy[::-1], mu[::-1]), measurement())
    twice = read_scan(
        write_columns(tmp_path / "twice.dat", np.repeat(energy, 2), np.repeat(mu, 2)), measurement()
    )
    for scan in (falling, twice):
        assert np.all(np.diff(scan.x) > 0)
        assert np.interp(8400, scan.x, scan.y) == pytest.approx(np.interp(8400, energy, mu), abs=1e-6)


def test_missing_and_empty_files(tmp_path):
    refused(tmp_path / "none.dat", contains="no such spectrum file")
    (tmp_path / "empty.dat").write_text("\n \n")
    refused(tmp_path / "empty.dat", contains="the file is empty")
    (tmp_path / "folder.dat").mkdir()
    refused(tmp_path / "folder.dat", contains="no such spectrum file")


def test_binary_and_prose(tmp_path):
    (tmp_path / "a.dat").write_bytes(bytes(range(256)) * 40)
    refused(tmp_path / "a.dat", contains="a binary file")
    (tmp_path / "b.dat").write_text("Dear colleague,\nthe data are attached.\n" * 20)
    refused(tmp_path / "b.dat", contains="no")


def test_nan_and_short_rows(tmp_path, foil):
    mu = foil[1].copy()
    mu[41] = np.nan
    refused(write_columns(tmp_path / "a.dat", foil[0], mu), contains="first is row 42")
    path = write_columns(tmp_path / "b.dat", *foil)
    path.write_text(path.read_text().rstrip()[:-12])
    refused(path, contains="rows without a finite energy or mu")


def test_text_inside_the_table(tmp_path, foil):
    path = write_columns(tmp_path / "a.dat", *foil)
    lines = path.read_text().splitlines()
    lines.insert(700, "beam lost here")
    path.write_text("\n".join(lines))
    refused(path, contains="interrupts the table")


def test_decimal_commas(tmp_path, foil):
    path = write_columns(tmp_path / "a.dat", *foil)
    path.write_text(path.read_text().replace(".", ","))
    refused(path, contains="decimal commas")


@pytest.mark.parametrize(
    ("separator", "header"), [(",", "energy,mu"), (";", "energy;mu"), ("\t", "Energy (eV)\tmu(E)")]
)
def test_separators(tmp_path, foil, separator, header):
    path = write_columns(tmp_path / "a.csv", *foil, header=header)
    lines = path.read_text().splitlines()
    path.write_text("\r\n".join([header, *(line.replace(" ", separator) for line in lines[1:])]))
    scan = read_scan(path, measurement())
    assert np.interp(8500, scan.x, scan.y) == pytest.approx(np.interp(8500, *foil), abs=1e-6)


def test_too_few_points_and_one_column(tmp_path, foil):
    refused(write_columns(tmp_path / "a.dat", foil[0][:20], foil[1][:20]), contains="only 20 points")
    refused(write_columns(tmp_path / "b.dat", foil[0], header="# energy"), contains="only one column")
    constant = np.full_like(foil[0], 8333.0)
    refused(write_columns(tmp_path / "c.dat", constant, foil[1]), contains="different values of energy")


def test_unordered_energies(tmp_path, foil):
    shuffled = np.random.default_rng(1).permutation(foil[0])
    refused(write_columns(tmp_path / "a.dat", shuffled, foil[1]), contains="goes back in")


def test_kilo_electronvolt(tmp_path, foil):
    refused(write_columns(tmp_path / "a.dat", foil[0] / 1000, foil[1]), contains="look like keV")


def test_edge_not_covered(tmp_path, foil):
    above = foil[0] > 8340
    refused(
        write_columns(tmp_path / "a.dat", foil[0][above], foil[1][above]),
        contains="do not cover the Ni K edge",
    )
    refused(FOILS / "Cu_rt1.fio", contains="do not cover the Ni K edge", energy_column=0, signal_column=1)


def test_lost_calibration_and_intensity_in_place_of_absorption(tmp_path, foil):
    moved = write_columns(tmp_path / "a.dat", foil[0] + 60, foil[1])
    refused(moved, contains="eV from the Ni K edge")
    falling = write_columns(tmp_path / "b.dat", foil[0], np.exp(-foil[1]), header="# energy it")
    refused(falling, contains="", signal_column=1)
    given_e0 = {"background": Background(e0_ev=8333.0), "signal_column": 1}
    refused(falling, contains="does not rise at the edge", **given_e0)


def test_e0_outside_the_data(foil):
    refused(NICKEL, contains="background.e0_ev 7000 is outside", background=Background(e0_ev=7000.0))


def test_chi_with_k_weight_is_refused(tmp_path):
    k = np.arange(0, 16, 0.05)
    path = write_columns(tmp_path / "a.chi", k, k**2 * np.sin(5 * k) / 10, header="# k chi")
    refused(path, contains="without k weighting")


def test_repeats_must_belong_together(tmp_path, foil):
    k = np.arange(0, 16, 0.05)
    chi = write_columns(tmp_path / "a.chi", k, np.sin(k) / 50, header="# k chi")
    with pytest.raises(UserError, match="mix mu"):
        read([NICKEL, chi], measurement())
    part = foil[0] < 8700
    short = write_columns(tmp_path / "short.dat", foil[0][part], foil[1][part])
    with pytest.raises(UserError, match=r"short\.dat: covers .* repeats must be of one range"):
        read([NICKEL, short], measurement())
    with pytest.raises(UserError, match="no spectrum files"):
        read([], measurement())


IRON = FOILS / "Fe-foil_EXAFS_23147.dat"
HALVES = {"incident_columns": [3, 4], "transmitted_columns": [5, 6]}


def iron_by_numpy() -> tuple[np.ndarray, np.ndarray]:
    """Energy and ln(I0 / I) of the iron foil, whose chambers have two halves each, by NumPy's reader."""
    columns = np.loadtxt(IRON, comments="#").T
    return columns[1], np.log((columns[3] + columns[4]) / (columns[5] + columns[6]))


def test_intensities_of_divided_chambers_are_summed():
    scan = read_scan(IRON, measurement(**HALVES))
    energy, mu = iron_by_numpy()
    assert scan.kind == "mu"
    assert np.array_equal(scan.x, energy)
    assert scan.y == pytest.approx(mu, abs=1e-12)
    named = read_scan(IRON, measurement(energy_column=1, **HALVES))
    assert np.array_equal(named.y, scan.y)


def test_summed_intensities_give_what_a_column_of_mu_gives(tmp_path):
    scans = {
        "sums": (read([IRON], measurement(**HALVES)), "Fe"),
        "mu": (read([write_columns(tmp_path / "fe.dat", *iron_by_numpy())], measurement()), "Fe"),
    }
    sums, mu = (
        process(scan, Background(), k_grid=K_GRID, element=element, edge="K")
        for scan, element in scans.values()
    )
    assert sums.chi.values == pytest.approx(mu.chi.values, abs=1e-5, nan_ok=True)
    assert sums.attrs["element"] == "Fe"
    assert sums.e0_ev == pytest.approx(7112.0, abs=1.0)


@pytest.mark.parametrize(
    ("settings", "contains"),
    [
        ({"incident_columns": [3, 8], "transmitted_columns": [5]}, "incident_columns 8 does not exist"),
        ({"incident_columns": [3], "transmitted_columns": [5, 99]}, "transmitted_columns 99 does not exist"),
        ({"incident_columns": [3, 3], "transmitted_columns": [5]}, "column 3 is named twice"),
        ({"incident_columns": [3, 4], "transmitted_columns": [4, 5]}, "column 4 is named twice"),
        ({"incident_columns": [1], "transmitted_columns": [5]}, "column 1 is named twice"),
        (HALVES | {"energy_column": 9}, "energy_column 9 does not exist"),
        (HALVES | {"kind": "chi"}, "give mu(E), not chi(k)"),
        (HALVES, "do not cover the Ni K edge"),
        (HALVES | {"energy_column": 0}, "do not cover the Ni K edge"),
    ],
)
def test_wrong_intensity_columns_are_said(settings, contains):
    refused(IRON, contains=contains, **settings)


def test_swapped_intensities_do_not_rise_at_the_edge():
    one = measurement(incident_columns=[5, 6], transmitted_columns=[3, 4])
    with pytest.raises(UserError, match=r"does not rise.*check signal_column, or incident_columns"):
        process(read([IRON], one), one.background, k_grid=K_GRID, element="Fe", edge="K")


def test_intensities_need_an_energy_and_must_be_positive(tmp_path, foil):
    energy, _ = foil
    bright = np.full(len(energy), 2.0)
    unlabelled = write_columns(tmp_path / "a.dat", energy, bright, bright, header="# a b c")
    wanted = {"incident_columns": [1], "transmitted_columns": [2]}
    refused(unlabelled, contains="no column labelled energy; give energy_column", **wanted)
    dark = np.where(np.arange(len(energy)) == 7, 0.0, bright)
    path = write_columns(tmp_path / "b.dat", energy, bright, dark, header="# energy one two")
    refused(path, contains="1 rows without a finite energy or mu, first is row 8", **wanted)


ROWS = "\n".join(f"{0.05 * i:.2f} {0.1 * np.sin(0.25 * i):.5f}" for i in range(60)) + "\n"


@pytest.mark.parametrize(
    ("above", "below", "fast"),
    [
        ("# k chi\n", "", True),
        ("", "", True),
        ("k chi\n", "", True),
        ("# some words\n#---\n# k   chi\n", "\n\n", True),
        ("# k chi\n0.00 0.3\n0.02 nan\n", "", True),
        ("# k chi\n", "# the end\n", False),
        ("# k chi\n", "1.0 2.0 3.0\n", False),
        ("# k chi\n", "1.0 2-3\n", False),
    ],
)
def test_a_table_is_the_same_however_its_numbers_are_read(above: str, below: str, fast: bool):
    text = above + ROWS + below
    head, numbers = reading._split(text)
    assert (numbers is not None) == fast
    with reading.quiet_larch():
        expected = reading._larch_table(text)
        found = reading._larch_table(text) if numbers is None else reading._labelled(text, head, numbers)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]


@pytest.mark.parametrize("file", sorted(FOILS.glob("*.*")), ids=lambda file: file.name)
def test_labels_and_header_of_the_foils_do_not_depend_on_their_rows(file: Path):
    text = reading.text_of(reading.content_of(file))
    head, numbers = reading._split(text)
    if numbers is not None:
        with reading.quiet_larch():
            found, expected = reading._labelled(text, head, numbers), reading._larch_table(text)
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1:] == expected[1:]


def test_chi_of_a_file_is_what_process_makes_of_it():
    found, one = chi_of(NICKEL, element="Ni"), measurement()
    expected = process(read([NICKEL], one), one.background, k_grid=found["k"].values, element="Ni", edge="K")
    np.testing.assert_array_equal(found, expected["chi"])
    assert found["k"].values[[0, 1]] == pytest.approx([0.0, 0.05]) and np.isfinite(found).all()
    assert found.attrs["e0_ev"] == pytest.approx(8333, abs=2)
    with pytest.raises(UserError, match="no such spectrum file"):
        chi_of("nowhere.dat", element="Ni")
