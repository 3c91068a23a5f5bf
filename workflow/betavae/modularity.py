"""Modularity (Ridgeway & Mozer 2018, "Learning deep disentangled embeddings with the F-statistic loss", section 2).

A latent is modular if it says something of one factor only. Noise may look modular: explicitness tells it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from betavae.labelled import Labelled
from betavae.mutual_information import mutual_information


def modularity(labelled: Labelled, settings: dict[str, Any]) -> dict[str, Any]:
    """Modularity in [0, 1], the mean over the latents that say anything; 0 where none does. settings: bins.

    A latent's is 1 − Σ (squared information about the other factors) / (K − 1) / (about its own, squared).
    disentanglement_lib counts latents that say nothing as 0; unused capacity is no lack of modularity.
    """
    information, _ = mutual_information(labelled, settings["bins"])
    squared = np.square(information[information.max(1) > 0])
    if not len(squared):
        return {"score": 0.0}
    own = squared.max(1)
    return {"score": (1 - (squared.sum(1) - own) / (own * (squared.shape[1] - 1))).mean()}
