"""The metric on images with Bernoulli pixel noise (Figure 8's further curves): model → JSON, a score a noise level.

A network trained on clean images encodes images of which each pixel was flipped with some probability; all points of
the metric, its classifier's as well as the test's, come from such codes. Noise lights all 4,096 pixels, so nothing of
the saving on clean images is left: the metric is drawn on a thinned grid of images, each with one draw of noise
(ours; the paper says no more than "up to 10 %", grade B). Its strides should share no divisor with those of Figure
8's training sets, which would be favoured otherwise. Higher levels flip the pixels of lower ones, and some more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from betavae import job
from betavae.codes import HeldCodes
from betavae.device import pick_device, prepare_cpu, unpack_floats
from betavae.images import open_bits, open_grid
from betavae.models import load_model
from betavae.score import score
from betavae.shapes import PIXELS
from betavae.stream import stream
from betavae.subset import every_nth
from betavae.systems import Network

CHUNK = 512  # images at once


def flipped(bits: np.ndarray, probabilities: list[float], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Packed images (n, 512), each pixel flipped with each of the probabilities, of one draw of noise."""
    drawn = rng.random((len(bits), PIXELS), np.float32)
    for probability in probabilities:
        yield bits ^ np.packbits(drawn < probability, axis=1)


@torch.inference_mode()
def noisy_codes(network: Network, bits: np.ndarray, probabilities: list[float], device: torch.device) -> np.ndarray:
    """Posterior means (levels, R, n, M) float32 of images `bits` (n, 512) under each level of noise."""
    rng, every = stream(0, "pixel noise"), torch.arange(PIXELS, device=device)
    chunks = []
    for first in range(0, len(bits), CHUNK):
        levels = flipped(bits[first : first + CHUNK], probabilities, rng)
        means = [network.encode_lit(unpack_floats(torch.from_numpy(noisy).to(device)), every)[0] for noisy in levels]
        chunks.append(torch.stack(means).cpu().numpy())
    return np.concatenate(chunks, axis=2)


def main(*, bits: Path, dataset: Path, model: Path, output: Path, settings: str, device: str = "auto") -> None:
    """Write the scores. settings: JSON; those of `score`, threads, and noise: levels (probabilities) and strides."""
    chosen, on = json.loads(settings), pick_device(device)
    prepare_cpu(chosen["threads"])
    network, _ = load_model(model, on)
    whole = open_grid(dataset)
    grid, images = every_nth(whole, chosen["noise"]["strides"])
    levels = chosen["noise"]["levels"]
    codes = noisy_codes(network, open_bits(bits, whole.images)[images], levels, on)
    scores = [
        {"noise": level} | score(HeldCodes(means), grid, chosen, f"{chosen['model']}, {level:.0%} noise")
        for level, means in zip(levels, codes, strict=True)
    ]
    job.write_json(
        output,
        {
            "model": chosen["model"],
            "scale": chosen["scale"],
            "images": grid.images,
            "levels": scores,
            "settings": chosen,
            "provenance": job.provenance("noise", device=str(on)),
        },
    )
