"""Adagrad (the paper's) and Adam: torch's own fused update of all of a player's weights, called directly.

The classes of `torch.optim` do the same sums, but making one loads torch's compiler: over a second of CPU time and
70 MB in every training, however short.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam

from betavae.systems import Player


class Optimiser:
    """Updates a player's weights from their gradients; `state` is all that it remembers between steps, as tensors that
    are updated in place.
    """

    def __init__(self, player: Player, settings: dict[str, Any]) -> None:
        """settings: optimiser (adagrad or adam), initial_accumulator (of Adagrad), momentum and decay (of Adam, where
        they are not 0.9 and 0.999).
        """
        self._weights, self._rate = list(player.parameters), player.learning_rate
        on, common = self._weights[0].device, {"weight_decay": 0.0, "maximize": False}
        # What is remembered goes by the names of the arguments that take it.
        if settings["optimiser"] == "adagrad":
            fused = on.type == "cpu"  # torch has no fused Adagrad on a GPU
            counted = on if fused else torch.device("cpu")
            self._update = partial(adagrad, fused=fused, foreach=not fused, lr_decay=0.0, eps=1e-10, **common)
            first = {"state_sums": settings["initial_accumulator"]}
        else:
            beta1, beta2 = settings.get("momentum", 0.9), settings.get("decay", 0.999)
            own = {"max_exp_avg_sqs": [], "amsgrad": False, "eps": 1e-8}
            self._update = partial(adam, fused=True, beta1=beta1, beta2=beta2, **own, **common)
            counted, first = on, {"exp_avgs": 0.0, "exp_avg_sqs": 0.0}
        memory = {
            name: [torch.full_like(weight, value, requires_grad=False) for weight in self._weights]
            for name, value in first.items()
        }
        memory["state_steps"] = [torch.zeros((), device=counted) for _ in self._weights]
        self.state = {f"{name}.{n}": tensor for name, tensors in memory.items() for n, tensor in enumerate(tensors)}
        # All weights that learn at the same share of the rate are updated in one call.
        shares = player.shares or [1.0] * len(self._weights)
        self._calls = []
        for share in dict.fromkeys(shares):
            alike = [n for n, other in enumerate(shares) if other == share]
            theirs = {name: [tensors[n] for n in alike] for name, tensors in memory.items()}
            self._calls.append((share, [self._weights[n] for n in alike], theirs))

    @torch.no_grad()
    def step(self, left: float = 1.0) -> None:
        """Update every weight, with the share `left` of the learning rate."""
        for share, weights, memory in self._calls:
            self._update(weights, [weight.grad for weight in weights], lr=self._rate * share * left, **memory)

    def clear(self) -> None:
        """Drop the gradients."""
        for weight in self._weights:
            weight.grad = None
