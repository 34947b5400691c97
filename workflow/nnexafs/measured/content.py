"""The bytes of a measured file: size and table checked before any reader gets them."""

import gzip
import io
import zlib
from pathlib import Path

from nnexafs.errors import UserError
from nnexafs.text import one_line

GZIP_MAGIC = b"\x1f\x8b"
LARGEST_BYTES = 32 * 2**20
LARGEST_COLUMNS = 1000
LARGEST_CELLS = 2_000_000
MOST_WORDS_OF_TEXT = 5000  # larch asks of each whether it is a date, for 0.3 ms
MARKS_OF_COMMENTS = "#;!<*%"


def content_of(path: Path) -> bytes:
    """The file, decompressed where it is gzipped; UserError for one that is missing, binary, empty or too large."""
    if not path.is_file():
        raise UserError(f"{path}: no such spectrum file")
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot read the spectrum: {error.strerror}") from error
    if content.startswith(GZIP_MAGIC):
        content = _decompressed(content, path)
    if len(content) > LARGEST_BYTES:
        raise UserError(
            f"{path}: more than {LARGEST_BYTES >> 20} MiB; expected one spectrum, not a whole run"
        )
    if not content.strip():
        raise UserError(f"{path}: the file is empty; expected columns of mu(E) or chi(k)")
    if b"\0" in content:
        raise UserError(f"{path}: a binary file; expected text columns, XDI or an Athena project")
    return content


def _decompressed(content: bytes, path: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            return stream.read(LARGEST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: a damaged gzip file: {one_line(error)}; copy the file again") from error


def text_of(content: bytes) -> str:
    """Text of any encoding with plain line ends; what is not ASCII is only ever in comments and becomes `?`."""
    text = content.decode("utf-8-sig", errors="replace").encode("ascii", errors="replace").decode("ascii")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_table(text: str, path: Path) -> None:
    """Refuse what cannot be the table of a spectrum and would keep the reader busy for minutes."""
    rows, widest, prose = 0, 0, 0
    for line in text.split("\n"):
        words = line.replace("\t", " ").replace(",", " ").replace(";", " ").split()
        if not words or words[0][0] in MARKS_OF_COMMENTS:
            continue
        rows, widest = rows + 1, max(widest, len(words))
        prose += 0 if all(map(is_number, words)) else len(words)
        if prose > MOST_WORDS_OF_TEXT or widest > LARGEST_COLUMNS or rows * widest > LARGEST_CELLS:
            break
    if prose > MOST_WORDS_OF_TEXT:
        raise UserError(f"{path}: text instead of rows of numbers; expected columns of mu(E) or chi(k)")
    if widest > LARGEST_COLUMNS:
        raise UserError(f"{path}: a line of more than {LARGEST_COLUMNS} columns; expected one row of a table")
    if rows * widest > LARGEST_CELLS:
        raise UserError(
            f"{path}: more than {LARGEST_CELLS:,} numbers; expected one spectrum, not a whole run"
        )


def is_number(word: str) -> bool:
    """Whether a word of a table is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
