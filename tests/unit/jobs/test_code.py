"""Code hashes: blind to comments and docstrings, awake to statements, also in what is imported."""

import subprocess
from pathlib import Path

import pytest

from nnexafs.jobs import code

SOURCES = {
    "alpha.py": '"""Docstring."""\nfrom nnexafs.beta import g\n\ndef f():\n    """What."""\n    return g() + 1\n',
    "beta.py": "def g():\n    return 1\n",
    "gamma.py": "def h():\n    return 3\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    code.parsed.cache_clear()
    yield tmp_path
    code.parsed.cache_clear()


def hash_after(package: Path, name: str, old: str, new: str) -> str:
    text = (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new))
    code.parsed.cache_clear()
    return code.code_hash("alpha")


def test_words_do_not_count(package: Path):
    before = code.code_hash("alpha")
    assert hash_after(package, "alpha.py", "What.", "Why.") == before
    assert hash_after(package, "alpha.py", "return", "# a comment\n    return") == before


def test_statements_count(package: Path):
    before = code.code_hash("alpha")
    assert hash_after(package, "alpha.py", "+ 1", "+ 2") != before


def test_imported_modules_count(package: Path):
    before = code.code_hash("alpha")
    assert hash_after(package, "beta.py", "return 1", "return 2") != before


def test_other_modules_do_not(package: Path):
    before = code.code_hash("alpha")
    assert hash_after(package, "gamma.py", "3", "4") == before


def test_an_unknown_module_is_a_mistake(package: Path):
    with pytest.raises(ValueError, match="delta"):
        code.code_hash("delta")


def test_the_real_package_knows_what_a_stage_stands_on():
    behind = code.modules_behind("exafs.snapshots")
    assert {"exafs.snapshots", "structures.distributions", "exafs.feff.reference"} <= behind
    assert not behind & {"config", "training", "report"}


def test_a_package_installed_within_another_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "site-packages" / "nnexafs"
    package.mkdir(parents=True)
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    commit = ["git", *author, "commit", "--quiet", "--allow-empty", "-m", "theirs"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    monkeypatch.setattr(code, "PACKAGE", package)
    assert code.git_commit() == "unknown"
