"""Choosing β, the paper's two ways: by the metric, also where few labels are known, and by eye.

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

from betavae import style
from betavae.errors import UserError
from betavae.factor_shares import LIVE_KL, SHARES
from betavae.figure6_right import Point, read_point
from betavae.score import summarise
from betavae.stream import stream
from betavae.tables import write_table

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
    return np.array([np.nan if row[2] is None else row[2] for row in score["scores"]], np.float64).reshape(replicas, -1)


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


# Tables ------------------------------------------------------------------------------------------------


def summary_row(choices: Sequence[Choice], settings: dict[str, Any]) -> dict[str, Any]:
    """What both ways choose for one latent size; `choices` are the values of β of that size."""
    scores = np.array([choice.point.mean for choice in choices])
    picked, seen_best = best(scores), read_by_eye(choices, settings["one_factor"])
    row: dict[str, Any] = {"M": choices[0].point.latents, "best β": names(choices, picked) or "all diverged"}
    row |= {"normalised β": "", "score (%)": "", "standard error": "", "replicas": "", "next β": "", "lead": ""}
    row |= {"resamples that pick it (%)": "", "best β over all seeds": "", "read by eye": names(choices, seen_best)}
    sizes = sorted({len(factors) for factors, _ in choices[0].labels}, reverse=True)
    row |= {f"points needed, {size} factors": "" for size in sizes}
    if not picked:
        return row
    first = choices[picked[0]]
    row["normalised β"] = " and ".join(f"{choices[k].point.beta_norm:.4g}" for k in picked)
    row["score (%)"], row["standard error"] = 100 * scores[picked[0]], printed_error(first)
    row["replicas"] = first.replicas
    others = np.array([np.nan if k == picked[0] else score for k, score in enumerate(scores)])
    if runners := best(others):
        row["next β"], row["lead"] = names(choices, runners), 100 * float(scores[picked[0]] - others[runners[0]])
    sure = confidence(choices)
    row["resamples that pick it (%)"] = sure if isinstance(sure, str) else 100 * float(sure[picked].sum())
    row["best β over all seeds"] = names(choices, best([all_seeds(choice) for choice in choices]))
    for size, points in weakest(choices, settings["agreement"]).items():
        row[f"points needed, {size} factors"] = points or f"over {max(n for _, n in choices[0].labels)}"
    return row


def all_seeds(choice: Choice) -> float:
    """The mean score over all replicas, none dropped; NaN where all diverged."""
    return float(np.nanmean(choice.scores)) if choice.replicas else np.nan


def eye_rows(curves: dict[int, list[Choice]], one_factor: float) -> list[dict[str, Any]]:
    """One row for each β and latent size: the metric beside what the traversals show, and who picks it."""
    rows = []
    for latents, choices in curves.items():
        picked, read = best([choice.point.mean for choice in choices]), read_by_eye(choices, one_factor)
        for k, choice in enumerate(choices):
            found = {name: "" if np.isnan(value) else value for name, value in seen(choice, one_factor).items()}
            lost = [r for r, shares in enumerate(choice.shares) if shares is None]
            rows.append(
                {
                    "M": latents,
                    "β": choice.beta,
                    "normalised β": choice.point.beta_norm,
                    "score (%)": "" if np.isnan(choice.point.mean) else 100 * choice.point.mean,
                    "standard error": printed_error(choice),
                    "all seeds (%)": "" if np.isnan(all_seeds(choice)) else 100 * all_seeds(choice),
                    "replicas": choice.replicas,
                    "diverged": len(lost),
                    "live latents": found["live"],
                    "one-factor latents": found["clean"],
                    "factors shown": found["factors"],
                    "mixed latents": found["mixed"],
                    "picked by": " and ".join(["metric"] * (k in picked) + ["eye"] * (k in read)),
                }
            )
    return rows


def label_rows(curves: dict[int, list[Choice]], pairs: int) -> list[dict[str, Any]]:
    """One row for each latent size, set of labelled factors and number of points: what is picked, and the scores."""
    rows = []
    for latents, choices in curves.items():
        picked = best([choice.point.mean for choice in choices])
        for factors, points in choices[0].labels:
            shares = agreement(choices, factors, points)
            row = {
                "M": latents,
                "labelled factors": ", ".join(factors),
                "number": len(factors),
                "points": points,
                "pairs of images": points * pairs,
                "most often picked β": names(choices, best(shares)) if shares.any() else "all diverged",
                "in draws (%)": 100 * shares.max(),
                "the metric's β (%)": 100 * shares[picked].sum() if picked else "",
            }
            for choice in choices:
                found = choice.few(factors, points)
                mean = np.nan if np.isnan(found).all() else float(np.nanmean(found))
                row[f"β = {choice.beta:g} (%)"] = "" if np.isnan(mean) else 100 * mean
            rows.append(row)
    return rows


# Picture -----------------------------------------------------------------------------------------------


def beta_colours(count: int) -> list[Any]:
    """Colours for ascending values of β, dark to light, told apart by colour-blind eyes."""
    return [style.plt.get_cmap("viridis")(x) for x in np.linspace(0.0, 0.88, count)]


def draw_scores(axis: style.plt.Axes, choices: Sequence[Choice], factors: tuple[str, ...], full: int) -> None:
    """Score against number of labelled points, a line per β; at the right end the metric itself, the best ringed."""
    sizes = sorted(points for chosen, points in choices[0].labels if chosen == factors)
    picked = best([choice.point.mean for choice in choices])
    for k, (choice, colour) in enumerate(zip(choices, beta_colours(len(choices)), strict=True)):
        few = 100 * np.array([choice.few(factors, points) for points in sizes])
        shift = 1.0 + 0.3 * ((k + 0.5) / len(choices) - 0.5)  # so that error bars lie side by side
        axis.errorbar(
            np.array(sizes) * shift, few.mean(1), yerr=few.std(1), color=colour, marker=style.MARKERS[k % 8],
            ms=3.5, capsize=1.5, elinewidth=0.7, label=f"β = {choice.beta:g}",
        )  # fmt: skip
        error = standard_error(choice)
        axis.errorbar(
            full * shift, 100 * choice.point.mean, yerr=None if error is None else 100 * error, color=colour,
            marker=style.MARKERS[k % 8], ms=3.5, capsize=1.5, elinewidth=0.7,
        )  # fmt: skip
        if k in picked:
            axis.plot(full * shift, 100 * choice.point.mean, "o", mfc="none", mec=style.COLOURS[1], ms=9, mew=1.1)
    axis.plot([], [], "o", mfc="none", mec=style.COLOURS[1], ms=7, mew=1.1, label="the metric's pick")
    axis.set_xscale("log")
    axis.set_xticks([*sizes, full], [*map(str, sizes), f"{full}\n(metric)"])
    axis.minorticks_off()
    axis.set_xlabel("labelled points")
    axis.set_ylabel("metric score (%)")


def draw_heat(axis: style.plt.Axes, shares: np.ndarray, rows: list[str], columns: list[int]) -> None:
    """A map of shares (rows, columns), each printed in %."""
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        axis.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6.5,
            color="white" if share > 0.55 else "black",
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xticks(range(len(columns)), columns)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_xlabel("labelled points")


def draw(choices: Sequence[Choice], metric: dict[str, Any], png: Path, pdf: Path, scale: str) -> None:
    """Score against number of points per β, what is picked with all factors, how often it is the metric's pick."""
    sets = list(dict.fromkeys(factors for factors, _ in choices[0].labels))
    sizes = sorted({points for _, points in choices[0].labels})
    fullest = max(sets, key=len)
    picked = best([choice.point.mean for choice in choices])
    figure, (left, middle, right) = style.plt.subplots(1, 3, figsize=(7.2, 2.9), width_ratios=(1.25, 0.8, 0.95))
    draw_scores(left, choices, fullest, metric["train_points"] + metric["test_points"])
    left.set_title(f"score\n{len(fullest)} factors labelled")
    won = np.array([agreement(choices, fullest, points) for points in sizes]).T
    draw_heat(
        middle, won, ["metric ▸ " * (k in picked) + f"{choice.beta:g}" for k, choice in enumerate(choices)], sizes
    )
    middle.set_ylabel("β")
    middle.set_title(f"picked, % of draws\n{len(fullest)} factors labelled")
    same = np.array([[agreement(choices, factors, points)[picked].sum() for points in sizes] for factors in sets])
    draw_heat(right, same, [" ".join(SHORT[factor] for factor in factors) for factors in sets], sizes)
    right.set_ylabel("labelled factors")
    right.set_title(f"the metric's β picked,\n% of draws (chance {100 / len(choices):.0f})")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=9, fontsize=6.5, columnspacing=1)
    note = f"M = {choices[0].point.latents}; bars: standard deviation over draws, of the metric the standard error"
    style.save(figure, png, pdf, scale, note)


