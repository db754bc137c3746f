"""Sequences: recurrent networks, packed and padded batches, sequence to sequence."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl

from .situation import Case, situation

LENGTHS = (2, 5, 3, 9, 4, 6, 8)


def ragged(features: int = 3) -> list[tuple[torch.Tensor, int]]:
    """Sequences of many lengths, and a class for each."""
    return [(torch.randn(length, features), length % 2) for length in LENGTHS]


class PackedLSTM(nn.Module):
    """Padded sequences and their lengths."""

    def __init__(self, features: int = 3, hidden: int = 8) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, 2)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.fc(self.lstm(packed)[1][0][-1])


def with_lengths(items):
    x = pad_sequence([x for x, _ in items], batch_first=True)
    return x, torch.tensor([len(x) for x, _ in items]), torch.tensor([y for _, y in items])


@situation(12, "LSTM with pack_padded_sequence, collate_fn, Accuracy")
def packed_lstm() -> Case:
    data = DataLoader(ragged(), 3, shuffle=True, collate_fn=with_lengths)
    return Case(
        PackedLSTM(), nn.CrossEntropyLoss(), data, metrics=tl.metrics.Accuracy(),
        step=lambda network, loss, batch: loss(network(batch[0], batch[1]), batch[2]),
        predict=lambda network, batch: network(batch[0], batch[1]), without=("predict",),
    )  # fmt: skip


def time_first(items):
    return pad_sequence([x for x, _ in items]), torch.tensor([y for _, y in items])


class TimeFirst(nn.Module):
    """The default of torch's recurrent layers: (T, B, F)."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.fc = nn.GRU(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.gru(x)[1][-1])


@situation(13, "GRU, batches (T, B, F)")
def gru_time_first() -> Case:
    data = DataLoader(ragged(), 3, collate_fn=time_first)
    return Case(TimeFirst(), nn.CrossEntropyLoss(), data)


def packed(items):
    sequences = pack_sequence([x for x, _ in items], enforce_sorted=False)
    return sequences, torch.tensor([y for _, y in items])


@situation(14, "a batch is (PackedSequence, y)")
def packed_sequence() -> Case:
    data = DataLoader(ragged(), 3, collate_fn=packed)
    return Case(TimeFirst(), nn.CrossEntropyLoss(), data)


class Translator(nn.Module):
    """An encoder and a decoder that is fed the target."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.encoder, self.decoder = nn.GRU(8, 8, batch_first=True), nn.GRU(8, 8, batch_first=True)
        self.fc = nn.Linear(8, 9)

    def forward(self, src, tgt):
        _, state = self.encoder(self.embed(src))
        return self.fc(self.decoder(self.embed(tgt), state)[0]).transpose(1, 2)


@situation(
    144,
    "sequence to sequence: (source, target in, target out)",
    refused="can be read in 2 ways.*Put the inputs into one tuple",
    instead="`((source, target_in), target_out)`, or a dict with the names of forward",
)
def seq2seq() -> Case:
    source, target = torch.randint(1, 9, (10, 5)), torch.randint(1, 9, (10, 6))
    data = TensorDataset(source, target[:, :-1], target[:, 1:])
    return Case(
        Translator(), nn.CrossEntropyLoss(), data,
        step=lambda network, loss, batch: loss(network(batch[0], batch[1]), batch[2]),
        predict=lambda network, batch: network(batch[0], batch[1]),
    )  # fmt: skip


class Sentences(Dataset):
    """((source, target in), target out)"""

    def __init__(self) -> None:
        self.source, self.target = torch.randint(1, 9, (10, 5)), torch.randint(1, 9, (10, 6))

    def __len__(self) -> int:
        return 10

    def __getitem__(self, i):
        return (self.source[i], self.target[i, :-1]), self.target[i, 1:]


@situation(144, "the same as ((source, target in), target out)")
def seq2seq_nested() -> Case:
    return Case(
        Translator(), nn.CrossEntropyLoss(), Sentences(),
        step=lambda network, loss, batch: loss(network(*batch[0]), batch[1]),
        predict=lambda network, batch: network(*batch[0]),
    )  # fmt: skip


def shifted_loss(y_hat, tgt):
    """The target one place on."""
    return F.cross_entropy(y_hat[:, :, :-1], tgt[:, 1:])


@situation(145, "sequence to sequence: (source, target), shifted in the loss")
def seq2seq_shifted() -> Case:
    data = TensorDataset(torch.randint(1, 9, (10, 5)), torch.randint(1, 9, (10, 6)))
    return Case(
        Translator(), shifted_loss, data,
        step=lambda network, loss, batch: loss(network(*batch), batch[1]),
        predict=lambda network, batch: network(*batch),
    )  # fmt: skip


class Recurrent(nn.Module):
    """A class that does not keep its arguments."""

    def __init__(self, features: int, hidden: int, classes: int, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn = kind(features, hidden, batch_first=True, num_layers=2, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, classes)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


@situation(
    153,
    "LSTM, GRU, RNN in a class that does not keep its arguments",
    each={"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN},
)
def recurrent(kind) -> Case:
    data = TensorDataset(torch.randn(12, 5, 4), torch.arange(12) % 3)
    return Case(Recurrent(4, 8, 3, kind), nn.CrossEntropyLoss(), data)


class Cells(nn.Module):
    """Recurrent cells, and a loop over time in forward."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cell, self.gate = nn.LSTMCell(4, hidden), nn.GRUCell(hidden, hidden)
        self.fc = nn.Linear(hidden, 3)

    def forward(self, x):
        state, gated = None, None
        for part in x.unbind(1):
            state = self.cell(part, state)
            gated = self.gate(state[0], gated)
        return self.fc(gated)


@situation(153, "LSTMCell and GRUCell, a loop over time in forward")
def cells() -> Case:
    data = TensorDataset(torch.randn(12, 5, 4), torch.arange(12) % 3)
    return Case(Cells(6), nn.CrossEntropyLoss(), data)


@situation(129, "nn.LSTM alone: its own output (out, (h, c))")
def bare_lstm() -> Case:
    data = TensorDataset(torch.randn(12, 5, 4), torch.arange(12) % 3)

    def loss(out, h, c, y):
        return F.cross_entropy(out[:, -1], y)

    def step(network, loss, batch):
        out, (h, c) = network(batch[0])
        return loss(out, h, c, batch[1])

    return Case(nn.LSTM(4, 8, batch_first=True), loss, data, step=step)
