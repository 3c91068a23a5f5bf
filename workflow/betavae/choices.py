"""What a choice of β rests on, and what the metric and the eye choose.

The metric's choice is the β of the highest score. Where labels are few, a classifier like the metric's learns from so
many points of so few factors; the question is how often it still picks the metric's β. The eye's choice is made by a
rule of ours that stands for a reader of traversals (`read_by_eye`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from betavae.errors import UserError
from betavae.factor_shares import LIVE_KL, SHARES
from betavae.figure6_right import Point, read_point
from betavae.metric_file import accuracies_of
from betavae.score import summarise
from betavae.stream import stream

RESAMPLES = 2000  # bootstrap samples of a model's replicas
UNKNOWN = "not known"


@dataclass(frozen=True)
class Choice:
    """A point of the sweep with all that a choice of β rests on."""

    point: Point
    labels: dict[tuple[tuple[str, ...], int], np.ndarray]  # (factors, points) → accuracy (R, draws), NaN: diverged
    shares: list[np.ndarray | None]  # of each replica (M, factors); None: diverged
    keep: float

    @property
    def beta(self) -> float:
        """β, not normalised."""
        return self.point.beta

    @cached_property
    def scores(self) -> np.ndarray:
        """The metric's scores (R, classifier seeds); NaN where a replica diverged."""
        return score_table(self.point.score)

    @cached_property
    def resampled(self) -> np.ndarray | None:
        """Scores of bootstrap samples of the replicas, (RESAMPLES,); None where fewer than two have a score."""
        return resample(self.scores, self.keep, stream(0, f"choose beta {self.point.latents} {self.beta}"))

    @property
    def replicas(self) -> int:
        """Replicas with a score."""
        return int(np.isfinite(self.scores).all(1).sum())

    def few(self, factors: tuple[str, ...], points: int) -> np.ndarray:
        """Score (draws,) by the metric's protocol with so few labels; NaN where all replicas diverged."""
        accuracy = self.labels[factors, points]
        groups = np.zeros(len(accuracy), np.int64)
        found = [summarise(of_draw, groups, self.keep)[0] for of_draw in accuracy.T]
        return np.array([np.nan if mean is None else mean for mean in found])


def score_table(score: dict[str, Any]) -> np.ndarray:
    """The scores of a metric file as an array (replicas, classifier seeds); NaN where a replica diverged."""
    replicas = max(row[0] for row in score["scores"]) + 1
    return accuracies_of(score["scores"]).reshape(replicas, -1)


