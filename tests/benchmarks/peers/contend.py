"""The process of one contender: does what it is asked for on its standard input, line by line.

A line is JSON: {"do": ..., "task": {...}}; the answer is a line in the pipe whose number is given.
What the contender itself shows goes to the terminal, as for a user.
"""

import importlib
import json
import os
import resource
import sys
import time
import traceback
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from tasks import Task

warnings.simplefilter("ignore")  # of peers: they would be shown at each call


def main(name: str, pipe: int) -> None:
    def tell(answer: dict[str, Any]) -> None:
        os.write(pipe, json.dumps(answer).encode() + b"\n")

    @lru_cache(maxsize=1)
    def contender(task: Task) -> Any:
        return module.Contender(task)

    began = time.perf_counter()
    module = importlib.import_module(name)
    tell({"imports": time.perf_counter() - began})

    for line in sys.stdin:
        request = json.loads(line)
        task = Task(**request["task"])
        try:
            tell(ANSWERS[request["do"]](contender(task), task, tell))
        except Exception:
            tell({"error": traceback.format_exc()})


def seconds(contender: Any, do: str) -> dict[str, Any]:
    """How long it takes."""
    began = time.perf_counter()
    getattr(contender, do)()
    return {"seconds": time.perf_counter() - began}


def count(contender: Any, task: Task, _: Any) -> dict[str, Any]:
    """The steps of an epoch, which also warms up."""
    steps: list[None] = []
    contender.train(lambda *_: steps.append(None))
    return {"steps": len(steps)}


def measure(contender: Any, task: Task, _: Any) -> dict[str, Any]:
    """What was learned, by the predictions; and what the contender's own evaluation says of it."""
    _, said = contender.evaluate()
    y_hats = contender.predict()
    y_hat = np.concatenate([*map(np.asarray, y_hats)]) if isinstance(y_hats, list) else y_hats
    accuracy = float((np.asarray(y_hat).argmax(1) == task.arrays()[1]).mean())
    if said is not None and abs(float(said) - accuracy) > 1e-4:
        raise ValueError(f"the evaluation says {said}, but by the predictions it is {accuracy}")
    return {"accuracy": accuracy}


def start(contender: Any, task: Task, tell: Any) -> dict[str, Any]:
    """Tell when the first step is done; then the most memory that this process ever had, in MB."""
    first = iter([{"stepped": True}])
    contender.train(lambda *_: [tell(answer) for answer in first])
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


ANSWERS = {
    "count": count,
    "measure": measure,
    "start": start,
    **{
        do: (lambda contender, task, _, do=do: seconds(contender, do))
        for do in ("train", "evaluate", "predict")
    },
}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
