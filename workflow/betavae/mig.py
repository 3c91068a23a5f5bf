"""Mutual information gap, MIG (Chen, Li, Grosse, Duvenaud 2018, "Isolating sources of disentanglement", section 4).

For each factor, how much more the best latent says of it than the second best, as a share of the factor's entropy.
On posterior means cut into bins, as in disentanglement_lib; Chen et al. integrate over the posterior.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from betavae.labelled import Labelled
from betavae.mutual_information import mutual_information


def mig(labelled: Labelled, settings: dict[str, Any]) -> dict[str, Any]:
    """MIG in [0, 1], and each factor's gap. settings: bins.

    Clean codes fall short of 1 where a factor has more values than there are bins.
    """
    information, entropies = mutual_information(labelled, settings["bins"])
    second, first = np.sort(information, axis=0)[-2:]
    gaps = (first - second) / entropies
    return {"score": gaps.mean(), "per_factor": dict(zip(labelled.factors, gaps, strict=True))}