def resample(scores: np.ndarray, keep: float, rng: np.random.Generator) -> np.ndarray | None:
    """The mean of the kept scores of RESAMPLES bootstrap samples of the replicas, scores (R, classifier seeds).

    Diverged replicas (NaN) are drawn like the others and rank lowest; NaN where nothing kept is finite. None where
    fewer than two replicas have a score: one says nothing of how seeds differ.
    """
    if np.isfinite(scores).all(1).sum() < 2:
        return None
    drawn = rng.integers(0, len(scores), (RESAMPLES, len(scores)))
    ranked = -np.sort(-np.nan_to_num(scores[drawn].reshape(RESAMPLES, -1), nan=-1.0), axis=1)
    kept = ranked[:, : int(np.ceil(round(keep * ranked.shape[1], 9)))]
    finite = kept >= 0
    count = finite.sum(1)
    return np.where(count > 0, np.where(finite, kept, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def shares_of_picks(scores: np.ndarray) -> np.ndarray:
    """How often each β has the highest score: (β,) of scores (β, draws), ties shared, adding up to 1.

    NaN never wins; a draw in which nothing has a score counts for nobody (all zero where none has).
    """
    filled = np.where(np.isfinite(scores), scores, -np.inf)
    best = np.isclose(filled, filled.max(0), rtol=0, atol=1e-9) & np.isfinite(filled)
    ties = best.sum(0)
    won = (best / np.maximum(ties, 1)).sum(1)
    return won / max(1, (ties > 0).sum())


def best(values: Sequence[float]) -> list[int]:
    """Which values are the highest: all of them in a tie; none where no value is finite."""
    given = np.asarray(values, np.float64)
    if not np.isfinite(given).any():
        return []
    return np.flatnonzero(np.isclose(given, np.nanmax(given), rtol=0, atol=1e-9)).tolist()


def names(choices: Sequence[Choice], which: Sequence[int]) -> str:
    """The values of β of some choices: `4`, or `4 and 16` in a tie."""
    return " and ".join(f"{choices[k].beta:g}" for k in which)


# By eye ----------------------------------------------------------------------------------------------


def clean_factors(kl: np.ndarray, shares: np.ndarray, one_factor: float) -> list[str | None]:
    """What a reader sees of each latent of one replica that changes the image at all, in the order of their KL.

    kl (M,) nats, shares (M, factors) of the latent's variance. The name of a factor where it alone explains
    `one_factor` or more of it, None where the latent mixes factors. Latents below LIVE_KL nats change
    nothing.
    """
    live = [m for m in np.argsort(-kl, kind="stable") if kl[m] > LIVE_KL]
    return [SHARES[shares[m].argmax()] if shares[m].max() >= one_factor else None for m in live]


def seen(choice: Choice, one_factor: float) -> dict[str, float]:
    """What the traversals of a point show, averaged over the replicas that did not diverge.

    live: latents that change the image; clean: those among them that change one factor only; factors: different factors
    that a clean latent shows; mixed: live latents that are not clean. NaN where all replicas diverged.
    """
    finite = [r for r, shares in enumerate(choice.shares) if shares is not None]
    of = [clean_factors(choice.point.kl[r], choice.shares[r], one_factor) for r in finite]
    counts = {
        "live": [len(found) for found in of],
        "clean": [sum(name is not None for name in found) for found in of],
        "factors": [len({*found} - {None}) for found in of],
        "mixed": [found.count(None) for found in of],
    }
    return {name: float(np.mean(values)) if values else np.nan for name, values in counts.items()}


def read_by_eye(choices: Sequence[Choice], one_factor: float) -> list[int]:
    """Which β a reader of the traversals picks, by a rule of ours; none where all diverged.

    First the β whose clean latents show the most different factors, then, among equals, the fewest live latents that
    mix factors, then the sharpest reconstruction; all are means over replicas. The metric plays no part in it.
    """
    keys = {}
    for k, choice in enumerate(choices):
        found = seen(choice, one_factor)
        if np.isfinite(found["factors"]):
            reconstruction = float(np.nanmean(choice.point.reconstruction))
            keys[k] = tuple(round(value, 6) for value in (-found["factors"], found["mixed"], reconstruction))
    return [k for k, key in keys.items() if key == min(keys.values())]


# By the metric -----------------------------------------------------------------------------------------


def confidence(choices: Sequence[Choice]) -> np.ndarray | str:
    """How often each β wins when every model's replicas are drawn anew, or why that is not known."""
    single = [f"{choice.beta:g}" for choice in choices if choice.replicas == 1]
    if single:
        return f"{UNKNOWN}: one replica at β = {', '.join(single)}"
    blank = np.full(RESAMPLES, np.nan)
    return shares_of_picks(np.array([blank if c.resampled is None else c.resampled for c in choices]))


def standard_error(choice: Choice) -> float | None:
    """The bootstrap's standard error of a score; None where fewer than two replicas have one."""
    return None if choice.resampled is None else float(np.nanstd(choice.resampled))


def printed_error(choice: Choice) -> str:
    """The standard error in points, or why there is none."""
    error = standard_error(choice)
    return ("one replica" if choice.replicas else "diverged") if error is None else f"{100 * error:.2f}"


def agreement(choices: Sequence[Choice], factors: tuple[str, ...], points: int) -> np.ndarray:
    """How often (β,) each β is picked over the draws of so few labels."""
    return shares_of_picks(np.array([choice.few(factors, points) for choice in choices]))


def enough(shares: dict[int, float], needed: float) -> int | None:
    """The fewest points from which on the share of draws that pick the metric's β is `needed` or more; None: never."""
    found = None
    for points in sorted(shares, reverse=True):
        if shares[points] < needed:
            break
        found = points
    return found


def weakest(choices: Sequence[Choice], needed: float) -> dict[int, int | None]:
    """For each number of labelled factors the fewest points with which the metric's β is still picked.

    The shares of draws are averaged over the sets of so many factors. None: not with any number of points tried.
    """
    picked = best([choice.point.mean for choice in choices])
    tried = sorted(choices[0].labels)
    result = {}
    for size in sorted({len(factors) for factors, _ in tried}, reverse=True):
        shares = {
            points: float(
                np.mean([agreement(choices, f, n)[picked].sum() for f, n in tried if (len(f), n) == (size, points)])
            )
            for points in sorted({n for f, n in tried if len(f) == size})
        }
        result[size] = enough(shares, needed)
    return result


def all_seeds(choice: Choice) -> float:
    """The mean score over all replicas, none dropped; NaN where all diverged."""
    return float(np.nanmean(choice.scores)) if choice.replicas else np.nan


# Files -------------------------------------------------------------------------------------------------


def read_labels(
    path: Path,
) -> tuple[dict[tuple[tuple[str, ...], int], np.ndarray], list[np.ndarray | None]]:
    """The accuracies and shares of a few_labels file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        draws = len(found["settings"]["seeds"])
        labels = {
            (tuple(entry["factors"]), entry["points"]): np.array(
                [[np.nan] * draws if row is None else row for row in entry["accuracy"]], np.float64
            )
            for entry in found["labels"]
        }
        shares = [None if row is None else np.array(row, np.float64) for row in found["shares"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of the step few_labels ({error}); delete it and run again") from error
    return labels, shares


def read_choices(
    points: list[list[Any]], scores: list[Path], summaries: list[Path], labels: list[Path], keep: float
) -> dict[int, list[Choice]]:
    """The points of the sweep, [β, M, model] in the order of the files: for each latent size those of ascending β."""
    choices = []
    for (beta, latents, _), score, summary, few in zip(points, scores, summaries, labels, strict=True):
        choices.append(Choice(read_point(beta, latents, score, summary), *read_labels(few), keep))
        if choices[-1].labels.keys() != choices[0].labels.keys():
            raise UserError(f"{few}: other labels than in {labels[0]}, expected the same; delete both and run again")
        if len(choices[-1].shares) != len(choices[-1].point.kl):
            raise UserError(
                f"{few}: {len(choices[-1].shares)} replicas, expected {len(choices[-1].point.kl)} as in {summary}; "
                "delete it and run again"
            )
    return {
        latents: sorted((c for c in choices if c.point.latents == latents), key=lambda c: c.beta)
        for latents in sorted({c.point.latents for c in choices})
    }
