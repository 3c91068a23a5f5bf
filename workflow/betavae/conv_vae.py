"""The convolutional β-VAE on pictures (Table 1: chairs, 3D faces, CelebA), replicas stacked.

Printed: conv 32, 32, 64, 64 (4×4, stride 2), FC 256, ReLU → 32 latents, the decoder its mirror image, Bernoulli for
one channel, Gaussian for colour. What that leaves open is decided here:

- Padding is 1, so that each convolution halves the side, 64 to 4; the last maps, flattened, are a layer of their own in
  the mirror image. Every hidden layer is a ReLU.
- The Gaussian has one fixed standard deviation σ, a setting, and a mean that nothing bounds. On pixels in [0, 1] the
  term to be weighed against β grows as 1/σ²: at σ = 1 the whole of a picture is worth fewer nats than β = 250 asks for
  a single latent, and all die.
- The Bernoulli's cross-entropy is taken with grey pixels as they are, in [0, 1]: its least value is above 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from betavae.bernoulli import reconstruction_loss
from betavae.factors import FactorGrid
from betavae.shapes import SIDE
from betavae.stacked import StackedConv2d, StackedConvTranspose2d, StackedLinear
from betavae.systems import Player
from betavae.vae import objective

HALVINGS = 4  # of the side, by one convolution each


class ConvVAE(nn.Module):
    """Encoder: four convolutions, FC U → M means and log-variances; decoder: M → FC U, FC, four deconvolutions.

    colours: 1 or 3 channels of an image; channels: those of the encoder's four convolutions; units: U; sigma: the
    standard deviation of a Gaussian likelihood, None for a Bernoulli.
    """

    traversal = (-3.0, 3.0)
    own_spread = False
    posterior = True

    def __init__(
        self, replicas: int, colours: int, channels: Sequence[int], units: int, latents: int, sigma: float | None
    ) -> None:
        super().__init__()
        self.latents, self.sigma = latents, sigma
        maps, side = [colours, *channels], SIDE >> HALVINGS
        flat = maps[-1] * side**2
        resize = {"kernel": 4, "stride": 2, "padding": 1}  # half, or twice, the side
        encoder: list[nn.Module] = [nn.Unflatten(2, (colours, SIDE, SIDE))]
        decoder: list[nn.Module] = []
        for fine, coarse in itertools.pairwise(maps):
            encoder += [StackedConv2d(replicas, fine, coarse, **resize), nn.ReLU()]
            decoder = [nn.ReLU(), StackedConvTranspose2d(replicas, coarse, fine, **resize), *decoder]
        self.encoder = nn.Sequential(
            *encoder,
            nn.Flatten(2),
            StackedLinear(replicas, flat, units),
            nn.ReLU(),
            StackedLinear(replicas, units, 2 * latents),
        )
        self.decoder = nn.Sequential(
            StackedLinear(replicas, latents, units),
            nn.ReLU(),
            StackedLinear(replicas, units, flat),
            nn.Unflatten(2, (maps[-1], side, side)),
            *decoder,
            nn.Flatten(2),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, (R, batch, M) each, of images (R, batch, C · 4096)."""
        mean, logvar = self.encoder(images).chunk(2, dim=-1)
        return mean, logvar

    def encode_lit(self, pixels: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, for images (batch, P) that are zero outside `columns` (P,), for all replicas."""
        replicas, colours = self.encoder[1].weight.shape[0], self.encoder[1].weight.shape[2]
        whole = pixels.new_zeros(len(pixels), colours * SIDE**2)
        whole[:, columns] = pixels
        return self.encode(whole.expand(replicas, -1, -1))

    def decode(self, codes: Tensor) -> Tensor:
        """Bernoulli logits, or the Gaussian's means, (R, batch, C · 4096) of codes (R, batch, M)."""
        return self.decoder(codes)

    def reconstruction_loss(self, codes: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z) in nats, (R, batch), of codes (R, batch, M) and images (R, batch, C · 4096)."""
        decoded = self.decode(codes)
        if self.sigma is None:
            return reconstruction_loss(decoded, images)
        constant = images.shape[-1] * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi))
        return (images - decoded).square().sum(-1) / (2 * self.sigma**2) + constant

    def generate(self, codes: Tensor) -> Tensor:
        """Mean images (R, batch, C · 4096) in [0, 1] of codes (R, batch, M)."""
        decoded = self.decode(codes)
        return decoded.sigmoid() if self.sigma is None else decoded.clamp(0, 1)


def network_of(settings: dict[str, Any]) -> ConvVAE:
    """The network that `settings` describe, weights zero. One colour is Bernoulli, three are Gaussian."""
    sizes = (settings[key] for key in ("colours", "channels", "units", "latents"))
    return ConvVAE(len(settings["seeds"]), *sizes, sigma=settings["sigma"] if settings["colours"] > 1 else None)


def trained_on(grid: FactorGrid, hold_out: dict[str, int]) -> np.ndarray:
    """The image numbers (n,) of a grid without the images that have all the classes in `hold_out`, {factor: class}."""
    if not hold_out:
        return np.arange(grid.images)
    columns = [grid.names.index(factor) for factor in hold_out]
    held = (grid.classes()[:, columns] == list(hold_out.values())).all(axis=1)
    return np.flatnonzero(~held)


def draw(rng: np.random.Generator, steps: range, settings: dict[str, Any], grid: FactorGrid) -> dict[str, np.ndarray]:
    """Images, uniformly from the data set without what settings["hold_out"] holds out, and noise of the codes, N(0, 1).

    images (steps, batch), noise (steps, batch, M).
    """
    batch, pool = settings["batch"], trained_on(grid, settings.get("hold_out", {}))
    return {
        "images": pool[rng.integers(0, len(pool), (len(steps), batch))],
        "noise": rng.standard_normal((len(steps), batch, settings["latents"]), np.float32),
    }


def players(network: ConvVAE, settings: dict[str, Any]) -> list[Player]:
    """Encoder and decoder as one."""

    def losses(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        found = objective(network, images, drawn["noise"], settings["beta"])
        return found["loss"], found

    return [Player(list(network.parameters()), settings["learning_rate"], losses)]
