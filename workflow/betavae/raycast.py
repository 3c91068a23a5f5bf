"""Cast rays at solids (`solids`): depth, normals in the camera's frame, light, and pixels averaged over samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from betavae.shapes import SIDE
from betavae.solids import Point, column, length

Solid = Callable[[np.ndarray], np.ndarray]

STEPS = 64  # a ray that has found nothing after so many steps has missed
NEAR = 0.002  # a ray has arrived where the surface is so near


@dataclass(frozen=True)
class View:
    """Rays of a camera that looks at `target`, in the object's frame.

    `origin` (3, 1) where all of them start, `directions` (3, rays) unit vectors in rows from the top left, `axes`
    (3, 3) the camera's right, up and backward directions as rows. A pixel has a square of rays, which are averaged.
    """

    origin: np.ndarray
    directions: np.ndarray
    axes: np.ndarray


def look(azimuth: float, elevation: float, target: Point, half_width: float, distance: float, samples: int) -> View:
    """A camera `azimuth` to the object's left of its front and `elevation` above (radians).

    half_width: half the side of the square at the target that the picture shows; distance: from camera to target;
    samples: the side of a pixel's square of rays.
    """
    across = SIDE * samples
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    backward = np.array([sine * np.cos(elevation), np.sin(elevation), cosine * np.cos(elevation)])
    right = np.array([cosine, 0.0, -sine])
    axes = np.stack([right, np.cross(backward, right), backward])
    centres = ((np.arange(across) + 0.5) / across * 2 - 1) * half_width
    x, y = np.meshgrid(centres, -centres)
    local = np.stack([x.ravel(), y.ravel(), np.full(across**2, -distance)])
    directions = axes.T @ (local / np.sqrt((local**2).sum(axis=0)))
    origin = np.array(target)[:, None] + distance * backward[:, None]
    return View(origin.astype(np.float32), directions.astype(np.float32), axes.astype(np.float32))


def trace(solid: Solid, view: View, centre: Point, radius: float) -> np.ndarray:
    """Depth (rays,) float32 along each ray at which it meets the solid, inf where it does not.

    The solid lies within `radius` of `centre`: rays that pass by are never followed.
    """
    depth = np.full(view.directions.shape[1], np.inf, np.float32)
    offset = view.origin - column(centre)
    along = -(view.directions * offset).sum(axis=0)
    half_chord = radius**2 - float((offset**2).sum()) + along**2
    live = np.flatnonzero(half_chord > 0)
    half = np.sqrt(half_chord[live])
    reached, end = along[live] - half, along[live] + half
    directions = view.directions[:, live]
    for _ in range(STEPS):
        distance = solid(view.origin + directions * reached)
        arrived = distance < NEAR
        depth[live[arrived]] = reached[arrived]
        reached += distance
        on = np.flatnonzero(~arrived & (reached < end))
        if not len(on):
            break
        live, reached, end, directions = live[on], reached[on], end[on], directions[:, on]
    return depth


def surface(view: View, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rays that met something (n,), and where they did (3, n), in the object's frame."""
    met = np.flatnonzero(np.isfinite(depth))
    return met, view.origin + view.directions[:, met] * depth[met]


def normals(solid: Solid, view: View, points: np.ndarray, step: float = 0.004) -> np.ndarray:
    """Unit normals (3, n) of the solid's surface at `points`, in the camera's frame.

    From four values of the distance at the corners of a tetrahedron of half side `step`.
    """
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    gradient = sum(corner[:, None] * solid(points + step * corner[:, None]) for corner in corners)
    return view.axes @ (gradient / np.maximum(length(gradient), 1e-9))


def pixels(samples: np.ndarray) -> np.ndarray:
    """Samples (..., rays) averaged over each pixel: (..., 64, 64)."""
    side = round((samples.shape[-1] / SIDE**2) ** 0.5)
    grid = samples.reshape(*samples.shape[:-1], SIDE, side, SIDE, side)
    return grid.mean(axis=(-3, -1), dtype=np.float32)
