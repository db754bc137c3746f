"""What Insight costs in the lesson's epoch: steps with and without it, in turn, in one run."""

import time

import torch
from torch import nn
from torchvision.transforms import Normalize

import tutorial as tl


def test_what_insight_costs_in_the_lessons_epoch() -> None:
    torch.set_num_threads(1)
    data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    model = tl.Model(net)
    metric = tl.metrics.Accuracy()
    model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), metric)
    insight = tl.callbacks.Insight()

    def seconds(callbacks: object) -> float:
        model.fit(data, num_iters=20, verbose=0, callbacks=callbacks)
        began = time.process_time()
        model.fit(data, verbose=0, callbacks=callbacks)
        return time.process_time() - began

    shares = sorted(seconds(insight) / seconds(None) - 1 for _ in range(5))
    measured = len(insight.rows)
    print(
        f"\ninsight: {100 * shares[2]:.2f} % of the lesson's epoch (5 times "
        f"{', '.join(f'{100 * share:.2f}' for share in shares)} %), {measured} measurements, "
        f"{1000 * insight.took:.1f} ms the last"
    )
    assert shares[2] < 0.05
