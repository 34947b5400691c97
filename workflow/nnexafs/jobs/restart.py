"""Restart files of long work: a killed job goes on from the last ones instead of from zero."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from nnexafs.errors import UserError
from nnexafs.files import read_json, sha256, write_json

LOGGER = logging.getLogger(__name__)
POSITION = "restart.json"
OWN_FILES = ("restart*", f".{POSITION}.*")

Writer = Callable[[Path], None]


class RestartFolder:
    """The files from which one piece of work goes on, and `restart.json`, which says where they stand.

    `restart.json` is written last and by renaming, and holds the sha256 of every file it names: a kill at any moment
    leaves the files of one moment, those of before or those of after. `key` stands for everything the work
    depends on; files kept under another key are not used. `name` is what the log calls the work.
    """

    def __init__(self, folder: Path, *, key: str, name: str) -> None:
        self.folder, self.key, self.name = Path(folder), key, name
        self._hashes: dict[str, str] = {}

    def path(self, file: str) -> Path:
        """Where a file of this folder lies."""
        return self.folder / file

    def load(self) -> dict | None:
        """What `keep` was told last, all files being whole; otherwise None, and what lies there is removed."""
        if not self.path(POSITION).exists():
            return None
        try:
            return self._checked()
        except UserError as error:
            self.discard(str(error))
            return None

    def discard(self, reason: str) -> None:
        """Remove the files with a warning: the work starts from zero."""
        self._hashes = {}
        remove(self.folder)
        LOGGER.warning(
            f"{self.name}: restart files not used, starting from the beginning: {' '.join(reason.split())}"
        )

    def remove(self) -> None:
        """Remove the files, when the result is written."""
        remove(self.folder)

    def keep(self, position: dict, *, new: dict[str, Writer], still: Iterable[str] = ()) -> bool:
        """Write the files `new` (all named restart...); they and those of before in `still` are then the last ones.

        A name in `new` must not be that of a file in use. Files that are not named any more are removed. Where the
        disk is full or away the files of before stay the last, with a warning: False.
        """
        hashes = {name: self._hashes[name] for name in still}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, write in new.items():
                write(self.path(name))
                hashes[name] = sha256(self.path(name))
            write_json(self.path(POSITION), {"key": self.key, "position": position, "sha256": hashes})
        except OSError as error:
            LOGGER.warning(f"{self.name}: restart files not written: {error.strerror or error}")
            return False
        self._hashes = hashes
        _remove_files(self.folder, keeping={*hashes, POSITION})
        return True

    def _checked(self) -> dict:
        """The position of `restart.json`; UserError, with the reason, where its files are not to be used."""
        stored = read_json(self.path(POSITION), what="restart")
        position, hashes = stored.get("position"), stored.get("sha256")
        if stored.get("key") != self.key:
            raise UserError("made with other settings, input or code")
        if not isinstance(position, dict) or not isinstance(hashes, dict):
            raise UserError(f"{POSITION} is incomplete")
        for name, expected in hashes.items():
            self._check_file(name, expected)
        self._hashes = hashes
        return position

    def _check_file(self, name: str, expected: str) -> None:
        if Path(name).name != name or not self.path(name).is_file():
            raise UserError(f"no file {name}")
        if sha256(self.path(name)) != expected:
            raise UserError(f"{name} was changed since it was written")


def remove(folder: Path) -> None:
    """Remove the restart files in `folder` and in its subfolders, and the folders that are empty then; nothing else."""
    folder = Path(folder)
    if not folder.is_dir():
        return
    for below in folder.iterdir():
        if below.is_dir() and not below.is_symlink():
            remove(below)
    _remove_files(folder)
    if not any(folder.iterdir()):
        folder.rmdir()


def _remove_files(folder: Path, *, keeping: Iterable[str] = ()) -> None:
    for pattern in OWN_FILES:
        for path in folder.glob(pattern):
            if path.is_file() and path.name not in keeping:
                path.unlink(missing_ok=True)


def key_of(**values: object) -> str:
    """Hash of everything a piece of work depends on (values fit for JSON)."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
