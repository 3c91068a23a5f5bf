"""FactorVAE score (Kim & Mnih 2018, "Disentangling by factorising", section 4; constants of disentanglement_lib).

A vote: hold one factor fixed over a number of images, see which latent varies least, its variance divided by
that over all images. The majority of the training votes says which factor a latent stands for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from betavae.factors import FACTORS
from betavae.labelled import Labelled
from betavae.stream import stream

PART = 1000  # votes taken at once


def count_votes(labelled: Labelled, rng: np.random.Generator, votes: int, samples: int) -> np.ndarray:
    """Votes (live latents, K): how often each latent varied least while each factor was held fixed."""
    codes = labelled.codes[:, labelled.live]
    counts = np.zeros((codes.shape[1], len(labelled.factors)), np.int64)
    columns = np.array([FACTORS.index(factor) for factor in labelled.factors])
    for first in range(0, votes, PART):
        some = min(PART, votes - first)
        held = rng.integers(0, len(labelled.factors), some)
        classes = rng.integers(0, labelled.grid.sizes, (some, samples, len(FACTORS)))
        each = np.arange(some)
        classes[each, :, columns[held]] = classes[each, 0, columns[held]][:, None]
        least = codes[labelled.grid.index(classes)].var(1).argmin(1)
        np.add.at(counts, (least, held), 1)
    return counts


def factor_vae(labelled: Labelled, settings: dict[str, Any]) -> dict[str, Any]:
    """FactorVAE score in [0, 1]: accuracy of the majority on new votes; 0 where all latents are dead.

    settings: samples (images a vote), train_votes and test_votes. Also `live`, the number of latents that vote.
    """
    live = int(labelled.live.sum())
    if not live:
        return {"score": 0.0, "live": 0}
    train, test = (
        count_votes(
            labelled, stream(labelled.seed, f"FactorVAE {name}"), settings[f"{name}_votes"], settings["samples"]
        )
        for name in ("train", "test")
    )
    return {"score": test[np.arange(live), train.argmax(1)].sum() / test.sum(), "live": live}
