"""What the display of a notebook costs, in a real kernel (`make bench`)."""

import json

# A fit of about 3 seconds. Whatever the loop calls of its report is timed, `due` at every step too.
MEASURE = """
import json, time, torch, tutorial as tl
from torch import nn
from torchvision.transforms import Normalize
from tutorial.display.notebook import NotebookDisplay

torch.set_num_threads(1)
spent, calls = {}, {}
def timed(name):
    method = getattr(NotebookDisplay, name)
    def call(self, *arguments, **options):
        began = time.perf_counter()
        try:
            return method(self, *arguments, **options)
        finally:
            spent[name] = spent.get(name, 0) + time.perf_counter() - began
            calls[name] = calls.get(name, 0) + 1
    return call
for name in ("watch", "start", "due", "update", "finish", "close"):
    setattr(NotebookDisplay, name, timed(name))

data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
model = tl.Model(nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)))
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())
model.fit(data, num_iters=20)
rounds = []
for _ in range(5):
    spent.clear(); calls.clear()
    began = time.perf_counter()
    history = model.fit(data, num_iters=ITERS)
    took = time.perf_counter() - began
    rounds.append({"took": took, "spent": dict(spent), "calls": dict(calls)})
print(json.dumps(rounds))
"""


def test_the_display_of_a_fit_of_3_seconds(kernel) -> None:
    (*_, line) = kernel.run(MEASURE.replace("ITERS", "1170")).splitlines()
    rounds = sorted(json.loads(line), key=lambda r: sum(r["spent"].values()) / r["took"])
    shares = [sum(r["spent"].values()) / r["took"] for r in rounds]
    middle = rounds[len(rounds) // 2]
    print(
        f"\ndisplay: {100 * shares[2]:.2f} % of a fit of {middle['took']:.1f} s "
        f"({100 * shares[0]:.2f} to {100 * shares[-1]:.2f} %), "
        f"{middle['calls']['update']} updates; "
        + ", ".join(f"{name} {1000 * s:.1f} ms" for name, s in middle["spent"].items())
    )
