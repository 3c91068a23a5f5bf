"""Layers whose every weight has a leading replica axis, so that all seeds of a model train as one network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from betavae.stream import stream


class StackedLinear(nn.Module):
    """A fully connected layer for each replica: (R, batch, inputs) → (R, batch, outputs), one batched product."""

    def __init__(self, replicas: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(replicas, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(replicas, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)

    def restricted_to(self, x: Tensor, columns: Tensor) -> Tensor:
        """The layer's output for inputs that are zero outside `columns` (P,): x is (batch, P), for all replicas."""
        return x @ self.weight[:, columns] + self.bias


@torch.no_grad()
def initialise(network: nn.Module, seeds: Sequence[int]) -> None:
    """Xavier-uniform weights and zero biases (ours), replica r from its own seed only."""
    for name, layer in network.named_modules():
        if isinstance(layer, StackedLinear):
            _, inputs, outputs = layer.weight.shape
            bound = (6.0 / (inputs + outputs)) ** 0.5
            for replica, seed in enumerate(seeds):
                drawn = stream(seed, f"weights of {name}").uniform(-bound, bound, (inputs, outputs))
                layer.weight[replica] = torch.from_numpy(drawn.astype(np.float32))
            layer.bias.zero_()
