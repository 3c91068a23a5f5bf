"""Solids as signed distances, after Inigo Quilez's collection: the stand-ins' chairs and heads are made of these.

Points are (3, n) float32, the rows x (right), y (up), z (to the front). A distance (n,) is negative inside, and
never larger than the true one (but for ellipsoids, where it is close), so that a ray may safely go that far.
"""

from __future__ import annotations

import numpy as np

Point = tuple[float, float, float]


def column(point: Point) -> np.ndarray:
    """A point as (3, 1), to be subtracted from points."""
    return np.array(point, np.float32)[:, None]


def length(vectors: np.ndarray) -> np.ndarray:
    """Lengths (n,) of vectors (3, n)."""
    return np.sqrt(np.einsum("in,in->n", vectors, vectors))


def mirrored(points: np.ndarray, *axes: int) -> np.ndarray:
    """The points folded onto the positive side of `axes`: what is drawn there once stands on both sides."""
    folded = points.copy()
    for axis in axes:
        np.abs(folded[axis], out=folded[axis])
    return folded


def turned(points: np.ndarray, angle: float, axes: tuple[int, int]) -> np.ndarray:
    """The points turned back by `angle` (radians) in the plane of two axes: what is drawn there stands turned."""
    first, second = axes
    result = points.copy()
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    result[first] = cosine * points[first] + sine * points[second]
    result[second] = cosine * points[second] - sine * points[first]
    return result


def box(points: np.ndarray, centre: Point, half: Point, rounding: float = 0.01) -> np.ndarray:
    """A box with rounded edges; `half` its half sides, rounding included."""
    beyond = np.abs(points - column(centre)) - (column(half) - np.float32(rounding))
    outside = length(np.maximum(beyond, 0))
    return outside + np.minimum(beyond.max(axis=0), 0) - np.float32(rounding)


def capsule(points: np.ndarray, start: Point, end: Point, radius: float) -> np.ndarray:
    """A rod with round ends."""
    axis = column(end) - column(start)
    along = points - column(start)
    share = np.clip((along * axis).sum(axis=0) / float((axis * axis).sum()), 0, 1)
    return length(along - axis * share) - np.float32(radius)


def ellipsoid(points: np.ndarray, centre: Point, radii: Point) -> np.ndarray:
    """An ellipsoid (the usual approximation, exact on the surface)."""
    inverse = 1 / column(radii)
    scaled = (points - column(centre)) * inverse
    inner = length(scaled)
    return inner * (inner - 1) / np.maximum(length(scaled * inverse), 1e-6)


def smooth_union(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """The union, the seam filled over a width of `blend`."""
    share = np.maximum(blend - np.abs(first - second), 0) / np.float32(blend)
    return np.minimum(first, second) - share * share * np.float32(blend / 4)


def smooth_cut(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """The first without the second, the rim rounded over a width of `blend`."""
    return -smooth_union(-first, second, blend)
