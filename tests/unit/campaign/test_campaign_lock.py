"""The lock of a running campaign, with real processes."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nnexafs.campaign import campaign_lock
from nnexafs.errors import UserError

HOLD = """
    import sys, time
    from pathlib import Path
    from nnexafs.campaign import campaign_lock
    campaign_lock.hold(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(600)
"""


def holding(results: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(results)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_told_who_runs(tmp_path: Path):
    with holding(tmp_path / "nickel") as process:
        assert f"process {process.pid} on" in (campaign_lock.holder(tmp_path / "nickel") or "")
        with pytest.raises(UserError, match=f"is being run by process {process.pid} on .*; wait for it"):
            campaign_lock.hold(tmp_path / "nickel")
        with holding(tmp_path / "iron") as other:
            other.kill()
        process.kill()
    assert campaign_lock.holder(tmp_path / "nickel") is None
    with holding(tmp_path / "nickel") as process:
        process.kill()


def test_looking_makes_nothing(tmp_path: Path):
    assert campaign_lock.holder(tmp_path / "nickel") is None
    assert list(tmp_path.iterdir()) == []


def test_only_stale_locks_of_the_own_campaign_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/nickel/md/a/trajectory.nc\n")
    (locks / "1.output.lock").write_text("results/nickel2/md/a/trajectory.nc\n")
    with holding(Path("results/nickel")) as process:
        campaign_lock.clear_stale("results/nickel")
        assert len(list(locks.iterdir())) == 2
        process.kill()
    time.sleep(0.05)
    campaign_lock.clear_stale("results/nickel")
    assert [lock.name for lock in locks.iterdir()] == ["1.output.lock"]
