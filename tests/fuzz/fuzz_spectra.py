"""Coverage-guided fuzzing of the readers of spectra with atheris (Linux, CPython 3.11 or 3.12; not among the tests).

    pip install atheris==3.0.0
    PYTHONPATH=tests python tests/fuzz/fuzz_spectra.py [CORPUS] -max_total_time=300 -timeout=20 -rss_limit_mb=4000

The valid samples and the seeds kept in tests/fuzz/seeds are the first inputs; CORPUS (default: a temporary folder)
keeps what reaches new code. An input that crashes, hangs or fills the memory is written as crash-*, timeout-*, oom-*;
shorten it with `-minimize_crash=1 -runs=20000 crash-...` and keep it as tests/fuzz/seeds/spectrum-<what it did>.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nnexafs", "larch.io"]):
    # Once before the fuzzing, which counts what is imported later as new code.
    from larch.io import columnfile, xafs_beamlines  # noqa: F401

    from nnexafs.measured import athena, checks, columns, reading  # noqa: F401

import numpy as np
from fakes import spectrum_files
from fuzzing import SEEDS

from nnexafs.config import Measurement
from nnexafs.errors import UserError

CHOICES = [
    Measurement(files=["any"], **choice)
    for choice in (
        {},
        {"group": "cold"},
        {"energy_column": 0, "signal_column": 1},
        {"incident_columns": [1], "transmitted_columns": [2]},
    )
]
FILE = Path(tempfile.mkdtemp(prefix="nnexafs-fuzz-")) / "input.dat"


def one_input(data: bytes) -> None:
    """The last byte chooses the options, the rest is the file: a rising finite scan or one line, without a warning."""
    FILE.write_bytes(data[:-1])
    measurement = CHOICES[data[-1] % len(CHOICES)] if data else CHOICES[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            scan = reading.read_scan(FILE, measurement)
        except UserError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 2000
            return
    assert np.isfinite(scan.x).all() and np.isfinite(scan.y).all() and (np.diff(scan.x) > 0).all()


def main() -> None:
    """Write the first inputs, then fuzz with libFuzzer's options from the command line."""
    given = [word for word in sys.argv[1:] if not word.startswith("-")]
    corpus = Path(given[0] if given else tempfile.mkdtemp(prefix="nnexafs-corpus-"))
    if corpus.is_file():  # one input to look at again
        return fuzz(sys.argv)
    corpus.mkdir(parents=True, exist_ok=True)
    samples = spectrum_files.all_of_them() + [path.read_bytes() for path in SEEDS.glob("spectrum-*")]
    for number, content in enumerate(samples):
        for choice in range(len(CHOICES)):
            (corpus / f"sample-{number}-{choice}").write_bytes(content + bytes([choice]))
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    return fuzz([sys.argv[0], str(corpus), *options])


def fuzz(arguments: list[str]) -> None:
    """Run libFuzzer; does not return."""
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
