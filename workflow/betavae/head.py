"""A head for the rendered stand-ins of faces and portraits: its solid, and what is painted on it.

Heads are two units high, look along z, and are symmetric: all that comes in pairs is drawn once, on folded points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from betavae.solids import capsule, ellipsoid, mirrored, smooth_cut, smooth_union

# What a point of the surface is painted with.
SKIN, EYE, DARK, LIPS = range(4)
MOUTH = -0.55  # height of the line between the lips
EYE_X, EYE_Y = 0.27, 0.02


@dataclass(frozen=True)
class Head:
    """Shape parameters. width: of face and jaw, 1 the average; jaw: how far the chin comes down, 0 the average;
    smile: how far the corners of the mouth go up, 0 level."""

    width: float = 1.0
    jaw: float = 0.0
    smile: float = 0.0

    def bent(self, folded: np.ndarray) -> np.ndarray:
        """Folded points as seen from the mouth: the line between the lips is straight, at the height MOUTH."""
        points = folded.copy()
        points[1] -= np.float32(self.smile) * (np.minimum(points[0], 0.3) / 0.2) ** 2 - np.float32(self.smile / 2)
        return points

    def solid(self, points: np.ndarray) -> np.ndarray:
        """Signed distance (n,) of points (3, n)."""
        folded, width = mirrored(points, 0), self.width
        skull = ellipsoid(folded, (0, 0.28, -0.14), (0.73, 0.75, 0.86))
        face = ellipsoid(folded, (0, -0.2, 0.1), (0.6 * width, 0.8, 0.66))
        chin = ellipsoid(folded, (0, -0.8 - self.jaw, 0.42), (0.26 * width, 0.2, 0.24))
        head = smooth_union(smooth_union(skull, face, 0.2), chin, 0.35)
        cheeks = ellipsoid(folded, (0.36 * width, -0.22, 0.46), (0.2, 0.2, 0.22))
        head = smooth_union(head, cheeks, 0.2)
        brow = ellipsoid(folded, (0.17, 0.2, 0.6), (0.3, 0.08, 0.16))
        head = smooth_union(head, brow, 0.12)
        head = smooth_cut(head, ellipsoid(folded, (EYE_X, EYE_Y, 0.84), (0.17, 0.1, 0.2)), 0.1)
        head = np.minimum(head, ellipsoid(folded, (EYE_X - 0.01, EYE_Y - 0.01, 0.55), (0.17, 0.15, 0.16)))
        nose = capsule(folded, (0, 0.08, 0.7), (0, -0.24, 0.9), 0.065)
        nose = smooth_union(nose, ellipsoid(folded, (0, -0.27, 0.88), (0.1, 0.09, 0.12)), 0.06)
        nose = smooth_union(nose, ellipsoid(folded, (0.1, -0.3, 0.78), (0.075, 0.07, 0.1)), 0.05)
        head = smooth_union(head, nose, 0.08)
        bent = self.bent(folded)
        upper = ellipsoid(bent, (0, MOUTH + 0.045, 0.68), (0.2, 0.055, 0.12))
        lower = ellipsoid(bent, (0, MOUTH - 0.055, 0.67), (0.17, 0.06, 0.12))
        head = smooth_union(head, np.minimum(upper, lower), 0.06)
        ears = ellipsoid(folded, (0.73, -0.02, -0.12), (0.07, 0.22, 0.14))
        neck = capsule(folded, (0, -0.6, -0.2), (0, -1.9, -0.34), 0.4)
        return smooth_union(smooth_union(head, ears, 0.06), neck, 0.1)

    def paint(self, points: np.ndarray) -> np.ndarray:
        """What points (3, n) of the surface are painted with: (n,) of SKIN, EYE, DARK, LIPS."""
        x, y, z = folded = mirrored(points, 0)
        front = z > 0.25
        across, up = (x - EYE_X) / 0.13, (y - EYE_Y) / 0.062
        almond = across**2 + up**2
        paint = np.full(len(x), SKIN)
        paint[front & (almond < 1)] = EYE
        paint[front & (almond < 1) & (across**2 * 3.4 + up**2 * 0.8 < 0.75)] = DARK
        paint[front & (almond > 1) & (almond < 1.75) & (up > 0.2)] = DARK
        arc = y - (0.205 - 1.1 * (x - 0.28) ** 2)
        paint[front & (np.abs(arc) < 0.026) & (x > 0.12) & (x < 0.46)] = DARK
        height = self.bent(folded)[1] - MOUTH
        paint[front & (z > 0.4) & ((x / 0.21) ** 2 + (height / 0.1) ** 2 < 1)] = LIPS
        paint[front & (z > 0.4) & (x < 0.22) & (np.abs(height) < 0.016)] = DARK
        paint[(z > 0.7) & (((x - 0.065) / 0.04) ** 2 + ((y + 0.345) / 0.025) ** 2 < 1)] = DARK
        return paint
