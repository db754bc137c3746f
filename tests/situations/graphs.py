"""Networks for graphs, in a module of their own: it needs torch_geometric."""

import torch
from torch import nn
from torch_geometric.nn import GCNConv, global_mean_pool


class GraphNet(nn.Module):
    """A class for each graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = GCNConv(4, 8), nn.Linear(8, 3)

    def forward(self, data):
        h = self.conv(data.x, data.edge_index).relu()
        return self.fc(global_mean_pool(h, data.batch))


class FullGraph(nn.Module):
    """A class for each node."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = GCNConv(4, 3)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.conv(x, edge_index)
