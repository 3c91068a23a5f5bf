"""What each latent follows: the shares of its variance that the factors explain (ours, beside Figure 7).

The grid is a full product, so the shares of position, scale, rotation within a shape, and shape are parts of one
decomposition of the variance: they add up to at most 1, and what is missing mixes factors or is not followed at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from betavae.factors import FactorGrid

LIVE_KL = 0.1  # nats above which a latent with a posterior is live
LIVE_VARIANCE = 0.01  # without a posterior: the share of the most variable latent's variance above which one is live
COUNTED = 2 / 3  # a latent counts for a factor that explains more of its variance than this, else it is mixed
DEGREE = 5  # of the polynomial along a turned axis: codes bend towards the ends of a range, and some turn back
# Turns after which an object looks the same: square, ellipse, heart (the grid's shape values 1, 2, 3).
SYMMETRY = {1: 4, 2: 2, 3: 1}
SHARES = ("posX", "posY", "scale", "rotation", "shape")
KINDS = ("position", "scale", "rotation", "shape", "mixed")


@dataclass(frozen=True)
class Responses:
    """Mean codes over parts of the factor grid, and the variance that they are held against; float64."""

    position: np.ndarray  # (posX, posY, M), averaged over everything else
    object: np.ndarray  # (shape, scale, orientation, M), averaged over the positions
    shape_variance: np.ndarray  # (shape, M), within each shape

    @property
    def mean(self) -> np.ndarray:
        """(M,) over all images."""
        return self.position.mean((0, 1))

    @property
    def variance(self) -> np.ndarray:
        """(M,) over all images, of the population."""
        return self.shape_variance.mean(0) + self.object.mean((1, 2)).var(0)

    def standardised(self) -> Responses:
        """As if each latent had mean 0 and variance 1 over all images; constant latents are 0."""
        scale = 1 / np.sqrt(np.where(self.variance > 0, self.variance, np.inf))
        position, of_object = ((part - self.mean) * scale for part in (self.position, self.object))
        return Responses(position, of_object, self.shape_variance * scale**2)


def responses(codes: np.ndarray, grid: FactorGrid) -> Responses:
    """The mean codes of one replica, codes (images, M) in the grid's order; a shape and scale at a time."""
    shapes, scales, turns, columns, rows = grid.sizes
    latents = codes.shape[1]
    origin = codes[0].astype(np.float64)  # variances about it are exact where a latent is constant
    position = np.zeros((columns * rows, latents))
    of_object = np.empty((shapes, scales, turns, latents))
    squares = np.zeros((shapes, latents))
    slabs = codes.reshape(shapes * scales, turns, columns * rows, latents)
    for number, slab in enumerate(slabs):
        shape, scale = divmod(number, scales)
        shifted = slab - origin
        position += shifted.sum(0)
        of_object[shape, scale] = shifted.mean(1)
        squares[shape] += np.einsum("tpm,tpm->m", shifted, shifted)
    within = squares / (len(codes) / shapes) - of_object.mean((1, 2)) ** 2
    return Responses(
        (position / len(slabs) / turns + origin).reshape(columns, rows, latents), of_object + origin, within.clip(0)
    )


def posterior_statistics(mean: np.ndarray, logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """KL from the prior in nats and the posterior's variance, (M,) each, means over the images of (images, M)."""
    kl, variance = np.zeros(mean.shape[1]), np.zeros(mean.shape[1])
    for first in range(0, len(mean), 1 << 15):
        part = slice(first, first + (1 << 15))
        spread = np.exp(logvar[part])
        kl += (0.5 * (np.square(mean[part]) + spread - logvar[part] - 1)).sum(0, dtype=np.float64)
        variance += spread.sum(0, dtype=np.float64)
    return kl / len(mean), variance / len(mean)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def shares(found: Responses) -> dict[str, np.ndarray]:
    """Of each latent's variance, the share (M,) that each of SHARES explains: the variance of the mean per class.

    Rotation is taken within each shape, since a square, an ellipse and a heart turn with different periods: the
    variance over orientations of the mean per shape and orientation, averaged over the shapes.
    """
    parts = {
        "posX": found.position.mean(1).var(0),
        "posY": found.position.mean(0).var(0),
        "scale": found.object.mean((0, 2)).var(0),
        "rotation": found.object.mean(1).var(1).mean(0),
        "shape": found.object.mean((1, 2)).var(0),
    }
    return {name: _over(part, found.variance) for name, part in parts.items()}


def position_share(found: Responses) -> np.ndarray:
    """The share (M,) of each latent's variance that posX and posY explain together: of the mean per position."""
    return _over(found.position.var((0, 1)), found.variance)


def turned_axes(found: Responses, grid: FactorGrid) -> tuple[np.ndarray, np.ndarray]:
    """The direction in the plane of posX and posY along which position explains most of each latent's variance.

    Returns its angle from posX towards posY in whole degrees in [0, 180), and the share of the variance that a
    polynomial of degree DEGREE in the position along it explains, (M,) each. Constant latents: 0, 0.
    """
    x, y = (grid.values[3] - grid.values[3].mean())[:, None], (grid.values[4] - grid.values[4].mean())[None]
    surface = (found.position - found.mean).reshape(-1, len(found.mean))
    degree = min(DEGREE, grid.size("posX") - 1, grid.size("posY") - 1)
    explained = np.empty((180, surface.shape[1]))
    for angle in range(180):
        along = (x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))).ravel()
        basis = np.linalg.qr(np.vander(along / np.abs(along).max(), degree + 1))[0]
        explained[angle] = np.square(basis.T @ surface).sum(0) / len(surface)
    best = explained.argmax(0)
    share = _over(explained.max(0), found.variance)
    return np.where(share > 0, best, 0), share


