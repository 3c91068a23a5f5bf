"""What a linear regression reads of position, scale and rotation in the units from which a network's encoder makes its
codes: what no unit tells, no latent can be given by changing that layer alone.

PYTHONPATH=workflow python benchmarks/features.py --weights results/laptop/models/beta4.safetensors
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import cyclopts
import numpy as np
import torch
from cyclopts import Parameter, validators
from floor import ROOT, settings_of
from optimum import factor_codes
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from betavae.device import floats, prepare_cpu
from betavae.factors import SHAPE_NAMES
from betavae.image_files import open_data
from betavae.models import load_model
from betavae.stream import stream
from betavae.train import build
from betavae.vae import VAE

PENALTIES = np.logspace(-6, -2, 5)  # an image, in units of what the units vary by on average
# Of fewer images a regression on 1,200 units tells little.
Images = Annotated[int, Parameter(validator=validators.Number(gte=1000))]


@torch.inference_mode()
def features(network: VAE, bits: np.ndarray, batch: int = 4096) -> np.ndarray:
    """The units of the encoder's last hidden layer, (R, images, W), of packed images (images, 512)."""
    hidden = network.encoder[:-1]
    replicas = len(network.encoder[0].weight)
    parts = []
    for start in range(0, len(bits), batch):
        images = floats(torch.from_numpy(bits[start : start + batch]))
        parts.append(hidden(images.expand(replicas, -1, -1)).numpy())
    return np.concatenate(parts, axis=1)


def read(units: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """R² (K,) of a ridge regression of targets (images, K) on units (images, W), fitted to every second image, its
    penalty chosen among those, and asked of the others.
    """
    units = units.astype(np.float64)
    penalties = PENALTIES * units.var(axis=0).mean() * len(units) / 2
    regression = RidgeCV(alphas=penalties).fit(units[::2], targets[::2])
    return r2_score(targets[1::2], regression.predict(units[1::2]), multioutput="raw_values")


def told(units: np.ndarray, codes: np.ndarray, shapes: np.ndarray) -> dict[str, float]:
    """R² of position, scale and rotation in units (images, W), and of rotation among the images of each shape alone.

    codes: as `factor_codes` has them, rotation in each shape's own period; shapes (images,): classes.
    """
    x, y, scale, *rotation = read(units, codes)
    found = {"position": (x + y) / 2, "scale": scale, "rotation": np.mean(rotation)}
    for number, name in enumerate(SHAPE_NAMES):
        own = shapes == number
        found[f"of the {name}"] = read(units[own], codes[own, 3:]).mean()
    return {name: float(value) for name, value in found.items()}


def main(
    *,
    scale: str = "laptop",
    model: str = "beta4",
    weights: Path | None = None,
    images: Images = 60_000,
    own: str = "{}",
    data: Path = ROOT / "results/data/full",
) -> None:
    """Print a line for each replica.

    weights: a trained model's; without it, the network of a scale's model as it is before training, one seed.
    own: JSON, settings of that network in place of the scale's.
    """
    prepare_cpu(1)
    stored, grid = open_data(data / "dsprites_bits.npy", data / "dsprites.h5")
    chosen = np.sort(stream(0, "features").choice(grid.images, images, replace=False))
    codes, shapes = factor_codes(grid)[chosen], grid.classes()[chosen, 0]
    cpu = torch.device("cpu")
    if weights:
        network, _ = load_model(weights, cpu)
    else:
        network = build(settings_of(scale, model, 1, **json.loads(own)), cpu)
    for replica, units in enumerate(features(network, stored[chosen])):
        alive = (units.std(axis=0) > 0).sum()
        said = ", ".join(f"{name} {value:z.2f}" for name, value in told(units, codes, shapes).items())
        print(f"replica {replica}: {alive} of {units.shape[1]} units alive; R² of {said}", flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