SHORT = {"posX": "x", "posY": "y", "scale": "scale", "orientation": "rot", "shape": "shape"}


# Captions ----------------------------------------------------------------------------------------------

CAPTION = """# Choosing β, scale `{scale}`

- **By the metric.** Best β: the highest score (best half of all scores, as in the paper); lead: points above the next
  β. The standard error, and the share of resamples that pick the same β, are those of {resamples} bootstrap samples of
  each model's replicas. The best half of many replicas is not quite like that of few, so the best β over all seeds
  stands beside it.
- **By eye.** The β whose traversals show the most different factors in latents of their own, then the fewest live
  latents that mix factors, then the sharpest reconstruction. A live latent has a KL above {live} nats; a factor is
  shown by one of whose variance it explains {one_factor:.0%} or more. The rule is ours and stands for a reader.
- **Few labels.** Points needed: the fewest labelled points from which on {agreement:.0%} or more of {draws} draws of
  labels pick the metric's β, by number of labelled factors. The metric itself learns from {train_points} points and is
  tested on {test_points}, {pairs} pairs of images each; few points are divided alike."""

EYE_CAPTION = """# Choosing β by eye and by the metric, scale `{scale}`

Means over replicas. Live: more than {live} nats of KL. One-factor: live, and one factor explains {one_factor:.0%} or
more of the latent's variance. Factors shown: different factors with such a latent. Mixed: live, and not one-factor."""

