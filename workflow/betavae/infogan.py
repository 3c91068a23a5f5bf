"""InfoGAN on the 2D shapes and on pictures (Chen et al. 2016; Table 1 of the β-VAE paper), replicas stacked.

A generator G makes images of five codes c ~ U(−1, 1) and five noise variables ~ U(−1, 1); a discriminator D tells
them from the data; a recognition network Q reads the codes off an image. The five means that Q infers are the
representation.

What is printed: G: FC 256, FC 256, deconv 128 4×4, deconv 64 4×4 (stride 2), tanh; D: the reverse, leaky ReLU, FC 1,
sigmoid; Q: D's trunk, FC 128, FC 5; Adam, 1e-3 for G, 2e-4 for D; instance noise N(0, 0.2) on D's inputs, images in
[−1, 1]; batch norm everywhere but in G's last and D's first layer. What that leaves open is decided here:

- The printed layers do not reach 64×64. The second FC's 256 numbers are taken as 4 maps of 8×8, both deconvolutions
  double the side, and one more (4×4, stride 2, one map) ends in the tanh. So an FC width is a multiple of 64.
- D is G's exact reverse: conv 64, conv 128, conv 4 (its 4·8·8 = 256 numbers are the first FC's inputs), FC 256, FC 1.
- G's hidden layers are ReLUs; leaky ReLUs have the slope 0.1 (the InfoGAN paper's).
- Players, as in the InfoGAN authors' code: Q, its trunk included, belongs to D, learns at D's rate, and G's turn moves
  G only. The bound on the mutual information enters both losses. D takes its turn first, both see the same samples.
- Data and samples pass D as batches of their own, as in the authors' code; what D's batch norm keeps for evaluation
  are the data's moments, since codes are inferred from data.
- 0.2 is the instance noise's variance, as I is in the paper's N(0, I). (With a deviation of 0.2, D was right in 88 % of
  the cases after 2,000 steps at the scale `laptop` and samples frayed; with the variance in 59 %, and they sharpened.)
  There is none in evaluation: codes are a function of the image.
- An image is generated from codes alone with the noise variables at 0, the middle of their range.
- Weights begin as Xavier's and biases at zero, as for all systems; biases before a batch norm, which would take them
  away again, stay there. 1.5 is taken from G's last layer before the tanh: images begin dark, as the data are.
- On pictures, of which the paper says no more than that it was tried, it is the same network with as many maps at
  either end as there are colours, and begins as light as the pictures' background. (From the middle grey
  two seeds scored 26 and 33 % on chairs after 1,500 steps at the scale `laptop`, from their white 53 and 62 %.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from betavae.factors import FactorGrid
from betavae.shapes import PIXELS, SIDE
from betavae.stacked import StackedBatchNorm, StackedConv2d, StackedConvTranspose2d, StackedLinear
from betavae.stream import stream
from betavae.systems import Player

DARK = 1.5  # taken from G's last layer before the tanh on the 2D shapes
LEAK = 0.1  # slope of the leaky ReLUs below zero
COARSE = 8  # side of the maps between the fully connected layers and the (de)convolutions
TABLE = 1 << 20  # normals in a replica's table of instance noise
AT_ONCE = 256  # images encoded at once: what they need stays in the cache
SHOWN = 64  # samples on a sheet


class InfoGAN(nn.Module):
    """Generator, the trunk that discriminator and recognition share, and the heads of these two.

    `fully_connected` is the width of G's and D's fully connected layers, `channels` those of G's two printed
    deconvolutions, `recognition` the width of Q's own layer; `colours` is 1 or 3, `dark` what is taken from G's last
    layer before the tanh.
    """

    traversal = (-1.0, 1.0)
    own_spread = False
    posterior = False

    def __init__(
        self,
        replicas: int,
        latents: int,
        noise: int,
        fully_connected: int,
        channels: Sequence[int],
        recognition: int,
        colours: int = 1,
        dark: float = DARK,
    ) -> None:
        super().__init__()
        self.latents, self.noise, self.colours, self.dark = latents, noise, colours, dark
        maps, (wide, narrow) = fully_connected // COARSE**2, channels
        resize = {"kernel": 4, "stride": 2, "padding": 1}  # twice, or half, the side
        self.generator = nn.Sequential(
            StackedLinear(replicas, latents + noise, fully_connected),
            StackedBatchNorm(replicas, fully_connected),
            nn.ReLU(inplace=True),
            StackedLinear(replicas, fully_connected, fully_connected),
            StackedBatchNorm(replicas, fully_connected),
            nn.ReLU(inplace=True),
            nn.Unflatten(2, (maps, COARSE, COARSE)),
            StackedConvTranspose2d(replicas, maps, wide, **resize),
            StackedBatchNorm(replicas, wide),
            nn.ReLU(inplace=True),
            StackedConvTranspose2d(replicas, wide, narrow, **resize),
            StackedBatchNorm(replicas, narrow),
            nn.ReLU(inplace=True),
            StackedConvTranspose2d(replicas, narrow, colours, **resize),
            nn.Flatten(2),
        )
        self.trunk = nn.Sequential(
            nn.Unflatten(2, (colours, SIDE, SIDE)),
            StackedConv2d(replicas, colours, narrow, **resize),
            nn.LeakyReLU(LEAK, inplace=True),
            StackedConv2d(replicas, narrow, wide, **resize),
            StackedBatchNorm(replicas, wide),
            nn.LeakyReLU(LEAK, inplace=True),
            StackedConv2d(replicas, wide, maps, **resize),
            StackedBatchNorm(replicas, maps),
            nn.LeakyReLU(LEAK, inplace=True),
            nn.Flatten(2),
            StackedLinear(replicas, fully_connected, fully_connected),
            StackedBatchNorm(replicas, fully_connected),
            nn.LeakyReLU(LEAK, inplace=True),
        )
        self.discrimination = StackedLinear(replicas, fully_connected, 1)
        self.recognition = nn.Sequential(
            StackedLinear(replicas, fully_connected, recognition),
            StackedBatchNorm(replicas, recognition),
            nn.LeakyReLU(LEAK, inplace=True),
            StackedLinear(replicas, recognition, latents),
        )
        for part in (self.generator, self.trunk, self.recognition):
            for layer, after in itertools.pairwise(part):
                if isinstance(after, StackedBatchNorm):
                    layer.bias.requires_grad_(False)

    def make(self, inputs: Tensor) -> Tensor:
        """Images (R, n, P) in [−1, 1], P = 4096 a colour, of codes and noise variables (R, n, M + noise)."""
        return (self.generator(inputs) - self.dark).tanh()

    def judge(self, images: Tensor, track: bool) -> tuple[Tensor, Tensor]:
        """D's logits (R, batch) that images (R, batch, P) in [−1, 1] are data, and the means (R, batch, M) that Q
        infers; with `track` the batch norms' running moments follow this batch.
        """
        for layer in (*self.trunk, *self.recognition):
            if isinstance(layer, StackedBatchNorm):
                layer.track = track
        features = self.trunk(images)
        return self.discrimination(features).squeeze(-1), self.recognition(features)

    def encode(self, images: Tensor) -> Tensor:
        """Codes (R, n, M) of images (R, n, P) in [0, 1]."""
        return self.recognition(self.trunk(2 * images - 1))

    def encode_lit(self, pixels: Tensor, columns: Tensor) -> tuple[Tensor, None]:
        """As `encode`, for images (n, P) that are zero outside `columns` (P,), for all replicas; in evaluation only.

        Far from an object every map is what it is for a dark image: the convolutions run where it reaches. Pictures in
        colour are taken as a whole.
        """
        encode = self._encode_window if self.colours == 1 else self._encode_whole
        return torch.cat([encode(part, columns) for part in pixels.split(AT_ONCE)], dim=1), None

    def _encode_whole(self, pixels: Tensor, columns: Tensor) -> Tensor:
        whole = pixels.new_zeros(len(pixels), self.colours * PIXELS)
        whole[:, columns] = pixels
        return self.encode(whole.expand(self.discrimination.weight.shape[0], -1, -1))

    def _encode_window(self, pixels: Tensor, columns: Tensor) -> Tensor:
        used = pixels.amax(0) > 0
        rows, cols = columns[used] // SIDE, columns[used] % SIDE
        if not len(rows):  # nothing lit: any window will do
            rows = cols = columns.new_zeros(1)
            used = torch.arange(pixels.shape[1], device=pixels.device) == 0
        place = int(rows.min()), int(rows.max()) + 1, int(cols.min()), int(cols.max()) + 1
        top, bottom, left, right = place
        window = pixels.new_zeros(len(pixels), (bottom - top) * (right - left))
        window[:, (rows - top) * (right - left) + cols - left] = pixels[:, used]
        replicas = self.discrimination.weight.shape[0]
        patch = (2 * window - 1).view(len(pixels), 1, bottom - top, right - left).expand(replicas, -1, -1, -1, -1)
        dark = pixels.new_full((replicas, 1, 1, SIDE, SIDE), -1.0)
        _, *layers = self.trunk
        for number, layer in enumerate(layers):
            if isinstance(layer, StackedConv2d):
                patch, place = layer.within(patch, place, dark)
            elif isinstance(layer, nn.Flatten):
                whole = dark.repeat(1, len(pixels), 1, 1, 1)
                whole[..., place[0] : place[1], place[2] : place[3]] = patch
                return self.recognition(nn.Sequential(*layers[number:])(whole))
            else:
                patch = layer(patch)
            dark = layer(dark)
        raise AssertionError("the trunk has no Flatten")

    def generate(self, codes: Tensor) -> Tensor:
        """Images (R, n, P) in [0, 1] of codes (R, n, M), the noise variables at 0."""
        return self.sample(F.pad(codes, (0, self.noise)))

    def sample(self, inputs: Tensor) -> Tensor:
        """As `make`, in [0, 1]."""
        return (self.make(inputs) + 1) / 2


def adversarial_losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """D's and G's losses in nats, (R,) each, of D's logits for data and for samples, (R, batch) each.

    D's: −E log D(x) − E log(1 − D(G)); G's, non-saturating: −E log D(G) (Goodfellow et al. 2014).
    """
    return (F.softplus(-real) + F.softplus(fake)).mean(-1), F.softplus(-fake).mean(-1)


def information_bound(codes: Tensor, means: Tensor) -> Tensor:
    """Each code's lower bound on I(c; G), in nats: batch mean of log N(c; mean, 1), plus c's entropy log 2 (section 5
    of Chen et al.). codes and means (R, batch, M) → (R, M).

    With a fixed variance of 1 it is at most log 2 − ½ log 2π = −0.226, and −0.392 for a Q that always says 0.
    """
    return math.log(2) - 0.5 * math.log(2 * math.pi) - 0.5 * (codes - means).square().mean(1)


def network_of(settings: dict[str, Any]) -> InfoGAN:
    """The network that `settings` describe, weights zero."""
    sizes = (settings[key] for key in ("latents", "noise", "fully_connected", "channels", "recognition"))
    return InfoGAN(len(settings["seeds"]), *sizes, settings.get("colours", 1), settings.get("dark", DARK))


def draw(rng: np.random.Generator, steps: range, settings: dict[str, Any], grid: FactorGrid) -> dict[str, np.ndarray]:
    """Images, uniformly from the data set; G's inputs (steps, batch, M + noise) ~ U(−1, 1); where in its table each
    image's instance noise begins, (steps, 3, batch): for the data, for samples in D's turn, for samples in G's.
    """
    batch = settings["batch"]
    return {
        "images": rng.integers(0, grid.images, (len(steps), batch)),
        "inputs": rng.uniform(-1, 1, (len(steps), batch, settings["latents"] + settings["noise"])).astype(np.float32),
        "offsets": rng.integers(0, TABLE, (len(steps), 3, batch)),
    }


class InstanceNoise:
    """Adds N(0, variance) to images (Sønderby et al. 2016) out of a table of normals for each replica.

    The three draws of a step at batch 128 are 1.6 million normals a replica, 24 ms of one CPU core. Instead each
    replica draws a table once, in 0.07 s, and each image reads 4096 numbers of it from a place of its own, 2 ms a
    step: the same on every device. Two images whose places lie closer than 4096 share noise, moved.
    """

    def __init__(self, seeds: Sequence[int], variance: float, device: torch.device, pixels: int = PIXELS) -> None:
        tables = [stream(seed, "instance noise").standard_normal(TABLE + pixels - 1, np.float32) for seed in seeds]
        self._windows = (
            torch.from_numpy(np.float32(math.sqrt(variance)) * np.stack(tables)).to(device).unfold(1, pixels, 1)
        )
        self._replicas = torch.arange(len(seeds), device=device)[:, None]

    def add(self, images: Tensor, offsets: Tensor) -> Tensor:
        """Images (R, batch, P) with the noise that begins at `offsets` (R, batch)."""
        return images + self._windows[self._replicas, offsets]


def players(network: InfoGAN, settings: dict[str, Any]) -> list[Player]:
    """D with Q, then G, which is judged on the samples that D has just seen."""
    weight = settings["information_weight"]
    on, pixels = network.discrimination.weight.device, network.colours * PIXELS
    noise = InstanceNoise(settings["seeds"], settings["instance_noise"], on, pixels)
    samples: list[Tensor] = []

    def bound(drawn: dict[str, Tensor], means: Tensor) -> Tensor:
        return information_bound(drawn["inputs"][..., : network.latents], means)

    def discriminator(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        samples[:] = [network.make(drawn["inputs"])]
        shown = samples[0].detach()
        real, _ = network.judge(noise.add(2 * images - 1, drawn["offsets"][:, 0]), track=True)
        fake, means = network.judge(noise.add(shown, drawn["offsets"][:, 1]), track=False)
        loss, information = adversarial_losses(real, fake)[0], bound(drawn, means)
        return loss - weight * information.sum(-1), {
            "discriminator_loss": loss,
            "accuracy": 0.5 * ((real > 0).float().mean(-1) + (fake < 0).float().mean(-1)),
            "information": information,
            "lit_area": (shown > 0).float().mean((1, 2)),
        }

    def generator(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        fake, means = network.judge(noise.add(samples.pop(), drawn["offsets"][:, 2]), track=False)
        loss = adversarial_losses(fake, fake)[1]
        return loss - weight * bound(drawn, means).sum(-1), {"generator_loss": loss}

    def learnt(*parts: nn.Module) -> list[nn.Parameter]:
        return [weights for part in parts for weights in part.parameters() if weights.requires_grad]

    judges = learnt(network.trunk, network.discrimination, network.recognition)
    return [
        Player(judges, settings["discriminator_learning_rate"], discriminator),
        Player(learnt(network.generator), settings["generator_learning_rate"], generator),
    ]


@torch.no_grad()
def sheet(network: InfoGAN, settings: dict[str, Any]) -> Tensor:
    """Samples (R, 64, 4096) in [0, 1] of the same codes and noise whenever they are asked for."""
    shape = (SHOWN, settings["latents"] + settings["noise"])
    drawn = [stream(seed, "samples").uniform(-1, 1, shape).astype(np.float32) for seed in settings["seeds"]]
    network.eval()
    shown = network.sample(torch.from_numpy(np.stack(drawn)).to(network.discrimination.weight.device))
    network.train()
    return shown
