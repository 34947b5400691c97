"""The restart files of a run: LAMMPS' own, and the samples that were collected before it."""

import shutil

from nnexafs.jobs.restart import RestartFolder
from nnexafs.structures.dynamics.lammps import Lammps
from nnexafs.structures.dynamics.samples import Samples


class Restarts:
    """Keeps a run's restart files in a folder and resumes from them; without a folder it does nothing."""

    def __init__(self, folder: RestartFolder | None) -> None:
        self.folder = folder
        self._sample_files: list[str] = []
        self._saved = 0

    def keep(self, lammps: Lammps, samples: Samples) -> None:
        """Keep the restart file that LAMMPS has just written, and the samples taken since the last one."""
        if self.folder is None:
            return
        step, first, files = lammps.step, self._saved, list(self._sample_files)
        new = {f"restart-{step}.lammps": lambda path: shutil.copyfile(lammps.restart_file, path)}
        if len(samples) > first:
            files.append(f"restart-{step}.npz")
            new[files[-1]] = lambda path: samples.save(path, first=first)
        position = {"step": step, "sample_files": files}
        if self.folder.keep(position, new=new, still=self._sample_files):
            self._sample_files, self._saved = files, len(samples)

    def resume(self, lammps: Lammps, samples: Samples) -> bool:
        """Give LAMMPS and `samples` what the folder holds; False where it holds nothing of use."""
        position = self.folder.load() if self.folder else None
        if position is None:
            return False
        step, self._sample_files = position["step"], position["sample_files"]
        for name in self._sample_files:
            samples.load(self.folder.path(name))  # type: ignore[union-attr]
        self._saved = len(samples)
        shutil.copyfile(self.folder.path(f"restart-{step}.lammps"), lammps.restart_file)  # type: ignore[union-attr]
        lammps.read_restart()
        return True
