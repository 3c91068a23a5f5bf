"""ICA (Figure 6): scikit-learn's FastICA on the ten whitened components, fitted on each pair of shapes.

FastICA's own whitening is the PCA whitening of the same components, so it is given whitened data and told so.
Codes are written for all images; the fit sees the pair's alone.
"""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path

import numpy as np

from betavae import job
from betavae.codes import write_codes
from betavae.images import open_bits, open_grid
from betavae.pca import read_gram, whitening
from betavae.stream import stream


def unmixing(whitened: np.ndarray, seed: int, iterations: int) -> np.ndarray:
    """FastICA's rotation (M, M) of whitened codes (n, M), or its last guess where it does not converge."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    model = FastICA(whiten=False, random_state=seed, max_iter=iterations)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(whitened)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        job.tell(f"ICA, seed {seed}: not converged after {iterations} iterations")
    return model.components_


def main(*, bits: Path, dataset: Path, gram: Path, codes: Path, settings: str) -> None:
    """Write the codes file: a replica for each pair of shapes and seed, grouped by pair.

    settings: JSON; scale, latents, seeds, fit_images (drawn from the pair's) and iterations.
    """
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    packed = open_bits(bits, grid.images)
    seeds, latents = chosen["seeds"], chosen["latents"]
    pairs = list(itertools.combinations(range(grid.size("shape")), 2))
    shape_of = grid.classes()[:, 0]
    about = {"scale": chosen["scale"], "dataset": dataset.parent.name, "origin": "FastICA"}
    made = {
        "settings": settings,
        "provenance": lambda: job.provenance("ica"),
        "group": np.repeat(range(len(pairs)), len(seeds)),
    }
    with (
        write_codes(codes, (len(pairs) * len(seeds), grid.images, latents), **about, **made) as arrays,
        job.progress(len(pairs) * len(seeds), "ICA", "fit") as bar,
    ):
        for number, (pair, seed) in enumerate(itertools.product(pairs, seeds)):
            if seed == seeds[0]:
                whitened = whitening(*read_gram(gram, pair), components=latents).apply(packed, grid)
                of_pair = np.flatnonzero(np.isin(shape_of, pair))
            size = min(chosen["fit_images"], len(of_pair))
            sample = stream(seed, "ICA images", *pair).choice(of_pair, size, replace=False)
            arrays["mean"][number] = whitened @ unmixing(whitened[sample], seed, chosen["iterations"]).T
            bar.update()
