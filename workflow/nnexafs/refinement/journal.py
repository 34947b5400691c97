"""What a refinement has computed, kept on disk: a killed one computes none of it again and takes the same path."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from nnexafs.jobs.restart import RestartFolder
from nnexafs.refinement.replicas import Pulls, Replicas

Arrays = dict[str, np.ndarray]


class Journal:
    """Arrays by what they were computed from, in a job's restart folder, each written as soon as it is known.

    The folder belongs to one job: same spectrum, tables, settings and code, or it is not used (`RestartFolder`).
    """

    def __init__(self, folder: RestartFolder) -> None:
        self.folder = folder
        position = folder.load()
        self._files: list[str] = [] if position is None else position["files"]
        self.earlier_seconds: float = 0.0 if position is None else position["seconds"]
        """that earlier attempts took until they kept their last result"""
        self._began = time.perf_counter()
        self.kept = len(self._files)
        """results of an earlier attempt"""
        self._writable = True

    def find(self, key: str) -> Arrays | None:
        """The result with that key (hexadecimal); None where it is not kept."""
        name = _file(key)
        if name not in self._files:
            return None
        with np.load(self.folder.path(name), allow_pickle=False) as stored:
            return dict(stored)

    def keep(self, found: Mapping[str, Arrays]) -> None:
        """Write new results by key, all or none; none any more after a failure (a full disk), which the log tells."""
        if not self._writable:
            return
        new = {_file(key): _writer(arrays) for key, arrays in found.items() if _file(key) not in self._files}
        files = [*self._files, *new]
        seconds = self.earlier_seconds + time.perf_counter() - self._began
        self._writable = self.folder.keep({"files": files, "seconds": seconds}, new=new, still=self._files)
        if self._writable:
            self._files = files


def _file(key: str) -> str:
    return f"restart-{key}.npz"


def _writer(arrays: Arrays) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)  # type: ignore[arg-type]


def _arrays(pulls: Pulls) -> Arrays:
    return {
        "by_position": np.concatenate(pulls.by_position),
        "ends": np.cumsum([len(one) for one in pulls.by_position]),
        "by_strain": np.array(pulls.by_strain),
    }


class KeptReplicas(Replicas):
    """`Replicas` whose spectra and gradients are kept in a journal."""

    def __init__(self, *arguments: Any, journal: Journal, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.journal = journal

    def correct_taper(self, cells: Sequence[Atoms]) -> None:
        """As in `Replicas`."""
        key = self._key("taper", cells)
        kept = self.journal.find(key)
        if kept is not None:
            self.correction = kept["correction"]
            return
        super().correct_taper(cells)
        self.journal.keep({key: {"correction": self.correction}})

    def chi(self, cells: Sequence[Atoms]) -> np.ndarray:
        """As in `Replicas`."""
        key = self._key("chi", cells)
        kept = self.journal.find(key)
        if kept is not None:
            return kept["chi"]
        chi = super().chi(cells)
        self.journal.keep({key: {"chi": chi}})
        return chi

    def chi_and_pull(self, cells: Sequence[Atoms]) -> tuple[np.ndarray, Callable[[np.ndarray], Pulls]]:
        """As in `Replicas`; gradients are kept by the misfit's derivative too: the target may change on the way."""
        compute = super().chi_and_pull
        of_chi = self._key("chi", cells)
        kept = self.journal.find(of_chi)
        chi, computed = compute(cells) if kept is None else (kept["chi"], None)

        def pull(by_chi: np.ndarray) -> Pulls:
            of_pulls = self._key("pulls", cells, by_chi)
            arrays = self.journal.find(of_pulls)
            if arrays is None:
                arrays = _arrays((computed or compute(cells)[1])(by_chi))
                self.journal.keep({of_chi: {"chi": chi}, of_pulls: arrays})
            by_position = np.split(arrays["by_position"], arrays["ends"][:-1])
            return Pulls(by_position, float(arrays["by_strain"]))

        return chi, pull

    def _key(self, what: str, cells: Sequence[Atoms], *more: np.ndarray) -> str:
        """Hash of what is asked, the cells, the tables, and the correction that is added to their spectrum."""
        digest = hashlib.sha256(what.encode())
        digest.update(self.tables.phases_hash.encode())
        arrays = [self.correction, *more]
        for atoms, absorbers in zip(cells, self.absorbers, strict=True):
            arrays += [atoms.numbers, atoms.positions, atoms.cell[:], absorbers]
        for values in arrays:
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:24]
