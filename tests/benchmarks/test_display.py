"""What the display of a notebook costs, in a real kernel (`make bench`)."""

import json

# A fit of about 3 seconds. Whatever the loop calls of its report is timed; `due`, which it calls at
# every step and which takes less than looking at a clock does, in a loop of its own. All seconds
# are the processor's, the display's own clock too: what else the machine does does not count.
MEASURE = """
import json, time, torch, types, tutorial as tl
from time import process_time
from torch import nn
from torchvision.transforms import Normalize
from tutorial.display import bar, notebook, report

report_of_nobody = notebook.NotebookDisplay()
report_of_nobody.next_update = float("inf")
began = process_time()
for step in range(100_000):
    report_of_nobody.due(step)
due = (process_time() - began) / 100_000

torch.set_num_threads(1)
bar.time = notebook.time = report.time = types.SimpleNamespace(monotonic=process_time)
spent, calls = {}, {}
def timed(name):
    method = getattr(notebook.NotebookDisplay, name)
    def call(self, *arguments, **options):
        began = process_time()
        try:
            return method(self, *arguments, **options)
        finally:
            spent[name] = spent.get(name, 0) + process_time() - began
            calls[name] = calls.get(name, 0) + 1
    return call
for name in ("watch", "start", "update", "finish", "close"):
    setattr(notebook.NotebookDisplay, name, timed(name))

data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
model = tl.Model(nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)))
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())
model.fit(data, num_iters=400)
rounds = []
for _ in range(5):
    spent.clear(); calls.clear()
    began = process_time()
    history = model.fit(data, num_iters=ITERS)
    took = process_time() - began
    rounds.append({"took": took, "spent": {**spent, "due": ITERS * due}, "calls": dict(calls)})
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
    assert shares[2] < 0.01
