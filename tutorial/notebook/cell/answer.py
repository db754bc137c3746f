"""What a front end is told of a cell: the unrolled cell as JSON, or why there is none."""

from collections.abc import Mapping
from typing import Any

from tutorial.notebook.cell.parts import CellError
from tutorial.notebook.cell.unrolled import unroll_cell


class Answer:
    """The unrolled cell, shown as JSON: `source` and `pairs`; or `error`, a message.

    A front end asks for it by an expression, which leaves no trace in the notebook: neither a name
    nor an entry in its history.

    Args:
        source: the cell. A first line `%%unroll` is left out.
        namespace: what its names stand for, such as `globals()`.

    Example:
        >>> import torch, tutorial as tl
        >>> clf, points = tl.Model(torch.nn.Linear(1, 2)), torch.zeros(3, 1)
        >>> Answer("clf.predict_batch(points)", globals() | locals()).json.keys()
        dict_keys(['source', 'pairs'])
        >>> Answer("print(points)", {}).json["error"]
        'there is no call of a Model in this cell. Looked for: ...
    """

    def __init__(self, source: str, namespace: Mapping[str, Any]) -> None:
        self.json: dict[str, Any]
        try:
            pairs = list(unroll_cell(source, namespace).pairs)
        except CellError as error:
            self.json = {"error": str(error)}
            return
        if pairs[0].before.startswith("%%unroll"):
            del pairs[0]
        unrolled = "".join(pair.after for pair in pairs).strip("\n")
        self.json = {"source": unrolled, "pairs": [pair._asdict() for pair in pairs]}

    def _repr_json_(self) -> dict[str, Any]:
        return self.json
