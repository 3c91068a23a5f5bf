"""Score a codes file by the metrics in use since the paper: codes → results/{scale}/measures/{model}.json.

A new metric is a module with a function (Labelled, settings) → {"score": …, …}, an entry in MEASURES, and its
settings under `measures` in the config.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from betavae import job
from betavae.codes import StoredCodes
from betavae.dci import dci
from betavae.explicitness import explicitness
from betavae.factor_vae import factor_vae
from betavae.factors import FactorGrid
from betavae.images import open_grid
from betavae.labelled import Labelled, label
from betavae.mig import mig
from betavae.modularity import modularity
from betavae.sap import sap
from betavae.score import summarise


class Measure(NamedTuple):
    """A metric: how it is computed, and which of its numbers tables show under which heading."""

    compute: Callable[[Labelled, dict[str, Any]], dict[str, Any]]
    columns: dict[str, str]


MEASURES = {
    "factor_vae": Measure(factor_vae, {"score": "FactorVAE"}),
    "mig": Measure(mig, {"score": "MIG"}),
    "sap": Measure(sap, {"score": "SAP"}),
    "dci": Measure(
        dci,
        {
            "score": "DCI disentanglement",
            "completeness": "DCI completeness",
            "informativeness": "DCI informativeness",
        },
    ),
    "modularity": Measure(modularity, {"score": "modularity"}),
    "explicitness": Measure(explicitness, {"score": "explicitness"}),
}


def chosen_replicas(groups: np.ndarray, most: int) -> np.ndarray:
    """Which replicas are measured, at most `most`: the first of every group in turn (ICA's groups: pairs of shapes)."""
    rank = np.array([np.count_nonzero(groups[:k] == group) for k, group in enumerate(groups)])
    return np.sort(np.lexsort((groups, rank))[:most])


def collect(found: list[Any], groups: np.ndarray) -> Any:
    """Numbers of each replica (None: it diverged) as mean, standard deviation and values; dictionaries key by key."""
    first = next((each for each in found if each is not None), None)
    if isinstance(first, dict):
        return {key: collect([each and each[key] for each in found], groups) for key in first}
    mean, std, _ = summarise(np.array([np.nan if each is None else each for each in found], float), groups, 1.0)
    return {"mean": mean, "std": std, "values": [None if each is None else float(each) for each in found]}


def measure(codes: StoredCodes, grid: FactorGrid, settings: dict[str, Any], name: str) -> dict[str, Any]:
    """What a measures file says, provenance aside. A replica that diverged is named and has null for each value."""
    replicas = chosen_replicas(codes.groups, settings["replicas"])
    found: dict[str, list[Any]] = {each: [] for each in MEASURES}
    diverged = []
    with job.progress(len(replicas), f"{name}: measures", "replica") as bar:
        for replica in map(int, replicas):
            if codes.diverged(replica):
                diverged.append(replica)
                for values in found.values():
                    values.append(None)
            else:
                labelled = label(codes.codes(replica), grid, tuple(settings["factors"]), replica, settings["dead"])
                for each, values in found.items():
                    values.append(MEASURES[each].compute(labelled, settings[each]))
            bar.update()
    if len(diverged) == len(replicas):
        found = {each: [dict.fromkeys(MEASURES[each].columns)] * len(replicas) for each in MEASURES}
    groups = codes.groups[replicas]
    return {
        "replicas": replicas,
        "diverged": diverged,
        "measures": {each: collect(values, groups) for each, values in found.items()},
    }


def main(*, dataset: Path, codes: Path, output: Path, settings: str) -> None:
    """Write a measures file. settings: JSON; model, scale, factors, replicas, dead and a section for each measure."""
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    stored = StoredCodes(codes, grid.images)
    found = measure(stored, grid, chosen, chosen["model"])
    job.write_json(
        output,
        {
            "model": chosen["model"],
            "scale": chosen["scale"],
            **found,
            "settings": chosen | {"representation": json.loads(stored.attributes.get("settings", "{}"))},
            "provenance": job.provenance("measures"),
        },
    )
