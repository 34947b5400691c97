"""What several files of tests need, made once for all workers, and how tests are dealt to the workers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import Campaign, finished
from filelock import FileLock
from hypothesis import settings

# Of `make test`: fewer examples of each fuzz test. Without it each test has as many as it asks for.
settings.register_profile("quick", max_examples=30)

# Files of tests are dealt to the workers in this order (--dist loadfile --no-loadscope-reorder): what takes longest
# first, so that no worker is left alone with it at the end; FEFF's after the campaign, which compiles what they use.
FIRST = ("tests/faults/test_campaign", "tests/campaign/test_finished", "tests/slurm", "tests/campaign",
         "tests/tutorials", "tests/faults", "tests/workflow", "tests/unit/learning", "tests/unit/exafs")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by `FIRST`."""

    def place(item: pytest.Item) -> int:
        return next((i for i, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder common to all workers; with NNEXAFS_TEST_FOLDER to several runs of pytest one after the other."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.get("NNEXAFS_TEST_FOLDER") or common / "shared")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def once(shared: Path) -> Callable[[str, Callable[[Path], object]], Path]:
    """Have a folder made by the worker that asks first; the others wait for it, and fail where it failed."""

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done, failed = shared / name, shared / f"{name}.done", shared / f"{name}.failed"
        with FileLock(shared / f"{name}.lock"):
            assert not failed.exists(), failed.read_text()
            if not done.exists():
                try:
                    make(folder)
                except Exception as error:
                    failed.write_text(f"{name} could not be made: {error}")
                    raise
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def finished_campaign(once: Callable) -> Campaign:
    """The smallest campaign with every kind of job, run to its verified report; copied by those who change it."""
    return Campaign(once("campaign", finished))


@pytest.fixture(scope="session")
def nickel_tables(once: Callable) -> Path:
    """Frozen phase shifts and amplitude tables of nickel for paths of 4 angstrom; not to be changed."""
    from fakes.nickel import write_tables

    return once("nickel", write_tables)


@pytest.fixture(scope="session")
def alloy_tables(once: Callable) -> Path:
    """The same of Ni3Al, absorbing nickel, for paths of 4.2 angstrom; not to be changed."""
    from fakes.nickel import write_alloy_tables

    return once("alloy", write_alloy_tables)


@pytest.fixture(scope="session")
def aluminium_tables(once: Callable) -> Path:
    """The same of Ni3Al, absorbing aluminium; not to be changed."""
    from fakes.nickel import write_alloy_tables

    return once("aluminium", lambda folder: write_alloy_tables(folder, "Al"))
