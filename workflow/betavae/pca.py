"""PCA of all images (Figure 6): the first ten components of the mean-centred pixels, whitened."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy.sparse.linalg import eigsh

from betavae import job
from betavae.codes import write_codes
from betavae.factors import FactorGrid
from betavae.images import lit_chunks, open_bits, open_grid
from betavae.paper import PCA_EXPLAINED_VARIANCE
from betavae.shapes import PIXELS


@dataclass(frozen=True)
class Whitening:
    """Principal components, scaled to unit variance: codes = (pixels − mean) @ projection."""

    mean: np.ndarray  # (4096,)
    projection: np.ndarray  # (4096, M)
    explained: np.ndarray  # (M,), each component's share of the variance

    def apply(self, bits: np.ndarray, grid: FactorGrid) -> np.ndarray:
        """Codes (images, M) float32 of all images."""
        codes = np.empty((grid.images, self.projection.shape[1]), np.float32)
        projection, offset = self.projection.astype(np.float32), self.mean @ self.projection
        for images, pixels, columns in lit_chunks(bits, grid):
            codes[images] = pixels @ projection[columns] - offset
        return codes


def whitening(gram: np.ndarray, total: np.ndarray, count: int, components: int) -> Whitening:
    """The first principal components from XᵀX (4096, 4096), column sums (4096,) and the number of images."""
    mean = total.astype(np.float64) / count
    covariance = gram / count - np.outer(mean, mean)
    variances, axes = eigsh(covariance, k=components, v0=np.ones(PIXELS))
    order = variances.argsort()[::-1]
    variances, axes = variances[order], axes[:, order]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(components)])  # a sign that does not hang on v0
    return Whitening(mean, axes / np.sqrt(variances), variances / np.trace(covariance))


def read_gram(path: Path, shapes: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    """XᵀX, column sums and count of the images of these shapes (all where none are named), in float64."""
    with h5py.File(path) as file:
        chosen = range(len(file["count"])) if shapes is None else shapes
        gram = sum(file["gram"][shape].astype(np.float64) for shape in chosen)
        total = sum(file["sum"][shape].astype(np.float64) for shape in chosen)
        return gram, total, int(sum(file["count"][shape] for shape in chosen))


def main(*, bits: Path, dataset: Path, gram: Path, codes: Path, variance: Path, settings: str) -> None:
    """Write the codes file, and the explained variance as JSON. settings: JSON; scale and latents."""
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    fitted = whitening(*read_gram(gram), components=chosen["latents"])
    made = functools.partial(job.provenance, "pca")
    shape = (1, grid.images, chosen["latents"])
    about = {"scale": chosen["scale"], "dataset": dataset.parent.name, "origin": "PCA"}
    with write_codes(codes, shape, settings=settings, provenance=made, **about) as arrays:
        arrays["mean"][0] = fitted.apply(open_bits(bits, grid.images), grid)
    explained = float(fitted.explained.sum())
    job.tell(f"PCA: {chosen['latents']} components explain {explained:.1%} of the variance (paper: 60.8 % with ten)")
    job.write_json(
        variance,
        {
            "components": chosen["latents"],
            "explained_variance": explained,
            "each": fitted.explained,
            "paper": PCA_EXPLAINED_VARIANCE.as_dict(),
            "provenance": made(),
        },
    )
