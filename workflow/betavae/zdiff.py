"""The disentanglement metric (section 3): z_diff points, the linear classifier, and the protocol around them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from betavae.codes import Representation
from betavae.factors import FactorGrid
from betavae.stream import stream


@dataclass(frozen=True)
class Points:
    """Training or test points of one replica: image pairs (points, L) and the factor that each point holds fixed."""

    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray


def draw_points(
    rng: np.random.Generator, grid: FactorGrid, factors: tuple[str, ...], points: int, pairs: int
) -> Points:
    """Draw y uniformly from `factors`, then L pairs that share factor y's value and are independent in all else."""
    labels = rng.integers(0, len(factors), points)
    classes = [rng.integers(0, grid.sizes, (points, pairs, len(grid.sizes))) for _ in range(2)]
    for label, factor in enumerate(factors):
        column = grid.names.index(factor)
        classes[1][labels == label, :, column] = classes[0][labels == label, :, column]
    return Points(grid.index(classes[0]), grid.index(classes[1]), labels)


def z_diff(
    representation: Representation, replica: int, grid: FactorGrid, seed: int, purpose: str, points: int, settings: dict
) -> tuple[np.ndarray, np.ndarray]:
    """The z_diff points (points, M) float32 and labels (points,) of one replica, drawn from `seed` for `purpose`.

    settings: factors and pairs (L).
    """
    rng = stream(seed, f"z_diff {purpose}")
    drawn = draw_points(rng, grid, tuple(settings["factors"]), points, settings["pairs"])
    return representation.mean_difference(replica, drawn.first, drawn.second), drawn.labels


