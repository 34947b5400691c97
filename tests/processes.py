"""Processes for tests to kill, forked from a server that has imported once what takes seconds to import."""

import importlib.util
import inspect
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["nnexafs.learning.studies", "nnexafs.structures.dynamics.simulation"])


@contextmanager
def forked(function: Callable, *arguments: object) -> Iterator[BaseProcess]:
    """A process in which a function of a test file runs; it ends with the block at the latest."""
    process = SERVER.Process(target=_call, args=(inspect.getfile(function), function.__name__, arguments))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _call(file: str, name: str, arguments: tuple) -> None:
    """Test files are no modules that Python would find by their names."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    getattr(module, name)(*arguments)
