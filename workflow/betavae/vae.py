"""The β-VAE on the 2D shapes: Table 1's network and the objective of section 2, replicas stacked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from betavae.factors import FactorGrid
from betavae.shapes import PIXELS
from betavae.stacked import LitLinear, StackedLinear
from betavae.subset import subset
from betavae.systems import Network, Player


class VAE(nn.Module):
    """Encoder 4096 → FC W, W (ReLU) → M means and log-variances; decoder M → FC W, W, W (tanh) → 4096 logits."""

    traversal = (-3.0, 3.0)
    posterior = True

    def __init__(self, replicas: int, width: int, latents: int) -> None:
        super().__init__()
        self.latents = latents
        self.encoder = nn.Sequential(
            LitLinear(replicas, PIXELS, width),
            nn.ReLU(),
            StackedLinear(replicas, width, width),
            nn.ReLU(),
            StackedLinear(replicas, width, 2 * latents),
        )
        self.decoder = nn.Sequential(
            StackedLinear(replicas, latents, width),
            nn.Tanh(),
            StackedLinear(replicas, width, width),
            nn.Tanh(),
            StackedLinear(replicas, width, width),
            nn.Tanh(),
            StackedLinear(replicas, width, PIXELS),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, (R, batch, M) each, of images (R, batch, 4096)."""
        mean, logvar = self.encoder(images).chunk(2, dim=-1)
        return mean, logvar

    def encode_lit(self, pixels: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, for images (batch, P) that are zero outside `columns` (P,), for all replicas."""
        first, *rest = self.encoder
        mean, logvar = nn.Sequential(*rest)(first.restricted_to(pixels, columns)).chunk(2, dim=-1)
        return mean, logvar

    def decode(self, codes: Tensor) -> Tensor:
        """Bernoulli logits (R, batch, 4096) of codes (R, batch, M)."""
        return self.decoder(codes)

    def reconstruction_loss(self, codes: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z) in nats, (R, batch), of codes (R, batch, M) and images (R, batch, 4096)."""
        return reconstruction_loss(self.decode(codes), images)

    def generate(self, codes: Tensor) -> Tensor:
        """Probability (R, batch, 4096) of each pixel being lit, of codes (R, batch, M)."""
        return self.decode(codes).sigmoid()


def kl_per_latent(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) in nats, elementwise (appendix A.1's closed form)."""
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1.0)


class _CrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of logits (…, 4096), as torch's but with one logarithm for sixteen pixels.

    −log p(x|l) = max(l, 0) − x·l − log max(s, 1 − s), s = σ(l). What stands under the logarithm lies in [½, 1], so
    the product of sixteen keeps its precision, and the gradient needs nothing but s − x.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, images: Tensor) -> Tensor:
        lit = logits.sigmoid()
        ctx.save_for_backward(lit, images)
        likely = torch.maximum(lit, 1 - lit)
        for _ in range(4):
            first, second = likely.chunk(2, dim=-1)
            likely = first * second
        return logits.clamp_min(0).sum(-1) - torch.linalg.vecdot(logits, images) - likely.log().sum(-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        lit, images = ctx.saved_tensors
        return (lit - images).mul_(gradient.unsqueeze(-1)), None


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """−log p(x|z) of a Bernoulli decoder in nats an image: (R, batch, 4096) → (R, batch)."""
    return _CrossEntropy.apply(logits, images)


def objective(network: Network, images: Tensor, noise: Tensor, beta: float) -> dict[str, Tensor]:
    """Equation 4 with its sign turned: batch mean of (−log p(x|z) + β · summed KL), in nats an image.

    images (R, batch, P), noise (R, batch, M) ~ N(0, 1).
    Returns loss (R,), reconstruction (R,) and kl (R, M).
    """
    mean, logvar = network.encode(images)
    codes = mean + (0.5 * logvar).exp() * noise
    reconstruction = network.reconstruction_loss(codes, images).mean(-1)
    kl = kl_per_latent(mean, logvar).mean(1)
    return {"loss": reconstruction + beta * kl.sum(-1), "reconstruction": reconstruction, "kl": kl}


def network_of(settings: dict[str, Any]) -> VAE:
    """The network that `settings` describe, weights zero."""
    return VAE(len(settings["seeds"]), settings["width"], settings["latents"])


def draw(rng: np.random.Generator, steps: int, settings: dict[str, Any], grid: FactorGrid) -> dict[str, np.ndarray]:
    """Images, uniformly from the data set (or from settings["subset"] of it), and the noise of the codes, ~ N(0, 1).

    images (steps, batch), noise (steps, batch, M).
    """
    batch, pool = settings["batch"], subset(grid, settings.get("subset"))
    return {
        "images": pool[rng.integers(0, len(pool), (steps, batch))],
        "noise": rng.standard_normal((steps, batch, settings["latents"]), np.float32),
    }


def players(network: VAE, settings: dict[str, Any]) -> list[Player]:
    """Encoder and decoder as one."""

    def losses(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        found = objective(network, images, drawn["noise"], settings["beta"])
        return found["loss"], found

    return [Player(list(network.parameters()), settings["learning_rate"], losses)]
