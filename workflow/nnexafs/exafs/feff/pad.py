"""FEFF's packed-ASCII numbers, as its files phase.pad and feff.pad hold them."""

import numpy as np

# Source of the format: padlib of feff85exafs (wrpadd, unpad): base-90 digits as characters from '%' on.
CHARACTERS = 8  # of one number; both files are written with this many
PER_LINE = 10
BASE, OFFSET = 90, 37
HALF_BASE = BASE // 2


def numbers(packed: bytes) -> np.ndarray:
    """The real numbers of a run of packed characters (8 each), without line starts and ends.

    The first character is the decimal exponent, the second the sign and the leading digit, the rest digits.
    ValueError where the length is no multiple of 8.
    """
    codes = np.frombuffer(packed, dtype=np.uint8).reshape(-1, CHARACTERS).astype(np.int64) - OFFSET
    exponent, leading = codes[:, 0] - HALF_BASE, codes[:, 1]
    scales = 1.0 / (HALF_BASE * float(BASE) ** np.arange(CHARACTERS - 1))
    digits = np.column_stack([leading // 2, codes[:, 2:]])
    # the exponent 45 below the offset stands for zero
    sign = np.where(leading % 2 == 1, 1.0, -1.0)
    return sign * (digits @ scales) * 10.0**exponent


def lines_of(count: int) -> int:
    """How many lines an array of `count` numbers takes."""
    return -(-count // PER_LINE)


def packed(lines: list[bytes]) -> bytes:
    """Packed characters of an array's lines, each of which starts with `!` (real) or `$` (complex)."""
    return b"".join(line[1:].rstrip(b"\r\n") for line in lines)
