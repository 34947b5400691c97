"""Words in messages: foreign text on one line, printable, not too long; numbers of things."""


def one_line(text: object, *, limit: int = 300) -> str:
    """`text` (an exception without a message: its type) on one line, without control characters."""
    if isinstance(text, Exception):
        text = str(text) or type(text).__name__
    printable = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 10 * limit])
    line = " ".join(printable.split())
    return line if len(line) <= limit else f"{line[:limit]}..."


def counted(count: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
