"""Explicitness (Ridgeway & Mozer 2018, "Learning deep disentangled embeddings with the F-statistic loss", section 2).

How well a linear classifier reads each factor's value from all latents: the area under the ROC curve of each value
against the rest. One multinomial classifier a factor, as in disentanglement_lib. 0.5 where nothing can be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from betavae.labelled import Labelled


def area(codes: np.ndarray, classes: np.ndarray, test_codes: np.ndarray, test_classes: np.ndarray, c: float) -> float:
    """Mean area under the ROC curve over the values in the test set; ½ where training saw no other, or not this one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    if len(np.unique(classes)) < 2:
        return 0.5
    model = LogisticRegression(C=c, max_iter=1000, tol=1e-3).fit(codes, classes)
    chances = dict(zip(model.classes_, model.predict_proba(test_codes).T, strict=True))
    nothing = np.zeros(len(test_codes))
    values, counts = np.unique(test_classes, return_counts=True)
    told = [roc_auc_score(test_classes == v, chances.get(v, nothing)) for v in values[counts < len(test_classes)]]
    return float(np.mean(told)) if told else 0.5


def explicitness(labelled: Labelled, settings: dict[str, Any]) -> dict[str, Any]:
    """Explicitness in [0.5, 1], and each factor's. settings: train_points, test_points and penalty (L2, 1/C)."""
    train, test = labelled.split(settings["train_points"], settings["test_points"])
    classes, test_classes = labelled.classes(train), labelled.classes(test)
    areas = {}
    for k, factor in enumerate(labelled.factors):
        learnt = labelled.codes[train], classes[:, k]
        areas[factor] = area(*learnt, labelled.codes[test], test_classes[:, k], 1 / settings["penalty"])
    return {"score": np.mean(list(areas.values())), "per_factor": areas}
