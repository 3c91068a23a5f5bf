"""Mutual information between latents and factors, over all images: what MIG and modularity are made of.

Latents are cut into bins of equal width, as in disentanglement_lib (Locatello et al. 2019). Over all images,
not a sample of 10,000, so that noise has (almost) no information about anything.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from betavae.labelled import Labelled


def binned(codes: np.ndarray, bins: int) -> np.ndarray:
    """The bin (n,) int64 of each code (n,) among `bins` of equal width from the smallest to the largest."""
    low, high = float(codes.min()), float(codes.max())
    if low == high:
        return np.zeros(len(codes), np.int64)
    scaled = (codes.astype(np.float64) - low) * (bins / (high - low))
    return np.minimum(scaled.astype(np.int64), bins - 1)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in nats along the last axis of counts."""
    shares = counts / counts.sum(-1, keepdims=True)
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(-1)


@lru_cache(maxsize=2)
def mutual_information(labelled: Labelled, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information (M, K) of each latent and factor, and the factors' entropies (K,), in nats."""
    classes = labelled.classes()
    information = np.zeros((labelled.codes.shape[1], len(labelled.factors)))
    entropies = np.array([entropy(np.bincount(column)) for column in classes.T])
    for latent in np.flatnonzero(labelled.live):
        cut = binned(labelled.codes[:, latent], bins)
        for factor, size in enumerate(labelled.sizes):
            joint = np.bincount(cut * size + classes[:, factor], minlength=bins * size).reshape(bins, size)
            of_latent, of_both = entropy(joint.sum(1)), entropy(joint.ravel())
            information[latent, factor] = max(0.0, of_latent + entropies[factor] - of_both)
    return information, entropies
