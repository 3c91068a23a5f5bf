"""Separated attribute predictability, SAP (Kumar, Sattigeri, Balakrishnan 2018, section 3).

For each factor, how much better the best single latent predicts it than the second best. As in the paper, a factor
with an order is predicted linearly (the share of variance explained, here over all images), a factor without
(shape) by thresholds on the latent (balanced accuracy). disentanglement_lib's default takes all factors as unordered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from betavae.factors import FACTORS
from betavae.labelled import UNORDERED, Labelled


def explained(labelled: Labelled, factor: str) -> np.ndarray:
    """Squared correlation (M,) of each latent with a factor's classes, over all images."""
    axis = FACTORS.index(factor)
    others = tuple(each for each in range(len(FACTORS)) if each != axis)
    means = labelled.codes.reshape(*labelled.grid.sizes, -1).mean(others, dtype=np.float64)  # (values, M)
    values = np.arange(len(means), dtype=np.float64)
    return np.square((values - values.mean()) / values.std() @ means / len(means))


def threshold_accuracy(
    codes: np.ndarray, classes: np.ndarray, test_codes: np.ndarray, test_classes: np.ndarray
) -> np.ndarray:
    """Balanced accuracy (M,) of telling classes from each latent alone, by as many intervals as there are classes."""
    from sklearn.metrics import recall_score
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=len(np.unique(classes)), class_weight="balanced", random_state=0)
    found = [
        tree.fit(column[:, None], classes).predict(test[:, None])
        for column, test in zip(codes.T, test_codes.T, strict=True)
    ]
    present = np.unique(test_classes)
    return np.array([recall_score(test_classes, said, labels=present, average="macro") for said in found])


def sap(labelled: Labelled, settings: dict[str, Any]) -> dict[str, Any]:
    """SAP in [0, 1], and each factor's gap. settings: train_points and test_points, for factors without an order."""
    train, test = labelled.split(settings["train_points"], settings["test_points"])
    classes = labelled.classes()
    gaps = {}
    for column, factor in zip(classes.T, labelled.factors, strict=True):
        if factor in UNORDERED:
            found = threshold_accuracy(labelled.codes[train], column[train], labelled.codes[test], column[test])
        else:
            found = explained(labelled, factor)
        second, first = np.sort(found)[-2:]
        gaps[factor] = first - second
    return {"score": np.mean(list(gaps.values())), "per_factor": gaps}
