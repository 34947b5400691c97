"""Foreign text inside an error message: one line, printable, not too long."""


def one_line(text: object, *, limit: int = 300) -> str:
    """`text` (an exception without a message: its type) on one line, without control characters."""
    if isinstance(text, Exception):
        text = str(text) or type(text).__name__
    printable = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 10 * limit])
    line = " ".join(printable.split())
    return line if len(line) <= limit else f"{line[:limit]}..."
