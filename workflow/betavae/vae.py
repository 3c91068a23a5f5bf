"""The β-VAE on the 2D shapes: Table 1's network and the objective of section 2, replicas stacked."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from betavae.bernoulli import LikelihoodLinear
from betavae.factors import FactorGrid
from betavae.shapes import PIXELS
from betavae.stacked import LitLinear, StackedLinear
from betavae.subset import subset
from betavae.systems import Network, Player


class VAE(nn.Module):
    """Encoder 4096 → FC W, W (ReLU) → M means and log-variances; decoder M → FC W, W, W (tanh) → 4096 logits."""

    traversal = (-3.0, 3.0)
    own_spread = False
    posterior = True

    def __init__(
        self, replicas: int, width: int, latents: int, initial_logvar: float = 0.0, initial_logit: float = 0.0
    ) -> None:
        super().__init__()
        self.latents, self.initial_logvar = latents, initial_logvar
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
            LikelihoodLinear(replicas, width, PIXELS),
        )
        # Few pixels are lit. Where they begin at even odds the first steps darken them by every weight that there is,
        # which leaves hardly a unit of the last tanh layer that is not saturated (docs/reproduction.md).
        self.decoder[-1].initial_bias = initial_logit

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, (R, batch, M) each, of images (R, batch, 4096)."""
        return self.posterior_of(self.encoder(images))

    def encode_lit(self, pixels: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, for images (batch, P) that are zero outside `columns` (P,), for all replicas."""
        first, *rest = self.encoder
        return self.posterior_of(nn.Sequential(*rest)(first.restricted_to(pixels, columns)))

    def posterior_of(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, (R, batch, M) each, from the encoder's outputs (R, batch, 2 M)."""
        mean, logvar = outputs.chunk(2, dim=-1)
        return mean, logvar + self.initial_logvar

    def decode(self, codes: Tensor) -> Tensor:
        """Bernoulli logits (R, batch, 4096) of codes (R, batch, M)."""
        return self.decoder(codes)

    def reconstruction_loss(self, codes: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z) in nats, (R, batch), of codes (R, batch, M) and images (R, batch, 4096)."""
        *hidden, last = self.decoder
        return last(nn.Sequential(*hidden)(codes), images)

    def generate(self, codes: Tensor) -> Tensor:
        """Probability (R, batch, 4096) of each pixel being lit, of codes (R, batch, M)."""
        return self.decode(codes).sigmoid()


def kl_per_latent(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) in nats, elementwise (the closed form for Gaussians)."""
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1.0)


def objective(network: Network, images: Tensor, noise: Tensor, beta: float | Tensor) -> dict[str, Tensor]:
    """Equation 4 with its sign turned: batch mean of (−log p(x|z) + β · summed KL), in nats an image.

    images (R, batch, P), noise (R, batch, M) ~ N(0, 1), beta one number or (R,).
    Returns loss (R,), reconstruction (R,) and kl (R, M).
    """
    mean, logvar = network.encode(images)
    codes = mean + (0.5 * logvar).exp() * noise
    reconstruction = network.reconstruction_loss(codes, images).mean(-1)
    kl = kl_per_latent(mean, logvar).mean(1)
    return {"loss": reconstruction + beta * kl.sum(-1), "reconstruction": reconstruction, "kl": kl}


def network_of(settings: dict[str, Any]) -> VAE:
    """The network that `settings` describe, weights zero."""
    initial = (settings.get(name, 0.0) for name in ("initial_logvar", "initial_logit"))
    return VAE(len(settings["seeds"]), settings["width"], settings["latents"], *initial)


def beta_through(steps: range, settings: dict[str, Any]) -> np.ndarray:
    """β in the steps of these numbers (from 0), (steps,): settings["beta"] throughout, as in the paper, or as
    settings["early_beta"] has it (ours).

    Then it is `times` that over the first `hold` of all steps, and has come down to it, linearly, at `gone` of them.
    """
    early = settings.get("early_beta") or {"times": 1.0, "hold": 0.0, "gone": 0.0}
    done = np.arange(steps.start, steps.stop) / max(settings["steps"], 1)
    times = np.interp(done, [early["hold"], max(early["hold"], early["gone"])], [early["times"], 1.0])
    return (settings["beta"] * times).astype(np.float32)


def draw(rng: np.random.Generator, steps: range, settings: dict[str, Any], grid: FactorGrid) -> dict[str, np.ndarray]:
    """Images, uniformly from the data set (or from settings["subset"] of it), the noise of the codes, ~ N(0, 1), and β.

    images (steps, batch), noise (steps, batch, M), beta (steps,).
    """
    batch, pool = settings["batch"], subset(grid, settings.get("subset"))
    return {
        "images": pool[rng.integers(0, len(pool), (len(steps), batch))],
        "noise": rng.standard_normal((len(steps), batch, settings["latents"]), np.float32),
        "beta": beta_through(steps, settings),
    }


def players(network: VAE, settings: dict[str, Any]) -> list[Player]:
    """Encoder and decoder as one.

    settings["pixel_rate"] (ours) holds the shares of the learning rate that the layers which face the pixels have:
    `reading`, of the encoder's first, and `drawing`, of the decoder's last.
    """

    def losses(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        found = objective(network, images, drawn["noise"], drawn["beta"])
        return found["loss"], found

    ends = {"reading": network.encoder[0], "drawing": network.decoder[-1]}
    share_of = {
        id(parameter): share
        for end, share in settings.get("pixel_rate", {}).items()
        for parameter in ends[end].parameters()
    }
    parameters = list(network.parameters())
    shares = [share_of.get(id(parameter), 1.0) for parameter in parameters]
    return [Player(parameters, settings["learning_rate"], losses, shares)]
