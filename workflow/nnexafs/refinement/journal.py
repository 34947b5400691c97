"""What a refinement has computed, kept on disk: a killed one computes none of it again and takes the same path."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from nnexafs.jobs.restart import RestartFolder
from nnexafs.refinement.replicas import Pulls, Replicas
from nnexafs.refinement.target import Misfit

Arrays = dict[str, np.ndarray]


class Journal:
    """Results by what they were computed from, in a job's restart folder, each written as soon as it is known.

    The folder belongs to one job: same spectrum, tables, settings and code, or it is not used (`RestartFolder`).
    """

    def __init__(self, folder: RestartFolder) -> None:
        self.folder = folder
        position = folder.load()
        self._files: list[str] = [] if position is None else position["files"]
        self.kept = len(self._files)
        """results of an earlier attempt"""

    def result(self, key: str, compute: Callable[[], Arrays]) -> Arrays:
        """The result with that key (hexadecimal): the kept one, or computed and kept."""
        name = f"restart-{key}.npz"
        if name in self._files:
            with np.load(self.folder.path(name), allow_pickle=False) as stored:
                return dict(stored)
        found = compute()
        files = [*self._files, name]
        if self.folder.keep({"files": files}, new={name: _writer(found)}, still=self._files):
            self._files = files
        return found


def _writer(arrays: Arrays) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)  # type: ignore[arg-type]


class KeptReplicas(Replicas):
    """`Replicas` whose spectra and gradients are kept in a journal."""

    def __init__(self, *arguments: object, journal: Journal, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.journal = journal

    def correct_taper(self, cells: Sequence[Atoms]) -> None:
        """As in `Replicas`."""

        def compute() -> Arrays:
            super(KeptReplicas, self).correct_taper(cells)
            return {"correction": self.correction}

        self.correction = self.journal.result(self._key("taper", cells), compute)["correction"]

    def chi(self, cells: Sequence[Atoms]) -> np.ndarray:
        """As in `Replicas`."""
        whole = super().chi
        return self.journal.result(self._key("chi", cells), lambda: {"chi": whole(cells)})["chi"]

    def misfit_and_pulls(
        self, cells: Sequence[Atoms], misfit_of: Callable[[np.ndarray], Misfit]
    ) -> tuple[Misfit, Pulls]:
        """As in `Replicas`; the misfit of a kept spectrum is computed again."""
        misfits: list[Misfit] = []

        def compute() -> Arrays:
            seen: list[np.ndarray] = []

            def watched(chi: np.ndarray) -> Misfit:
                seen.append(chi)
                misfits.append(misfit_of(chi))
                return misfits[0]

            _, pulls = super(KeptReplicas, self).misfit_and_pulls(cells, watched)
            ends = np.cumsum([len(one) for one in pulls.by_position])
            return {
                "chi": seen[0],
                "by_position": np.concatenate(pulls.by_position),
                "ends": ends,
                "by_strain": np.array(pulls.by_strain),
            }

        found = self.journal.result(self._key("pulls", cells), compute)
        misfit = misfits[0] if misfits else misfit_of(found["chi"])
        return misfit, Pulls(np.split(found["by_position"], found["ends"][:-1]), float(found["by_strain"]))

    def _key(self, what: str, cells: Sequence[Atoms]) -> str:
        """Hash of the cells, the correction that is added to their spectrum, and what is asked of them."""
        digest = hashlib.sha256(what.encode())
        digest.update(self.correction.tobytes())
        for atoms, absorbers in zip(cells, self.absorbers, strict=True):
            for values in (atoms.numbers, atoms.positions, atoms.cell[:], absorbers):
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:24]
