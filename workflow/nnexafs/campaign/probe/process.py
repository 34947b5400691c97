"""A measurement in a process of its own, its memory watched."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

from nnexafs import errors
from nnexafs.config import CampaignConfig

POLL_SECONDS = 0.1
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def measure(config: CampaignConfig, what: str, **request: object) -> dict:
    """Measure `what` (a key of `nnexafs.campaign.probe.__main__.MEASUREMENTS`) in a process of its own; its answer.

    Two keys are added, `cpu_seconds` of the whole process and `peak_bytes`, the largest resident memory of it and the
    programs it runs together. The UserError or PhysicsError that the stage raises is raised here.
    """
    asked = {"config": config.model_dump(mode="json"), "what": what, "request": request}
    process = subprocess.Popen(
        [sys.executable, "-m", "nnexafs.campaign.probe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
    )
    peak = [0]
    watch = Thread(target=_watch, args=(process, peak), daemon=True)
    watch.start()
    try:
        out, _ = process.communicate(json.dumps(asked, default=str))
    finally:
        process.terminate()  # so that an interrupted probe stops its FEFF processes too
        process.wait()
        watch.join()
    return _answer(what, out, process.returncode, peak[0])


def _answer(what: str, out: str, returncode: int, peak_bytes: int) -> dict:
    lines = out.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise errors.PhysicsError(
            f"probe of {what}: its process ended with status {returncode} and no answer"
        )
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["text"])
    return answer | {"peak_bytes": max(peak_bytes, answer["peak_bytes"])}


def _watch(process: subprocess.Popen, peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], resident_bytes(process.pid))
        time.sleep(POLL_SECONDS)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and the programs it runs; 0 for one that has ended."""
    try:
        program = Path(f"/proc/{pid}/exe").readlink()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        threads = [one.read_text().split() for one in Path(f"/proc/{pid}/task").glob("*/children")]
        # Until it has become another program, a child shares the memory of its parent.
        below = [
            int(child)
            for children in threads
            for child in children
            if Path(f"/proc/{child}/exe").readlink() != program
        ]
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize() + sum(map(resident_bytes, below))