def turned_by(angle: np.ndarray) -> np.ndarray:
    """Degrees in [0, 45] between a direction (…) in degrees and the nearest axis."""
    return np.abs((np.asarray(angle) + 45) % 90 - 45)


def rotation_by_shape(found: Responses) -> np.ndarray:
    """Of each latent's variance among images of one shape, the share that rotation explains: (shape, M)."""
    return _over(found.object.mean(1).var(1), found.shape_variance)


def turns_by_shape(found: Responses, grid: FactorGrid) -> np.ndarray:
    """How often each latent's mean response repeats in a full turn, (shape, M): its strongest harmonic.

    0 where the grid has too few orientations to tell the shape's own period, or the response is constant.
    """
    angles, first = np.unique(np.round(grid.values[2] % (2 * np.pi), 9), return_index=True)  # 2π looks like 0
    response = found.object.mean(1)[:, first]
    response = response - response.mean(1, keepdims=True)
    finest = (len(angles) - 1) // 2
    fitted = np.zeros((finest + 1, *response[:, 0].shape))
    for turns in range(1, finest + 1):
        waves = np.stack([np.cos(turns * angles), np.sin(turns * angles)], 1)
        basis = np.linalg.qr(waves - waves.mean(0))[0]
        fitted[turns] = np.square(np.einsum("om,sok->smk", basis, response)).sum(1)
    strongest = fitted.argmax(0)
    resolved = np.array([SYMMETRY[int(shape)] <= finest for shape in grid.values[0]])
    return np.where(resolved[:, None], strongest, 0)


class Followed(NamedTuple):
    """What the latents of one replica follow, (M,) each."""

    kind: list[str]  # one of KINDS, or dead
    factor: list[str]  # of SHARES, the one with the largest share
    share: np.ndarray  # its share
    shares: dict[str, np.ndarray]
    angle: np.ndarray  # of the turned axis, degrees
    along: np.ndarray  # share explained along it


def live_latents(variance: np.ndarray, kl: np.ndarray | None) -> np.ndarray:
    """Which latents are live, (M,): KL above LIVE_KL nats; without KL, variance above LIVE_VARIANCE of the largest."""
    return kl > LIVE_KL if kl is not None else variance > LIVE_VARIANCE * variance.max()


def followed(found: Responses, grid: FactorGrid, live: np.ndarray) -> Followed:
    """What each latent follows: the factor with the largest share, and what it is counted as.

    A live latent is counted as position (along its best direction), scale, rotation (within a shape) or shape,
    whichever explains most of its variance, if that is more than COUNTED; else as mixed.
    """
    of_factor = shares(found)
    angle, along = turned_axes(found, grid)
    factors = np.stack([of_factor[name] for name in SHARES])
    kinds = np.stack([np.maximum(along, factors[:2].max(0)), *factors[2:]])
    kind = [
        (KINDS[best] if value > COUNTED else "mixed") if lives else "dead"
        for best, value, lives in zip(kinds.argmax(0), kinds.max(0), live, strict=True)
    ]
    factor = [SHARES[best] for best in factors.argmax(0)]
    return Followed(kind, factor, factors.max(0), of_factor, angle, along)


def summary(found: Followed) -> str:
    """In words: `two of position (turned by 1°, 3°), one of scale, none of rotation, two mixed; five dead`."""

    def count(kind: str) -> str:
        number = found.kind.count(kind)
        return WORDS[number] if number < len(WORDS) else str(number)

    turned = [f"{turned_by(a):.0f}°" for a, kind in zip(found.angle, found.kind, strict=True) if kind == "position"]
    parts = [f"{count('position')} of position" + (f" (turned by {', '.join(turned)})" if turned else "")]
    named = [kind for kind in KINDS[1:] if kind in ("scale", "rotation") or kind in found.kind]
    parts += [f"{count(kind)} {kind}" if kind == "mixed" else f"{count(kind)} of {kind}" for kind in named]
    return f"{', '.join(parts)}; {count('dead')} dead"


WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def explained(latent: np.ndarray, cells: np.ndarray) -> float:
    """Share of the variance of `latent` (n,) that the means of its `cells` (n,) explain: R², the correlation ratio."""
    latent = latent.astype(np.float64)
    counts = np.bincount(cells)
    means = np.bincount(cells, latent) / np.maximum(counts, 1)
    total = latent.var()
    return float(counts @ (means - latent.mean()) ** 2 / len(latent) / total) if total else 0.0


def explained_within(latent: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> float:
    """As `explained`, of what varies within the groups (n,): the latent's mean in each group is taken out first."""
    means = np.bincount(groups, latent.astype(np.float64)) / np.maximum(np.bincount(groups), 1)
    return explained(latent - means[groups], classes + groups * (classes.max() + 1))