LABELS_CAPTION = """# Choosing β with few labels, scale `{scale}`

Picks, and mean scores, over {draws} draws of the labels; a tie is shared. Points are divided between learning and test
as the metric's are. Chance depends on the number of labelled factors: scores compare within a row."""

# Files -------------------------------------------------------------------------------------------------


def read_labels(
    path: Path,
) -> tuple[dict[tuple[tuple[str, ...], int], np.ndarray], list[np.ndarray | None], list[float]]:
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


def main(
    *, scores: list[Path], summaries: list[Path], labels: list[Path], png: Path, pdf: Path,
    csv: Path, md: Path, eye_csv: Path, eye_md: Path, labels_csv: Path, labels_md: Path, settings: str,
) -> None:  # fmt: skip
    """Write the picture and three tables: the choice for each latent size, what the eye sees, few labels in full.

    settings: JSON; scale, points ([β, M, model] in the order of the files), latents (the size that is drawn),
    agreement, one_factor, and metric: its pairs, train_points, test_points and keep.
    """
    chosen = json.loads(settings)
    metric, scale, alone = chosen["metric"], chosen["scale"], chosen["one_factor"]
    curves = read_choices(chosen["points"], scores, summaries, labels, metric["keep"])
    draws = next(iter(curves[chosen["latents"]][0].labels.values())).shape[1]
    summaries_of = [summary_row(choices, chosen) for choices in curves.values()]
    write_table(
        csv, md, summaries_of, CAPTION.format(**chosen, **metric, resamples=RESAMPLES, live=LIVE_KL, draws=draws)
    )
    write_table(
        eye_csv, eye_md, eye_rows(curves, alone), EYE_CAPTION.format(scale=scale, live=LIVE_KL, one_factor=alone)
    )
    write_table(
        labels_csv, labels_md, label_rows(curves, metric["pairs"]), LABELS_CAPTION.format(scale=scale, draws=draws)
    )
    draw(curves[chosen["latents"]], metric, png, pdf, scale)
