"""One replica's codes with the factors behind them, as every measure beyond the paper's sees them (ours)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from betavae.errors import UserError
from betavae.factors import FACTORS, FactorGrid
from betavae.stream import stream

UNORDERED = ("shape",)  # factors whose values have no order
ORDERED_BY = 64  # images whose codes put the latents in order: enough to tell any two latents apart


@dataclass(frozen=True, eq=False)
class Labelled:
    """Standardised codes (images, M) float32 of all images of a grid; dead latents are 0 everywhere."""

    codes: np.ndarray
    grid: FactorGrid
    factors: tuple[str, ...]  # two or more, each with two or more values
    seed: int  # of all that a measure draws

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each of `factors` takes."""
        return tuple(self.grid.size(factor) for factor in self.factors)

    @property
    def live(self) -> np.ndarray:
        """Which latents (M,) vary at all."""
        return self.codes.any(0)

    def classes(self, images: np.ndarray | None = None) -> np.ndarray:
        """Classes (n, K) of the factors of some images, of all where none are given."""
        return self.grid.classes(images)[:, [FACTORS.index(factor) for factor in self.factors]]

    def split(self, train_points: int, test_points: int) -> tuple[np.ndarray, np.ndarray]:
        """Image numbers to learn from and to test on, no image twice; both shrink alike where the grid is small."""
        wanted = train_points + test_points
        drawn = stream(self.seed, "measure").permutation(self.grid.images)[:wanted]
        train = round(len(drawn) * train_points / wanted)
        return drawn[:train], drawn[train:]


def standardise(codes: np.ndarray, dead: float) -> np.ndarray:
    """Codes (images, M) with mean 0 and standard deviation 1; 0 where a latent is dead.

    Dead is a latent that is constant, or whose standard deviation is below `dead` × the largest one's.
    """
    spread = codes.std(0, dtype=np.float64)
    centre = codes.mean(0, dtype=np.float64)
    alive = (np.ptp(codes, axis=0) > 0) & (spread >= dead * spread.max())
    result = np.zeros(codes.shape, np.float32)
    for latent in np.flatnonzero(alive):
        result[:, latent] = (codes[:, latent] - centre[latent]) / spread[latent]
    return result


def label(codes: np.ndarray, grid: FactorGrid, factors: tuple[str, ...], seed: int, dead: float) -> Labelled:
    """Codes (images, M) of one replica as the measures see them.

    Latents are put in an order of their own, so that no measure hangs on the one they came in; a single latent
    gets a dead one beside it, so that there always is a second best. Factors of one value say nothing and are
    left out; UserError where fewer than two are left.
    """
    varying = tuple(factor for factor in factors if grid.size(factor) > 1)
    if len(varying) < 2:
        raise UserError(
            f"`measures.factors`: of {', '.join(factors)}, {len(varying)} vary in this data set, expected two or more; "
            "name more factors or thin the grid less"
        )
    result = standardise(codes, dead)
    if result.shape[1] == 1:
        result = np.pad(result, ((0, 0), (0, 1)))
    rows = np.linspace(0, len(result) - 1, ORDERED_BY).astype(np.int64)
    return Labelled(np.ascontiguousarray(result[:, np.lexsort(result[rows])]), grid, varying, seed)
