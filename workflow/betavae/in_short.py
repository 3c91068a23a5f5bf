"""The run in three sentences, for the head of the report: what was run, β-VAE beside VAE, all rows beside the paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from betavae import job
from betavae.figure6_left import difference, percent
from betavae.names import FULL_SCALES
from betavae.paper import FIGURE6_LEFT, label
from betavae.tables import images_a_step

NEAR = 0.02  # a score this close to the paper's mean counts as its equal


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def trained(scores: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings of the models that were trained."""
    found = {model: score["settings"]["representation"] for model, score in scores.items()}
    return {model: settings for model, settings in found.items() if settings.get("steps")}


def what_was_run(scores: dict[str, dict[str, Any]], scale: str) -> str:
    """The first sentence: the trained systems, how each was trained, and what stands beside them."""
    networks = dict(reversed(trained(scores).items()))  # β-VAE first
    told = [
        f"{label(model)} ({settings['steps']:,} steps of {images_a_step(settings)}, "
        + ("1 seed" if len(settings["seeds"]) == 1 else f"{len(settings['seeds'])} seeds")
        + (f", {settings['width']} units a layer)" if "width" in settings else ")")
        for model, settings in networks.items()
    ]
    others = [label(model) for model in scores if model not in networks]
    beside = f"; beside them stand {listed(others)}" if others else ""
    return f"At the scale ``{scale}`` the paper's metric scored {listed(told)}{beside}."


def how_they_compare(scores: dict[str, dict[str, Any]]) -> str:
    """The second sentence: β-VAE and VAE, ours and the paper's."""
    told = []
    for model in ("beta4", "beta1"):
        name, published = FIGURE6_LEFT[model]
        ours = percent(scores[model]["score_mean"], scores[model]["score_std"])
        told.append(f"{name} comes to {ours} % (paper: {percent(published.mean, published.std)} %)")
    gap = difference(scores).rstrip(".")
    return f"{listed(told)}" + (f"; {gap}." if gap else ".")


def how_near(scores: dict[str, dict[str, Any]], scale: str) -> str:
    """The third sentence: which rows of Figure 6 have the paper's score, which is farthest, and what to expect."""
    gaps = {
        model: score["score_mean"] - FIGURE6_LEFT[model][1].mean
        for model, score in scores.items()
        if model in FIGURE6_LEFT and score["score_mean"] is not None
    }
    near = [label(model) for model, gap in gaps.items() if abs(gap) <= NEAR]
    said = f"{listed(near) or 'None'} come{'s' * (len(near) < 2)} within {100 * NEAR:.0f} points of the paper's mean"
    if gaps and len(near) < len(gaps):
        farthest = max(gaps, key=lambda model: abs(gaps[model]))
        gap = f"{100 * gaps[farthest]:+.1f}".replace("-", "−")
        said += f", farthest from it is {label(farthest)} ({gap} points)"
    if scale not in FULL_SCALES:
        protocol = f"only the scale ``{FULL_SCALES[0]}`` is the paper's protocol"
        said += f"; {protocol}, a smaller one is not meant to reach its numbers"
    return f"{said}."


def main(*, scores: list[Path], rst: Path, scale: str) -> None:
    """Write the sentences as reStructuredText from metric files."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in scores}
    sentences = [what_was_run(read, scale), how_they_compare(read), how_near(read, scale)]
    with job.atomic(rst) as part:
        part.write_text(" ".join(sentences) + "\n", encoding="utf-8")
