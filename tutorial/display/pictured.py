"""A matplotlib figure that a notebook shows with an alternative text, in the colours of its theme.

matplotlib draws black on white. Here the white is left out, and what is black takes the colour that
reads well on the page: SVG knows whether that is dark.
"""

import re
from base64 import b64encode
from html import escape
from io import StringIO

import matplotlib as mpl
from matplotlib import figure

from tutorial.display.logarithmic import THEMES

# Inside of the image; it knows whether the color-scheme of the page around it is dark.
COLORS = (
    "<style>svg{color:#4a4a4a;fill:currentColor}"
    "@media(prefers-color-scheme:dark){svg{color:#c4c4c4}}</style>"
)
PATH = re.compile(r'(?<= d=")[^"]*')


def rounded(path: str) -> str:
    """The path with a digit behind the point: a tenth of a pixel, in a third of the letters.

    >>> rounded("M 3.00024 110.18326 L 97.79976 -0.04")
    'M3 110.2L97.8 -0'
    """
    numbers = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}", path)
    short = re.sub(r"\.0\b", "", numbers)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", short).replace("\n", " ").strip()


class Figure(figure.Figure):
    """A figure of matplotlib's; its text tells what it shows to those who cannot see it.

    Attributes:
        alt: the alternative text.
    """

    alt = "a figure"

    def _repr_html_(self) -> str:
        """The figure as an image of SVG, which needs no script and no network."""
        file = StringIO()
        with mpl.rc_context({"svg.hashsalt": "tutorial", "svg.fonttype": "path"}):
            self.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        drawn = file.getvalue()
        start = drawn.index("<svg")
        opening, rest = drawn[start:].split(">", 1)
        width = re.search(r'width="([\d.]+)pt"', opening)
        in_colour = re.sub(r"(?<=: )#000000\b", "currentColor", rest)
        svg = f"{opening}>{COLORS}{PATH.sub(lambda path: rounded(path[0]), in_colour)}"
        style = f"width:{float(width[1]) if width else 400:.0f}pt;max-width:100%;height:auto"
        source = b64encode(svg.encode()).decode()
        return (
            f'{THEMES}<img class="tutorial-figure" alt="{escape(self.alt)}" style="{style}" '
            f'src="data:image/svg+xml;base64,{source}">'
        )
