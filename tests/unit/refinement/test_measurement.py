"""The refinement of a campaign's measurement: its settings come from the config, and its record says so."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from fakes.refinable import CONFIG, frames, write_campaign, write_spectrum

from nnexafs.cli import main
from nnexafs.config import load
from nnexafs.files import read_json
from nnexafs.jobs import record
from nnexafs.jobs.stages import settings_of

FOIL = {"files": ["ni.chi"], "kelvin": 600.0}
MEASURED = {"ni_foil": None, "foil": FOIL, "cu_foil": FOIL | {"element": "Cu"}}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, nickel_tables: Path) -> Path:
    folder = write_campaign(tmp_path_factory.mktemp("refine") / "tiny", nickel_tables)
    config = CONFIG | {"measurements": MEASURED, "refinement": {"replicas": 9, "calls": 3, "phases": ["fcc"]}}
    config |= {"dynamics": {"snapshots": 2}, "exafs": CONFIG["exafs"] | {"snapshots": 2}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    write_spectrum(folder / "ni.chi", frames(scale=1.01, sigma=0.07, seed=9), nickel_tables)
    return folder


def refine(campaign: Path, *options: str) -> tuple[int, str]:
    words = ["refine", str(campaign / "ni.chi"), "--threads", "1", *options]
    done = CliRunner().invoke(main, [*words, "--out", str(campaign / "refinement" / "foil")])
    return done.exit_code, done.output


def test_settings_are_those_of_the_config_and_the_record_says_so(campaign: Path):
    code, printed = refine(campaign, "--campaign", str(campaign), "--measurement", "foil", "--kelvin", "300")
    assert code == 0, printed
    found = read_json(campaign / "refinement" / "foil" / "refinement.json", what="refinement")
    assert found["answers"][0]["prior"] == "fcc_T0600_x1.0000_r0"
    assert [one["phase"] for one in found["candidates"]] == ["fcc"]
    written = record.read(record.path_of(campaign / "refinement" / "foil"))
    config = load(campaign / "config.yaml")
    assert written["settings"] == settings_of("refine", config, measurement="foil")
    names = {Path(name).name for name in written["inputs"]}
    assert names == {
        *("ni.chi", "manifest.json", "phase.pad", "xsect.json"),
        *("tables.nc", "trajectory.nc", "spectra.nc"),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--measurement", "foil"], "give --campaign as well"),
        (["--campaign", "{campaign}", "--measurement", "other"], "no measurement 'other' in the config"),
        (["--campaign", "{campaign}", "--measurement", "cu_foil"], "Cu is not the campaign's element"),
    ],
)
def test_a_measurement_that_cannot_be_refined_is_one_line(
    campaign: Path, options: list[str], message: str, caplog: pytest.LogCaptureFixture
):
    code, printed = refine(campaign, *(word.format(campaign=campaign) for word in options))
    assert code == 2
    assert message in printed + caplog.text
