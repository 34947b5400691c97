"""Figures inside pages: SVG elements, and colours that follow the page's."""

import io
import re
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Matplotlib needs colours, a page has names for them: each of these becomes the page's variable.
INK, QUIET, LINE, BLUE, SECOND = "#1d232b", "#5d6672", "#e3e6ea", "#1f5fa8", "#c8552b"
VARIABLES = {INK: "--ink", QUIET: "--quiet", LINE: "--line", BLUE: "--blue", SECOND: "--second"}
SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "svg.fonttype": "path",
    "svg.hashsalt": "nnexafs",
}


def svg(figure: Figure) -> str:
    """The figure as an inline SVG element, the same bytes for the same figure."""
    buffer = io.StringIO()
    # Figure.savefig draws everything twice.
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%"', text, count=1)


def svg_of_page(figure: Figure, *, description: str, prefix: str) -> str:
    """The same without a ground, in the page's own colours, light or dark; `description` is for who cannot see it.

    `prefix` keeps apart the names of clip paths and glyphs of several figures on one page.
    """
    figure.patch.set_facecolor("none")
    text = svg(figure)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", _numbered(text))
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _numbered(text: str) -> str:
    """Clip paths and markers named by their order: matplotlib hashes coordinates whose last bits are not the same."""
    names: dict[str, str] = {}
    return re.sub(r"\b[mp][0-9a-f]{10}\b", lambda found: names.setdefault(found[0], f"n{len(names)}"), text)
