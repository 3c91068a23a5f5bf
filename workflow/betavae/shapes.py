"""Draw the 2D shapes (section 4.2), hard-edged as in the original data set.

The pixel (row i, column j) has its centre at (x, y) = (j + 0.5, i + 0.5), y down; the object's centre lies
at 16 + 32·position. One position step is 32/31 pixels, so the raster changes with the position and no
sprite can be shifted. The constants were fitted to labelled frames of the original animation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SIDE = 64
PIXELS = SIDE * SIDE
REACH = 13.6  # no object at scale 1 reaches further than this from its centre, in pixels

SQUARE_HALF_SIDE = 9.6
ELLIPSE_SEMI_AXES = (12.77, 7.22)
HEART_WIDTH, HEART_HEIGHT, HEART_SHIFT = 9.6, 0.662, 1.435


def in_square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether the points (u, v) of the object's own frame lie in the square."""
    return (np.abs(u) < SQUARE_HALF_SIDE) & (np.abs(v) < SQUARE_HALF_SIDE)


def in_ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether the points (u, v) of the object's own frame lie in the ellipse."""
    return (u / ELLIPSE_SEMI_AXES[0]) ** 2 + (v / ELLIPSE_SEMI_AXES[1]) ** 2 < 1.0


def in_heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether the points lie in the curve u = 9.6 sin³t, v = −0.662·Y(cos t) − 1.435 (tip down).

    At a given u the curve has cos t = ±√(1 − sin²t): its lower and its upper edge. Only points within the
    heart's width are evaluated: the cube root is the dearest operation of the whole data set.
    """
    inside = np.abs(u) < HEART_WIDTH
    sin2 = np.cbrt(u[inside] / HEART_WIDTH) ** 2
    cos = np.sqrt(1.0 - sin2)
    # Y(±c) = ±odd + even, with Y(c) = 13c − 5cos 2t − 2cos 3t − cos 4t
    cos_2t = 1.0 - 2.0 * sin2
    odd = 13.0 * cos - 2.0 * (4.0 * cos * cos * cos - 3.0 * cos)
    even = -5.0 * cos_2t - (2.0 * cos_2t * cos_2t - 1.0)
    inside[inside] = np.abs(-(v[inside] + HEART_SHIFT) / HEART_HEIGHT - even) < odd
    return inside


INSIDE: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (in_square, in_ellipse, in_heart)


def draw(shape: int, scale: float, orientation: float, pos_x: np.ndarray, pos_y: np.ndarray) -> np.ndarray:
    """One object at every combination of positions.

    shape: 0 square, 1 ellipse, 2 heart; scale: side relative to the largest; orientation: radians;
    pos_x (X,), pos_y (Y,): positions in [0, 1].
    Returns (X, Y, 64, 64) uint8, 0 or 1. Only a window around each centre is evaluated.
    """
    window = 2 * int(np.ceil(REACH * scale)) + 1
    centre_x, centre_y = 16.0 + 32.0 * np.asarray(pos_x), 16.0 + 32.0 * np.asarray(pos_y)
    offsets = np.arange(window) - window // 2
    columns = np.floor(centre_x).astype(int)[:, None] + offsets  # (X, W)
    rows = np.floor(centre_y).astype(int)[:, None] + offsets  # (Y, W)
    dx = (columns + 0.5 - centre_x[:, None])[:, None, None, :]
    dy = (rows + 0.5 - centre_y[:, None])[None, :, :, None]
    cos, sin = np.cos(orientation), np.sin(orientation)
    u = cos / scale * dx - sin / scale * dy  # (X, Y, W, W)
    v = sin / scale * dx + cos / scale * dy
    lit = np.flatnonzero(INSIDE[shape](u, v))
    x, y, i, j = np.unravel_index(lit, u.shape)
    images = np.zeros((len(centre_x), len(centre_y), SIDE, SIDE), np.uint8)
    images[x, y, rows[y, i], columns[x, j]] = 1
    return images
