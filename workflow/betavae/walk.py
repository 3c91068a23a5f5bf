"""Walks along the latents of trained networks, one replica of a model at a time, arrays in and out.

Knows of a network only what `systems.Network` promises, so every system with a decoder can be walked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from betavae.device import floats, prepare_cpu
from betavae.factor_shares import live_latents
from betavae.metric_file import best_replica
from betavae.models import load_model
from betavae.pictures import picture_title, stops, title
from betavae.shapes import SIDE
from betavae.stream import stream
from betavae.systems import Network

CPU = torch.device("cpu")
SAMPLE = 4096  # images over which the spread of codes is taken
SD = "sd: of the latent's codes, about their mean"  # what `stops` say where they count in the spread of codes
AT_ONCE = 64  # images decoded together: the maps of a convolutional decoder are large


@dataclass(frozen=True)
class Walker:
    """One replica of a trained model, and how much each of its latents says over the data."""

    title: str  # for people: model and replica
    network: Network  # of this replica alone
    said: np.ndarray  # (M,) KL in nats or, where codes have none, their variance over the images
    spread: tuple[np.ndarray, np.ndarray] | None = None  # where walks count in it: mean and sd (M,) of the codes

    @property
    def order(self) -> np.ndarray:
        """The latents (M,), the one that says most first."""
        return np.argsort(-self.said, kind="stable")

    @property
    def live(self) -> np.ndarray:
        """The live latents, in that order; the first alone where none is live."""
        live = live_latents(self.said, self.said if self.network.posterior else None)
        return self.order[: max(1, int(live.sum()))]

    def values(self, steps: int) -> np.ndarray:
        """The stops (steps,) of a walk from one end to the other."""
        return np.linspace(*self.network.traversal, steps)

    def stops(self, steps: int) -> list[str]:
        """The stops of such a walk in words."""
        return [f"{value} sd" if self.spread else value for value in stops(self.values(steps))]

    @property
    def units(self) -> list[str]:
        """What `label` and `stops` count in, for the foot of a figure."""
        told = {"KL in nats": self.network.posterior, SD: self.spread}
        return [words for words, known in told.items() if known]

    def label(self, latent: int) -> str:
        """The latent's number, counted from 0, with its KL in nats or, where there is none, its variance."""
        return f"z{latent}  {'KL' if self.network.posterior else 'var'} {self.said[latent]:.2f}"

    def encode(self, stored: np.ndarray) -> np.ndarray:
        """Codes (n, M) of n images as they are stored: packed (n, 512), or pictures (n, 64, 64, C)."""
        return encode(self.network, stored)

    @torch.inference_mode()
    def generate(self, codes: np.ndarray) -> np.ndarray:
        """Mean images (..., 64, 64), in colour (..., 64, 64, 3), of codes (..., M)."""
        parts = torch.from_numpy(codes.astype(np.float32)).reshape(1, -1, codes.shape[-1]).split(AT_ONCE, dim=1)
        images = torch.cat([self.network.generate(part)[0] for part in parts])
        images = images.reshape(*codes.shape[:-1], -1, SIDE, SIDE).movedim(-3, -1)
        return (images if images.shape[-1] > 1 else images[..., 0]).numpy()

    def walk(self, start: np.ndarray, latents: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Images (latents, values, 64, 64[, 3]): one latent takes the values, the others stay at `start` (M,)."""
        codes = np.tile(start, (len(latents), len(values), 1))
        mean, sd = self.spread or (np.zeros(len(start)), np.ones(len(start)))
        for row, latent in enumerate(latents):
            codes[row, :, latent] = mean[latent] + sd[latent] * values
        return self.generate(codes)


@torch.inference_mode()
def encode(network: Network, stored: np.ndarray) -> np.ndarray:
    """Codes (n, M) of n images as they are stored by a network of one replica."""
    parts = (floats(torch.from_numpy(stored[first : first + 256])) for first in range(0, len(stored), 256))
    return torch.cat([network.encode_lit(each, torch.arange(each.shape[-1]))[0][0] for each in parts]).numpy()


def spread_of(network: Network, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (M,) of codes over a sample of the stored images."""
    sample = stream(0, "pictures").choice(len(stored), min(SAMPLE, len(stored)), replace=False)
    codes = encode(network, stored[np.sort(sample)])
    return codes.mean(0), codes.std(0)


def open_replica(model: Path, shares: dict[str, Any], images: np.ndarray) -> Walker | None:
    """The replica that stands for a model on pictures by what its latents follow (see `picture_shares`)."""
    prepare_cpu(1)
    if (replica := shares["best"]) is None:
        return None
    name = picture_title(model.stem)
    network = load_model(model, CPU, replica)[0]
    said = np.array(shares["replicas"][replica]["said"])
    spread = spread_of(network, images) if network.own_spread else None
    return Walker(f"{name}, replica {replica}", network, said, spread)


def open_best(model: Path, score: Path, summary: Path, bits: np.ndarray) -> tuple[Walker | None, dict[str, Any]]:
    """A model's best replica by its metric file, None where all diverged, and what the metric file says.

    The KL is read from the model's summary; bits (N, 512): the images, for the spread of codes where that is told.
    """
    prepare_cpu(1)
    scored = json.loads(score.read_text(encoding="utf-8"))
    if (best := best_replica(scored)) is None:
        return None, scored
    replica = best[0]
    network = load_model(model, CPU, replica)[0]
    spread = spread_of(network, bits) if network.own_spread or not network.posterior else None
    if network.posterior:
        with h5py.File(summary) as file:
            said = file["kl"][replica]
    else:
        said = spread[1] ** 2
    name = f"{title(model.stem)}, replica {replica}"
    return Walker(name, network, said, spread if network.own_spread else None), scored
