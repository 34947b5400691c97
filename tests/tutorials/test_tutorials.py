"""The tutorials of the documentation, run as a reader would: every block of bash, from the first to the last."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from campaigns import Campaign
from checkout import BIN, CHECKOUT

PAGES = CHECKOUT / "docs" / "tutorials"
# What a reader's checkout holds that commands need.
CHECKOUT_NAMES = ("Snakefile", "workflow", "profiles", "config", "resources")


def script_of(page: Path) -> str:
    """The page's blocks of bash as one script; blocks of sh are for the reader alone."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert blocks, page
    return "\n".join(blocks)


def followed(name: str, folder: Path) -> str:
    """Follow a tutorial in a folder with the contents of a checkout; what its commands printed."""
    for entry in CHECKOUT_NAMES:
        (folder / entry).symlink_to(CHECKOUT / entry)
    settings = {"PATH": f"{BIN}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script_of(PAGES / f"{name}.md")],
        cwd=folder, env=os.environ | settings, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


@pytest.mark.campaign
def test_your_own_spectrum(tmp_path: Path, finished_campaign: Campaign):
    """With the ensemble of the small campaign in place of the default one."""
    (tmp_path / "results" / "nickel").mkdir(parents=True)
    (tmp_path / "results" / "nickel" / "ensemble").symlink_to(finished_campaign.results / "ensemble")
    printed = followed("your_spectrum", tmp_path)
    assert "wrote foil" in printed and "the spectrum is of the Cu K edge" in printed
    assert {path.name for path in (tmp_path / "foil").iterdir()} >= {
        "angles.csv", "prediction.png", "rdf.csv", "shells.json"
    }  # fmt: skip


@pytest.mark.slow  # amplitude tables of its own, half a minute
def test_exafs_of_your_own_trajectory(tmp_path: Path):
    assert "540 absorbers, 12.00 neighbours within 3 angstrom" in followed("your_trajectory", tmp_path)


@pytest.mark.slow  # a campaign of its own, from config to report: two minutes
def test_your_own_campaign(tmp_path: Path):
    printed = followed("your_campaign", tmp_path)
    assert "6 trajectories" in printed
    assert (tmp_path / "results" / "first" / "report.html").is_file()