def adagrad(
    points: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seeds: list[int],
    *,
    batch: int,
    learning_rate: float,
    initial_accumulator: float,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Linear softmax classifiers by mini-batch Adagrad: one for each seed, all together, after each step.

    points (n, M) float32, labels (n,), or (S, n, M) and (S, n) where each has points of its own. A seed sets the
    initial weights and the order of the points only.
    Yields weights (S, M, classes) and biases (S, 1, classes), which the next step changes in place.
    """
    streams = [stream(seed, "classifier") for seed in seeds]
    *_, count, latents = points.shape
    bound = latents**-0.5
    # Weights, (S, classes, M) as their gradient comes, and biases behind them: views of one array, updated as one.
    parameters = np.zeros((len(seeds), classes * (latents + 1)), np.float32)
    gradients, change = np.empty_like(parameters), np.empty_like(parameters)
    sums = np.full_like(parameters, initial_accumulator)
    weight, of_weight = (own[:, : classes * latents].reshape(-1, classes, latents) for own in (parameters, gradients))
    bias, of_bias = (own[:, None, classes * latents :] for own in (parameters, gradients))
    weight[:] = [rng.uniform(-bound, bound, (latents, classes)).T for rng in streams]
    # Points of their own lie one classifier behind the other.
    offsets = np.arange(len(seeds))[:, None] * (count if points.ndim == 3 else 0)
    points, targets = points.reshape(-1, latents), np.eye(classes, dtype=np.float32)[labels.reshape(-1)]
    while True:  # an epoch: every point of whole mini-batches once, in an order of the seed's own
        order = np.stack([rng.permutation(count) for rng in streams]) + offsets
        for first in range(0, max(1, count - batch + 1), batch):
            chosen = order[:, first : first + batch]
            x = points.take(chosen, axis=0)  # (S, batch, M)
            error = x @ weight.transpose(0, 2, 1)
            error += bias
            error -= error.max(-1, keepdims=True)
            np.exp(error, out=error)
            error /= error.sum(-1, keepdims=True)
            error -= targets.take(chosen, axis=0)
            error /= chosen.shape[1]
            np.matmul(error.transpose(0, 2, 1), x, out=of_weight)
            error.sum(1, keepdims=True, out=of_bias)
            np.multiply(gradients, gradients, out=change)
            sums += change
            np.sqrt(sums, out=change)
            change += 1e-10
            np.divide(gradients, change, out=change)
            change *= learning_rate
            parameters -= change
            yield weight.transpose(0, 2, 1), bias


def fit_converged(
    points: np.ndarray, labels: np.ndarray, classes: int, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same classifier at convergence, by scikit-learn; `penalty` is the inverse of its C (0: none).

    Without a penalty the points are standardised for the solver's sake, which leaves the optimum where it is.
    """
    from sklearn.linear_model import LogisticRegression

    scale = np.ones(points.shape[1]) if penalty else np.maximum(points.std(0, dtype=np.float64), 1e-12)
    centre = np.zeros(points.shape[1]) if penalty else points.mean(0, dtype=np.float64)
    model = LogisticRegression(C=1.0 / penalty if penalty else np.inf, max_iter=2000)
    model.fit((points - centre) / scale, labels)
    weight = np.zeros((1, points.shape[1], classes))
    bias = np.full((1, 1, classes), -np.inf)
    rows = model.coef_ if len(model.classes_) > 2 else np.concatenate([-model.coef_, model.coef_]) / 2
    offsets = model.intercept_ if len(model.classes_) > 2 else np.array([-1, 1]) * model.intercept_ / 2
    weight[0][:, model.classes_] = (rows / scale).T
    bias[0, 0, model.classes_] = offsets - (rows / scale) @ centre
    return weight, bias


def confusion(weight: np.ndarray, bias: np.ndarray, points: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts (S, classes, classes) of true (rows) against predicted (columns) labels of test points (n, M).

    Where each classifier has points of its own, points are (S, n, M) and labels (S, n).
    """
    predicted = (points @ weight + bias).argmax(-1)  # (S, n)
    counts = np.zeros((len(weight), classes, classes), np.int64)
    for own, true, row in zip(counts, np.broadcast_to(labels, predicted.shape), predicted, strict=True):
        np.add.at(own, (true, row), 1)
    return counts


def fit(points: np.ndarray, labels: np.ndarray, settings: dict) -> tuple[np.ndarray, np.ndarray]:
    """The metric's classifiers on z_diff points (n, M): weights (S, M, classes) and biases (S, 1, classes).

    settings: factors, classifier (adagrad or converged) and its own, classifier_seeds.
    """
    classes, chosen = len(settings["factors"]), settings["classifier"]
    if chosen["kind"] == "converged":
        return fit_converged(points, labels, classes, chosen["penalty"])
    options = {k: chosen[k] for k in ("batch", "learning_rate", "initial_accumulator")}
    fits = adagrad(points, labels, classes, list(range(settings["classifier_seeds"])), **options)
    return next(itertools.islice(fits, chosen["steps"] - 1, None))


def score_replica(
    representation: Representation, replica: int, grid: FactorGrid, seed: int, settings: dict
) -> np.ndarray:
    """Confusion counts (classifier seeds, factors, factors) of one replica; its z_diff points come from `seed`.

    settings: factors, pairs (L), train_points, test_points, classifier (adagrad or converged) and its own.
    """
    x, y = z_diff(representation, replica, grid, seed, "train", settings["train_points"], settings)
    x_test, y_test = z_diff(representation, replica, grid, seed, "test", settings["test_points"], settings)
    return confusion(*fit(x, y, settings), x_test, y_test, len(settings["factors"]))


def kept_scores(scores: np.ndarray, groups: np.ndarray, keep: float) -> np.ndarray:
    """Indices, ascending, of the scores (n,) kept: the top ⌈keep · n⌉ of each group; NaN ranks lowest."""
    kept = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        ranked = members[np.argsort(-np.nan_to_num(scores[members], nan=-1.0), kind="stable")]
        kept.append(ranked[: int(np.ceil(round(keep * len(members), 9)))])
    return np.sort(np.concatenate(kept))
