"""The paper's numbers, each with its grade of certainty.

A: stated in the main text or confirmed by an independent source. B: recalled from the appendix, consistent,
no second source. The grade of a row's mean stands in `grade`, that of its ± in `std_grade`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Published:
    """A published score of Figure 6 left: accuracies in [0, 1]."""

    mean: float
    std: float | None
    grade: str
    std_grade: str | None

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


# Figure 6 left, in the paper's order: our model name, the paper's label, the score.
FIGURE6_LEFT: dict[str, tuple[str, Published]] = {
    "ground_truth": ("Ground truth", Published(1.0, None, "A", None)),
    "raw_pixels": ("Raw pixels", Published(0.4575, 0.008, "A", "B")),
    "pca": ("PCA", Published(0.849, 0.004, "A", "B")),
    "ica": ("ICA", Published(0.4203, 0.106, "A", "B")),
    "dcign": ("DC-IGN", Published(0.993, 0.001, "A", "A")),
    "infogan": ("InfoGAN", Published(0.735, 0.009, "A", "A")),
    "vae_untrained": ("VAE untrained", Published(0.4414, 0.025, "B", "B")),
    "beta1": ("VAE", Published(0.6158, 0.005, "A", "A")),
    "beta4": ("β-VAE", Published(0.9923, 0.001, "A", "A")),
}

PCA_EXPLAINED_VARIANCE = Published(0.608, None, "B", None)

# What the paper says of training a system: the claim and its grade.
STABILITY: dict[str, tuple[str, str]] = {
    "beta4": ("stable to train", "A"),
    "infogan": ("training unstable", "A"),
}
