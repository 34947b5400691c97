"""The profile for SLURM, without a SLURM: every rule has its resources, and they grow with each attempt."""

import re
from pathlib import Path

import pytest
import yaml
from checkout import CAMPAIGNS, CHECKOUT, prepared, snakemake

PROFILE = CHECKOUT / "profiles" / "slurm" / "config.yaml"
SETTINGS = yaml.safe_load(PROFILE.read_text())


def rules() -> set[str]:
    files = (CHECKOUT / "workflow" / "rules").glob("*.smk")
    begin = re.compile(r"^(?:use rule \w+ as|rule) (\w+)\b", re.MULTILINE)
    return {name for path in files for name in begin.findall(path.read_text())}


def resources(folder: Path, attempt: int) -> dict[str, tuple[int, int]]:
    """Memory (MB) and time (minutes) of every rule of the small campaign at an attempt."""
    overlay = ("--configfile", CAMPAIGNS / "small.yaml")
    done = snakemake(prepared(folder), "-n", "--attempt", str(attempt), *overlay, profile="slurm")
    assert done.returncode == 0, done.stderr[-3000:]
    pattern = re.compile(
        r"^rule (\w+):\n(?:    .*\n)*?    resources: .*mem_mb=(\d+).*runtime=(\d+)", re.MULTILINE
    )
    return {name: (int(memory), int(time)) for name, memory, time in pattern.findall(done.stdout)}


def test_every_rule_has_its_resources():
    assert set(SETTINGS["set-resources"]) == rules() > set(SETTINGS["set-threads"])
    for name, asked in SETTINGS["set-resources"].items():
        assert {"mem_mb", "runtime"} <= asked.keys(), name


def test_memory_and_time_grow_with_each_attempt(tmp_path: Path):
    first, second = resources(tmp_path, 1), resources(tmp_path, 2)
    assert {"md", "snapshots", "tables", "train", "report"} <= first.keys()
    assert {name: (2 * memory, 2 * time) for name, (memory, time) in first.items()} == second
    for name, (memory, time) in first.items():
        if name != "all":
            asked = SETTINGS["set-resources"][name]
            assert (f"{memory} * attempt", f"{time} * attempt") == (asked["mem_mb"], asked["runtime"])


def test_retries_stand_in_the_profile_alone():
    """A rule's own retries would count inside each SLURM job once more."""
    assert SETTINGS["retries"] == 2
    for path in (CHECKOUT / "workflow" / "rules").glob("*.smk"):
        assert not re.search(r"^\s*(retries|group|localrules?)\s*:", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({"SLURM_TMPDIR": "/local/7"}, "/local/7"), ({"SLURM_TMPDIR": ""}, "system"), ({}, "system")],
)
def test_scratch_is_that_of_the_job_where_the_site_has_one(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
):
    """Snakemake evaluates the text with `shutil` and `system_tmpdir` at hand."""
    import shutil

    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = SETTINGS["default-resources"]["tmpdir"]
    assert eval(text, {"shutil": shutil, "system_tmpdir": "system"}) == expected
