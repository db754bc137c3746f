"""Training. Read this first; it runs as it stands.

A name in CAPITALS is an option: a call, and what was prepared for it, decide it before the loop
begins. What each further option changes in this loop is a file of its own, in layers/. At a
terminal, `tutorial loop fit accumulate_grad_batches=4 --changes` shows it.
"""

from typing import Any

from torch.utils.data import DataLoader

from tutorial.loop.helpers import means
from tutorial.loop.options import BATCH_SIZE, EPOCHS, LOG_FREQ, METRICS, SHUFFLE


def fit(network: Any, loss_fn: Any, optimizer: Any, train_data: Any) -> Any:
    """Predict, measure how wrong that was, take one small step downhill; again and again."""
    train_loader = DataLoader(train_data, batch_size=BATCH_SIZE, shuffle=SHUFFLE)
    step_losses: list[Any] = []
    rows: list[dict[str, float]] = []
    for epoch in range(EPOCHS):
        network.train()  # dropout and batch norm behave as in training
        for metric, _, _ in METRICS:
            metric.reset()
        loss_sum, samples = 0.0, 0
        for step, (x, y) in enumerate(train_loader):
            y_hat = network(x)  # forward: predict
            loss = loss_fn(y_hat, y)  # how wrong was it?
            loss.backward()  # backward: a gradient for every weight
            optimizer.step()  # one small step downhill
            optimizer.zero_grad()  # forget this batch's gradients
            step_losses.append(loss.item())  # for the curve
            loss_sum += step_losses[-1] * len(x)  # so that the mean is over samples
            samples += len(x)
            for metric, output, label in METRICS:  # such as accuracy, y_hat, y
                metric.update(output, label)
            if (step + 1) % LOG_FREQ == 0:
                print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")
        rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
        print({name: round(number, 4) for name, number in rows[-1].items()})
    return step_losses, rows
