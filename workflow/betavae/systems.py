"""The systems that can be trained, a module each: what `train` and `encode` ask of one.

A system's module has

- `network_of(settings)`: the stacked network, weights zero, a `Network`;
- `draw(rng, steps, settings, grid)`: the random inputs of one replica's steps of these numbers (a range, from 0),
  arrays (steps, …), among them `images` (steps, batch), the numbers of the images that it sees;
- `players(network, settings)`: who is optimised, in the order of their turns within a step;
- where settings["sheets"] ask for samples through training, `sheet(network, settings)`: images (R, n, 4096) in [0, 1].
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from betavae.errors import UserError
from betavae.names import NAMED_SYSTEMS

SYSTEMS = ("vae", "conv_vae", *NAMED_SYSTEMS)


class Player(NamedTuple):
    """Weights that are optimised together. The VAE has one player, an adversary makes two."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    # (images (R, batch, P), the step's random inputs (R, …)) → what is minimised (R,), what is recorded (R, …)
    # On a GPU it is called for the first steps only and then replayed (`captured.py`): it must wait for no value, and
    # take what differs between steps from its arguments.
    losses: Callable[[Tensor, dict[str, Tensor]], tuple[Tensor, dict[str, Tensor]]]
    shares: Sequence[float] = ()  # of the learning rate that each of the parameters has; all of it where none are given


class Network(Protocol):
    """What the later steps ask of a trained network, all replicas at once."""

    latents: int
    traversal: tuple[float, float]  # the ends of a walk along one latent
    own_spread: bool  # whether they count in standard deviations of the latent's own codes, from their mean
    posterior: bool  # whether codes have a log-variance; then there are `encode` and `reconstruction_loss`

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, (R, n, M) each, of images (R, n, P)."""

    def encode_lit(self, pixels: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """Codes (R, n, M), and log-variances where there are any, of images (n, P) zero outside `columns` (P,)."""

    def reconstruction_loss(self, codes: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z) in nats, (R, n), of codes (R, n, M) and images (R, n, P)."""

    def generate(self, codes: Tensor) -> Tensor:
        """Mean images (R, n, P) in [0, 1] of codes (R, n, M); P = 4096, or 3 · 4096 in colour."""


def system_of(settings: dict[str, Any]) -> ModuleType:
    """The module of the system that the settings name."""
    if settings["system"] not in SYSTEMS:
        raise UserError(f"no system is called {settings['system']!r}; expected one of {', '.join(SYSTEMS)}")
    return importlib.import_module(f"betavae.{settings['system']}")
