"""The process that measures: a request from standard input, one line of JSON as the answer."""

import importlib
import json
import resource
import signal
import sys
from pathlib import Path

from nnexafs import errors
from nnexafs.campaign.probe.clock import cpu_seconds
from nnexafs.config import CampaignConfig, validate

MEASUREMENTS = {
    "md": "dynamics",
    "freeze": "spectra",
    "tables": "spectra",
    "snapshots": "spectra",
    "exafs_start": "spectra",
    "dataset": "gathering",
    "train": "learning",
    "imports": "__main__",
}
"""Module of `nnexafs.campaign.probe` that holds each measurement, a function of that name."""


def imports(config: CampaignConfig, *, modules: list[str]) -> dict:
    """Nothing but the modules of a job, imported."""
    for name in modules:
        importlib.import_module(f"nnexafs.{name}")
    return {}


def peak_bytes() -> int:
    """The largest resident memory of this process so far (its own: that of getrusage may be its parent's)."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measure what is asked for; a mistake in the config or failed physics is an answer too."""
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda number, _: sys.exit(128 + number))
    asked = json.load(sys.stdin)
    try:
        module = importlib.import_module(f"nnexafs.campaign.probe.{MEASUREMENTS[asked['what']]}")
        answer = getattr(module, asked["what"])(validate(asked["config"]), **asked["request"])
    except (errors.UserError, errors.PhysicsError) as error:
        kind = "UserError" if isinstance(error, errors.UserError) else "PhysicsError"
        answer = {"error": kind, "text": " ".join(str(error).split())}
    print(json.dumps(answer | {"cpu_seconds": cpu_seconds(), "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
