"""DC-IGN, on 2D shapes and pictures (Kulkarni et al. 2015): mini-batches that vary one factor teach it to its latents.

A mini-batch shows one image with one factor varied. The latents that are not assigned to that factor are clamped for
the whole batch, mean and log-variance, before a code is drawn; backward, their gradient is replaced by a pull towards
the batch mean. So a factor's variation can only be explained by the latents assigned to it.

On pictures, of which the paper prints no network, it is the same one with as many maps at either end as there are
colours, and latents for the factors that the settings assign. Grey pixels are a Bernoulli's, as for the β-VAE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from betavae.bernoulli import reconstruction_loss
from betavae.curriculum import ALL, window
from betavae.dcign_layers import StackedConvMaxpool2d, StackedUnpoolConv2d, convolve_window, laid_in
from betavae.errors import UserError
from betavae.factors import FactorGrid
from betavae.shapes import SIDE
from betavae.stacked import StackedLinear
from betavae.systems import Player
from betavae.vae import kl_per_latent

# Of the 2D shapes: one latent each, five for shape (appendix A.1). The tenth is assigned to nothing and never active
# (ours).
LATENTS = 10
ASSIGNED: dict[str, tuple[int, ...]] = {
    "scale": (0,),
    "posX": (1,),
    "posY": (2,),
    "orientation": (3,),
    "shape": (4, 5, 6, 7, 8),
}
IMAGES_AT_ONCE = 128  # images encoded together: few enough for the cache


class DCIGN(nn.Module):
    """Table 1's network: three 3×3 convolutions with max-pooling and a layer of units, and its mirror image.

    Encoder: conv C1, pool, conv C2, pool, conv C3, pool, FC U, all ReLU → M means and log-variances. Decoder as
    printed: unpool, conv C2, unpool, conv C1, unpool, conv 1, hidden layers ReLU, its sigmoid in the loss. Ours, since
    the table leaves it open: convolutions keep the size (padding 1), unpooling repeats the nearest neighbour, and FC U
    and FC C3·8·8, both ReLU, stand between codes and the first unpooling.

    assigned: the latents of each factor; colours: 1 or 3 channels of a picture, None of the 2D shapes.
    """

    traversal = (-3.0, 3.0)
    own_spread = True  # clamped latents need not fill the prior: some spread a hundredth as far as others
    posterior = True

    def __init__(
        self,
        replicas: int,
        channels: tuple[int, int, int],
        units: int,
        initial_logvar: float,
        initial_logit: float = 0.0,
        latents: int = LATENTS,
        assigned: Mapping[str, Sequence[int]] = ASSIGNED,
        colours: int | None = None,
    ) -> None:
        super().__init__()
        self.latents, self.colours = latents, colours or 1
        # Against unit noise the decoder learns to ignore codes before the encoder has anything to say in them. What is
        # never trained to say anything keeps it.
        before = torch.zeros(latents)
        before[[latent for own in assigned.values() for latent in own]] = initial_logvar
        self.register_buffer("initial_logvar", before, persistent=False)
        first, second, third = channels
        side = SIDE // 8
        self.small = third, side, side
        self.convolutions = nn.ModuleList(
            StackedConvMaxpool2d(replicas, inputs, outputs, 3, padding=1)
            for inputs, outputs in ((self.colours, first), (first, second), (second, third))
        )
        self.convolutions[0].mostly_dark = colours is None
        self.encoder = nn.Sequential(
            StackedLinear(replicas, third * side**2, units),
            nn.ReLU(),
            StackedLinear(replicas, units, 2 * latents),
        )
        self.decoder = nn.Sequential(
            StackedLinear(replicas, latents, units),
            nn.ReLU(),
            StackedLinear(replicas, units, third * side**2),
            nn.ReLU(),
            nn.Unflatten(-1, self.small),
            StackedUnpoolConv2d(replicas, third, second, 3, padding=1),
            nn.ReLU(),
            StackedUnpoolConv2d(replicas, second, first, 3, padding=1),
            nn.ReLU(),
            StackedUnpoolConv2d(replicas, first, self.colours, 3, padding=1),
            nn.Flatten(2),
        )
        # Few pixels are lit, and a bias that all of them share takes a thousand steps at Adam's rate to say so.
        self.decoder[-2].initial_bias = initial_logit

    def posterior_of(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (R, batch, M) each, from the last maps (R, batch, C3, 8, 8)."""
        mean, logvar = self.encoder(maps.flatten(2)).chunk(2, dim=-1)
        return mean, logvar + self.initial_logvar

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, (R, batch, M) each, of images (R, batch, P), P = 4096 a colour."""
        maps = images.unflatten(-1, (self.colours, SIDE, SIDE))
        for layer in self.convolutions:
            maps = layer(maps).relu()
        return self.posterior_of(maps)

    def encode_lit(self, pixels: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, for images (n, P) that are zero outside `columns` (P,), for all replicas.

        Outside a window around the columns all maps are those of the empty image, so each convolution is computed in
        the window only: exact, borders included.
        """
        replicas = len(self.encoder[0].weight)
        empty = [pixels.new_zeros(1, 1, self.colours, SIDE, SIDE)]
        for convolution in self.convolutions:
            empty.append(convolution(empty[-1].expand(replicas, -1, -1, -1, -1)).relu())
        planes, within = columns // SIDE**2, columns % SIDE**2
        rows, places = within // SIDE, within % SIDE
        top, left = int(rows.min()), int(places.min())
        height, width = int(rows.max()) + 1 - top, int(places.max()) + 1 - left
        within = (planes * height + rows - top) * width + places - left
        found = []
        for part in pixels.split(IMAGES_AT_ONCE):
            shown = part.new_zeros(len(part), self.colours * height * width)
            shown[:, within] = part
            maps, corner = shown.view(1, -1, self.colours, height, width), (top, left)
            for convolution, around in zip(self.convolutions, empty, strict=False):
                maps, corner = convolve_window(convolution, maps, corner, around)
            found.append(self.posterior_of(laid_in(empty[-1].expand(-1, len(part), -1, -1, -1), maps, corner)))
        mean, logvar = (torch.cat(each, dim=1) for each in zip(*found, strict=True))
        return mean, logvar

    def decode(self, codes: Tensor) -> Tensor:
        """Bernoulli logits (R, batch, P) of codes (R, batch, M)."""
        return self.decoder(codes)

    def reconstruction_loss(self, codes: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z) in nats, (R, batch), of codes (R, batch, M) and images (R, batch, P)."""
        return reconstruction_loss(self.decode(codes), images)

    def generate(self, codes: Tensor) -> Tensor:
        """Mean images (R, batch, P), the probability of each pixel being lit, of codes (R, batch, M)."""
        return self.decode(codes).sigmoid()


class Clamp(torch.autograd.Function):
    """Fix the inactive latents of a batch, and put the pull towards the batch mean in the place of their gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, active: Tensor, clamp: str, invariance: float | Tensor) -> Tensor:
        """values (R, batch, M), active (R, M) bool.

        clamp: `mean` of the batch (paper), `first` image (authors' code) or `middle` one (ours), which stands first.
        invariance: strength of the pull, of all latents or of each (M,); 1/100 in the paper, 0 in the authors' code.
        """
        centre = values.mean(1, keepdim=True)
        # As for a loss that is summed over the batch; ours is the mean.
        ctx.pull = (values - centre) * (invariance / values.shape[1])
        ctx.active = active[:, None]
        return torch.where(ctx.active, values, centre if clamp == "mean" else values[:, :1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return torch.where(ctx.active, gradient, ctx.pull), None, None, None


def objective(
    network: DCIGN, images: Tensor, noise: Tensor, active: Tensor, clamp: str, invariance: float | Tensor
) -> dict[str, Tensor]:
    """The VAE's objective on clamped posteriors; both of its terms send their gradient back through the clamp.

    images (R, G·batch, P) and noise (R, G·batch, M) ~ N(0, 1) of G mini-batches, active (R, G, M) bool: the latents
    of the factor that each of them varies.
    Returns loss (R,), reconstruction (R,) and kl (R, M), in nats an image.
    """
    groups, own = active.shape[1], active.flatten(0, 1)
    # Mini-batch by mini-batch; all of them share the loss, the mean over their images, and so the pull.
    mean, logvar = (
        Clamp.apply(values.view(len(own), -1, network.latents), own, clamp, invariance / groups).view_as(values)
        for values in network.encode(images)
    )
    codes = mean + (0.5 * logvar).exp() * noise
    reconstruction = network.reconstruction_loss(codes, images).mean(-1)
    kl = kl_per_latent(mean, logvar).mean(1)
    return {"loss": reconstruction + kl.sum(-1), "reconstruction": reconstruction, "kl": kl}


def network_of(settings: dict[str, Any]) -> DCIGN:
    """The network that `settings` describe, weights zero; by default for the 2D shapes."""
    initial = settings["initial_logvar"], settings["initial_logit"]
    own = {key: settings[key] for key in ("latents", "assigned", "colours") if key in settings}
    return DCIGN(len(settings["seeds"]), tuple(settings["channels"]), settings["units"], *initial, **own)


def middle_first(numbers: np.ndarray) -> np.ndarray:
    """Rows (n, batch) of numbers with the one in the middle by size (of two the larger) first, the others after it."""
    rows = np.sort(numbers, axis=-1)
    middle = rows.shape[1] // 2
    rows[:, [0, middle]] = rows[:, [middle, 0]]
    return rows


def in_turn(rng: np.random.Generator, counts: np.ndarray, batch: int) -> np.ndarray:
    """Numbers (n, batch), those of row i below counts[i] (n,): in random order, none again before all have come."""
    numbers = np.empty((len(counts), batch), np.int64)
    for count in np.unique(counts):
        theirs = np.flatnonzero(counts == count)
        orders = rng.random((len(theirs), -(-batch // count), count)).argsort(-1)
        numbers[theirs] = orders.reshape(len(theirs), -1)[:, :batch]
    return numbers


def draw(rng: np.random.Generator, steps: range, settings: dict[str, Any], grid: FactorGrid) -> dict[str, np.ndarray]:
    """For each of a step's G mini-batches the factor that varies, by the ratios, and images that share all others.

    Both lie among the values that settings["curriculum"] leaves the step (see `curriculum.window`). A mini-batch takes
    none of the varied factor's values twice before it has taken all (ours): two images that are alike have nothing
    clamped, and all latents could explain them. Factors without latents or ratio vary between mini-batches only.
    UserError where a factor with latents is none of the grid's.
    Where the clamp is `middle`, each mini-batch begins with the image whose value of the varied factor is the median.
    Returns images (steps, G·batch), noise (steps, G·batch, M) ~ N(0, 1), and active (steps, G, M) bool, the latents of
    the varied factors. A mini-batch of the type shape varies nothing but the shape.
    """
    groups, batch, factors = settings["groups"], settings["batch"], grid.names
    latents, assigned_to = settings.get("latents", LATENTS), settings.get("assigned", ASSIGNED)
    if unknown := sorted(set(assigned_to) - set(factors)):
        raise UserError(
            f"DC-IGN is to be taught {', '.join(unknown)}, and the images are a whole product of {', '.join(factors)}; "
            "expected a set with every combination of the factors that are assigned to latents"
        )
    ratios = np.array([settings["ratios"].get(factor, 0) for factor in factors], np.float64)
    drawn = len(steps) * groups
    varied = rng.choice(len(factors), drawn, p=ratios / ratios.sum())
    curriculum = settings["curriculum"]
    windows = [window(steps, size, curriculum.get(name, ALL)) for name, size in zip(factors, grid.sizes, strict=True)]
    first, count = (each.T.repeat(groups, axis=0) for each in np.array(windows).transpose(1, 0, 2))  # (drawn, factors)
    classes = np.repeat(rng.integers(first, first + count)[:, None], batch, axis=1)
    rows = np.arange(drawn)
    numbers = in_turn(rng, count[rows, varied], batch)
    if settings["clamp"] == "middle":
        numbers = middle_first(numbers)
    classes[rows, :, varied] = first[rows, varied][:, None] + numbers
    assigned = np.zeros((len(factors), latents), bool)
    for row, factor in enumerate(factors):
        assigned[row, list(assigned_to.get(factor, ()))] = True
    return {
        "images": grid.index(classes).reshape(len(steps), groups * batch),
        "noise": rng.standard_normal((len(steps), groups * batch, latents), np.float32),
        "active": assigned[varied].reshape(len(steps), groups, latents),
    }


def players(network: DCIGN, settings: dict[str, Any]) -> list[Player]:
    """Encoder and decoder as one."""
    strengths = torch.full((network.latents,), float(settings["invariance"]), device=network.initial_logvar.device)
    for factor, times in settings["invariance_times"].items():
        strengths[list(settings.get("assigned", ASSIGNED)[factor])] *= times

    def losses(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        found = objective(network, images, drawn["noise"], drawn["active"], settings["clamp"], strengths)
        return found["loss"], found

    return [Player(list(network.parameters()), settings["learning_rate"], losses)]
