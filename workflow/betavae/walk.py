"""Walks along the latents of trained networks, one replica of a model at a time, arrays in and out.

Knows of a network only what `systems.Network` promises, so every system with a decoder can be walked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from betavae.device import prepare_cpu, unpack_floats
from betavae.models import load_model
from betavae.pictures import LIVE_KL, best_replica, title
from betavae.shapes import PIXELS, SIDE
from betavae.stream import stream
from betavae.systems import Network
from betavae.vae import kl_per_latent

CPU = torch.device("cpu")
SAMPLE = 4096  # images over which a latent's variance and KL are taken
LIVE_VARIANCE = 0.01  # of the codes, above which a latent counts as live where it has no KL (Burda et al., 2016)


@dataclass(frozen=True)
class Walker:
    """One replica of a trained model, and how its latents behave over the data."""

    title: str  # for people: model and replica
    network: Network  # of this replica alone
    variance: np.ndarray  # (M,) of the codes over the images
    kl: np.ndarray | None  # (M,) nats, where codes have a variance

    @property
    def order(self) -> np.ndarray:
        """The latents (M,) by KL or, where there is none, by variance, the largest first."""
        return np.argsort(-(self.variance if self.kl is None else self.kl), kind="stable")

    @property
    def live(self) -> np.ndarray:
        """The live latents, in that order; the first alone where none is live."""
        live = self.variance > LIVE_VARIANCE if self.kl is None else self.kl > LIVE_KL
        return self.order[: max(1, int(live.sum()))]

    def values(self, steps: int) -> np.ndarray:
        """The stops (steps,) of a walk from one end to the other."""
        return np.linspace(*self.network.traversal, steps)

    def label(self, latent: int) -> str:
        """The latent's number, counted from 1, with its KL in nats or, where there is none, its variance."""
        said = f"var {self.variance[latent]:.2f}" if self.kl is None else f"KL {self.kl[latent]:.2f}"
        return f"z{latent + 1}  {said}"

    def encode(self, bits: np.ndarray) -> np.ndarray:
        """Codes (n, M) of packed images (n, 512)."""
        return encode(self.network, bits)[0]

    @torch.inference_mode()
    def generate(self, codes: np.ndarray) -> np.ndarray:
        """Mean images (..., 64, 64) of codes (..., M)."""
        flat = torch.from_numpy(codes.astype(np.float32)).reshape(1, -1, codes.shape[-1])
        return self.network.generate(flat)[0].reshape(*codes.shape[:-1], SIDE, SIDE).numpy()

    def walk(self, start: np.ndarray, latents: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Images (latents, values, 64, 64): one latent at a time takes the values, the others stay at `start` (M,)."""
        codes = np.tile(start, (len(latents), len(values), 1))
        for row, latent in enumerate(latents):
            codes[row, :, latent] = values
        return self.generate(codes)


@torch.inference_mode()
def encode(network: Network, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes (n, M), and log-variances where there are any, of packed images (n, 512) by a network of one replica."""
    every, codes = torch.arange(PIXELS), []
    for first in range(0, len(bits), 256):
        codes.append(network.encode_lit(unpack_floats(torch.from_numpy(bits[first : first + 256])), every))
    mean = torch.cat([one[0][0] for one in codes]).numpy()
    return mean, torch.cat([one[1][0] for one in codes]).numpy() if network.posterior else None


def survey(name: str, network: Network, bits: np.ndarray) -> Walker:
    """A network of one replica, and its latents' variance and KL over a sample of the images (N, 512)."""
    sample = stream(0, "pictures").choice(len(bits), min(SAMPLE, len(bits)), replace=False)
    mean, logvar = encode(network, bits[np.sort(sample)])
    kl = None if logvar is None else kl_per_latent(torch.from_numpy(mean), torch.from_numpy(logvar)).mean(0).numpy()
    return Walker(name, network, mean.var(0), kl)


def open_best(model: Path, score: Path, bits: np.ndarray) -> tuple[Walker | None, dict[str, Any]]:
    """A model's best replica by its metric file, None where all diverged, and what the metric file says."""
    prepare_cpu(1)
    said = json.loads(score.read_text(encoding="utf-8"))
    replica = best_replica(said)
    if replica is None:
        return None, said
    return survey(f"{title(model.stem)}, replica {replica}", load_model(model, CPU, replica)[0], bits), said
