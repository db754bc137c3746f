"""Mixed precision: the forward pass in 16 bits; with float16 the loss is scaled, too."""

import torch

from tutorial.loop.layers import evaluate_step, fit_step, predict_batch, predict_step, train_batch
from tutorial.loop.options import AUTOCAST, AUTOCAST_DTYPE, DEVICE_TYPE, GRAD_SCALER, UPDATE


@fit_step(AUTOCAST)
@evaluate_step(AUTOCAST)
@train_batch(AUTOCAST)
def forward_in_16_bits(network, loss_fn, x, y):
    ...
    with torch.autocast(DEVICE_TYPE, AUTOCAST_DTYPE):
        y_hat = network(x)
        loss = loss_fn(y_hat, y)
    ...


@predict_step(AUTOCAST)
def predict_in_16_bits(network, x):
    ...
    with torch.autocast(DEVICE_TYPE, AUTOCAST_DTYPE):
        y_hat = network(x)
    ...


@predict_batch(AUTOCAST)
def predict_a_batch_in_16_bits(network, x):
    ...
    with torch.no_grad():
        with torch.autocast(DEVICE_TYPE, AUTOCAST_DTYPE):
            y_hat = network(x)
    ...


@fit_step(GRAD_SCALER)
@train_batch(GRAD_SCALER)
def scaled_loss(loss_fn, y, y_hat, loss, optimizer, scaler):
    ...
    loss = loss_fn(y_hat, y)
    scaler.scale(...).backward()
    optimizer.step()
    ...


@fit_step(GRAD_SCALER)
@train_batch(GRAD_SCALER and UPDATE)
def no_step_on_overflow(loss, optimizer, scaler):
    ...
    loss.backward()
    scaler.step(optimizer)  # one small step downhill, unless a gradient overflowed
    scaler.update()  # then scale less
    optimizer.zero_grad()
    ...
