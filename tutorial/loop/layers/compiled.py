"""torch.compile makes the network faster, for the price of a slow first step."""

import torch

from tutorial.loop.layers import fit
from tutorial.loop.options import COMPILE, EPOCHS


@fit(COMPILE)
def compiled(network):
    ...
    network = torch.compile(network)  # faster, but its first step is slow
    for epoch in range(EPOCHS):
        ...
    ...
