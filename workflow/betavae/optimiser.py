"""Adagrad (the paper's) and Adam: torch's own fused kernels, one pass over all of a player's weights on any device.

The kernels are called directly. The classes of `torch.optim` do the same sums, but making one loads torch's compiler,
over a second of CPU time and 70 MB in every training, however short; and torch 2.11's Adagrad does not know yet that
its kernel runs on a GPU.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

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
            self._update = partial(torch._fused_adagrad_, lr_decay=0.0, eps=1e-10, **common)
            first = {"state_sums": settings["initial_accumulator"]}
        else:
            beta1, beta2 = settings.get("momentum", 0.9), settings.get("decay", 0.999)
            own = {"max_exp_avg_sqs": [], "amsgrad": False, "eps": 1e-8}
            self._update = partial(torch._fused_adam_, beta1=beta1, beta2=beta2, **own, **common)
            first = {"exp_avgs": 0.0, "exp_avg_sqs": 0.0}
        memory = {
            name: [torch.full_like(weight, value, requires_grad=False) for weight in self._weights]
            for name, value in first.items()
        }
        memory["state_steps"] = [torch.zeros((), device=on) for _ in self._weights]
        self.state = {f"{name}.{n}": tensor for name, tensors in memory.items() for n, tensor in enumerate(tensors)}
        # All weights that learn at the same share of the rate are updated in one call.
        shares = player.shares or [1.0] * len(self._weights)
        self._shares = list(dict.fromkeys(shares))
        self._calls = []
        for share in self._shares:
            alike = [n for n, other in enumerate(shares) if other == share]
            theirs = {name: [tensors[n] for n in alike] for name, tensors in memory.items()}
            self._calls.append(([self._weights[n] for n in alike], theirs))
        # As tensors, which a captured step reads anew with each replay; a GPU's kernels take float32 alone.
        kind = torch.float64 if on.type == "cpu" else torch.float32
        self._rates = [torch.zeros((), dtype=kind, device=on) for _ in self._shares]
        self._left = 0.0
        self.set_rate(1.0)

    def set_rate(self, left: float) -> None:
        """From now on every weight has the share `left` of its learning rate."""
        if left != self._left:
            for rate, share in zip(self._rates, self._shares, strict=True):
                rate.fill_(self._rate * share * left)
            self._left = left

    @torch.no_grad()
    def step(self) -> None:
        """Update every weight."""
        for (weights, memory), rate in zip(self._calls, self._rates, strict=True):
            torch._foreach_add_(memory["state_steps"], 1)
            self._update(weights, [weight.grad for weight in weights], lr=rate, **memory)

    def clear(self) -> None:
        """Drop the gradients."""
        for weight in self._weights:
            weight.grad = None
