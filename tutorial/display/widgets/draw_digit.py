"""Draw a digit, and a network classifies it while you draw."""

import json
import re
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from tutorial.data import MNIST
from tutorial.display.widgets.digits import network_of, probabilities, quantised
from tutorial.parameters import checked

# One of each digit, of those that are easy to read, by their places in the test data.
EXAMPLES = [10, 5, 35, 32, 19, 23, 21, 17, 134, 12]

SCRIPT, STYLE = (
    Path(__file__).with_suffix(ending).read_text(encoding="utf-8") for ending in (".js", ".css")
)
ALONE = "Draw a digit here: for that, this page must be allowed to run its script."
ASKS = (
    "Draw a digit here: for that, run this cell, since the network is in Python. With embed=True "
    "it is in the page."
)


class DrawDigit(anywidget.AnyWidget):
    """A sheet of paper to draw a digit on, and the probabilities that a network gives it.

    The drawing becomes a picture as those of MNIST were made: its ink fits into 20 x 20 pixels,
    and its centre of mass lies in the middle of 28 x 28. With a keyboard alone, choose an example.

    Args:
        model: a Model, or a network, that gives ten scores for pictures (N, 1, 28, 28). It answers
            as it is at that moment: train it further, and draw again.
        transform: what its training data went through; the same as given to `datasets.MNIST`.
        embed: put a copy of the network into the widget, its weights rounded to 8 bits. Then the
            page itself predicts, without Python: also in a saved notebook or on a web site.

    Attributes:
        picture: the drawing, 28 x 28 bytes, 0 is paper and 255 ink; empty if there is none. Set
            it to show a picture of your own.
        probabilities: ten numbers, worked out by Python, or with `embed` by the page.
        problem: why there are none, in words; or empty.

    Raises:
        TypeError: model is neither a Model nor a network.
        ValueError: the network does not take such pictures or give ten scores; or it cannot be
            embedded: see `digits.quantised`.

    Example:
        >>> from torch import nn
        >>> widget = DrawDigit(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
        >>> widget.picture = bytes(784)
        >>> round(sum(widget.probabilities), 4)
        1.0
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")

    picture = traitlets.CBytes().tag(sync=True)
    probabilities = traitlets.List(traitlets.Float()).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    examples = traitlets.Bytes().tag(sync=True)
    embedded = traitlets.Dict().tag(sync=True)
    region = traitlets.Unicode().tag(sync=True)  # the mark of the HTML in which it is shown

    def __init__(self, model: Any, transform: Any = None, embed: bool = False) -> None:
        checked(DrawDigit.__init__, locals())
        self._network, self._transform = network_of(model), transform
        probabilities(self._network, transform, bytes(784))  # say now what would fail later
        super().__init__(
            examples=MNIST("test").data[EXAMPLES].numpy().tobytes(),
            embedded=quantised(self._network, transform) if embed else {},
            region=uuid4().hex,
        )

    @traitlets.validate("picture")
    def _of_one_size(self, proposal: Any) -> bytes:
        picture: bytes = proposal["value"]
        if len(picture) not in (0, 784):
            raise traitlets.TraitError(
                f"picture has {len(picture)} bytes, but 28 * 28 = 784 are expected, or none. Of an "
                "image in `datasets.MNIST`: data.data[0].numpy().tobytes()."
            )
        return picture

    @traitlets.observe("picture")
    def _answer(self, change: Any) -> None:
        if self.embedded:
            return  # the page answers
        self.problem = ""
        try:
            self.probabilities = (
                probabilities(self._network, self._transform, self.picture) if self.picture else []
            )
        except ValueError as error:  # an error would end in a log that nobody reads
            self.probabilities, self.problem = [], str(error)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """HTML, in which the widget is shown: it stays where the kernel, or the widget, is gone."""
        if not self.embedded and "google.colab" in sys.modules:
            return super()._repr_mimebundle_(**options)  # there, a widget needs a view of its own
        sentence = ALONE if self.embedded else ASKS
        html = f'<div data-draw-digit="{self.region}"><p>{sentence}</p></div><style>{STYLE}</style>'
        if self.embedded:
            html += f"<script>{self._script()}</script>"
        return {"text/plain": repr(self), "text/html": html}, {}

    def _script(self) -> str:
        """The widget's script, for a page without Python, and the values that it would share."""
        names = ("picture", "probabilities", "problem", "examples", "embedded", "region")
        values = json.dumps({name: getattr(self, name) for name in names}, default=_in_base64)
        script = re.sub(r"^export (default .*\n)?", "", SCRIPT, flags=re.MULTILINE)
        text = json.dumps(values).replace("<", "\\u003c")
        return f"(() => {{\n{script}\nalone({text});\n}})();"

    def __repr__(self) -> str:
        return "DrawDigit: a widget; Jupyter shows it as a sheet of paper to draw a digit on"


def _in_base64(data: bytes) -> dict[str, str]:
    return {"base64": b64encode(data).decode()}
