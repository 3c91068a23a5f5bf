"""Adagrad (the paper's) and Adam: torch's own fused update of all of a player's weights, called directly.

The classes of `torch.optim` do the same sums, but making one loads torch's compiler: over a second of CPU time and
70 MB in every training, however short.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam

from betavae.systems import Player


class Optimiser:
    """Updates a player's weights from their gradients; `state` is what it remembers of each weight between steps."""

    def __init__(self, player: Player, settings: dict[str, Any]) -> None:
        """settings: optimiser (adagrad or adam), initial_accumulator (of Adagrad), momentum and decay (of Adam, where
        they are not 0.9 and 0.999).
        """
        self.parameters, self._rate = list(player.parameters), player.learning_rate
        self._decays = settings.get("momentum", 0.9), settings.get("decay", 0.999)
        self._adagrad = settings["optimiser"] == "adagrad"
        self._fused = not (self._adagrad and self.parameters[0].is_cuda)  # torch has no fused Adagrad on a GPU
        first = {"sum": settings["initial_accumulator"]} if self._adagrad else {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        self.state = [
            {name: torch.full_like(weight, value, requires_grad=False) for name, value in first.items()}
            | {"step": torch.zeros((), device=weight.device if self._fused else "cpu")}
            for weight in self.parameters
        ]
        shares = player.shares or [1.0] * len(self.parameters)
        self._alike = {share: [n for n, own in enumerate(shares) if own == share] for share in dict.fromkeys(shares)}

    @torch.no_grad()
    def step(self, left: float = 1.0) -> None:
        """Update every weight, with the share `left` of the learning rate."""
        for share, numbers in self._alike.items():
            weights = [self.parameters[number] for number in numbers]
            gradients = [weight.grad for weight in weights]
            memory = [[self.state[number][name] for number in numbers] for name in self.state[numbers[0]]]
            rate = self._rate * share * left
            if self._adagrad:
                adagrad(
                    weights,
                    gradients,
                    *memory,
                    fused=self._fused,
                    foreach=not self._fused,
                    lr=rate,
                    lr_decay=0.0,
                    weight_decay=0.0,
                    eps=1e-10,
                    maximize=False,
                )
            else:
                first, second, steps = memory
                adam(
                    weights,
                    gradients,
                    first,
                    second,
                    [],
                    steps,
                    fused=True,
                    amsgrad=False,
                    beta1=self._decays[0],
                    beta2=self._decays[1],
                    lr=rate,
                    weight_decay=0.0,
                    eps=1e-8,
                    maximize=False,
                )

    def clear(self) -> None:
        """Drop the gradients."""
        for weight in self.parameters:
            weight.grad = None

    def restore(self, state: list[dict[str, Tensor]]) -> None:
        """Remember what another's `state` was."""
        for own, kept in zip(self.state, state, strict=True):
            for name, tensor in own.items():
                tensor.copy_(kept[name])
