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


def label(model: str) -> str:
    """The paper's name of a model, or its own."""
    return FIGURE6_LEFT[model][0] if model in FIGURE6_LEFT else model


PCA_EXPLAINED_VARIANCE = Published(0.608, None, "B", None)

# What the paper says of training a system: the claim and its grade.
STABILITY: dict[str, tuple[str, str]] = {
    "beta4": ("stable to train", "A"),
    "infogan": ("training unstable", "A"),
}

# What Figure 7 shows, grade A.
FIGURE7: dict[str, str] = {
    "beta4": "two position latents along the axes, one scale, two rotation latents (cosine- and sine-like, of period "
    "2π for the heart, π for the ellipse, π/2 for the square), the rest with a KL near 0",
    "beta1": "nearly every latent mixes factors",
    "dcign": "clean, but it needed the factors' labels",
    "infogan": "position partly; neither rotation nor scale nor shape; training is unstable",
}


@dataclass(frozen=True)
class PublishedReadout:
    """A row of Table 2: accuracies in [0, 1] of a linear classifier that reads each factor's value."""

    shape: float
    scale: float
    orientation: float
    posX: float
    posY: float
    grade: str = "B"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


# Table 2, in the paper's order: id (3 values), scale (6), rotation (40), posX (32), posY (32).
TABLE2: dict[str, PublishedReadout] = {
    "pca": PublishedReadout(0.4338, 0.3608, 0.0596, 0.6066, 0.6015),
    "ica": PublishedReadout(0.596, 0.344, 0.0761, 0.2596, 0.2512),
    "dcign": PublishedReadout(0.4482, 0.4592, 0.1589, 0.4764, 0.4588),
    "infogan": PublishedReadout(0.4447, 0.4091, 0.0639, 0.2751, 0.2373),
    "vae_untrained": PublishedReadout(0.3944, 0.2533, 0.0609, 0.1669, 0.1439),
    "beta1": PublishedReadout(0.4155, 0.2407, 0.08, 0.165, 0.1872),
    "beta4": PublishedReadout(0.5008, 0.4303, 0.2036, 0.5225, 0.495),
}


@dataclass(frozen=True)
class Architecture:
    """A row of Table 1 as the paper prints it, and how sure that is."""

    models: str
    data: str
    encoder: str
    latents: str
    decoder: str
    optimiser: str
    grade: str


# Table 1: the system that stands for a row here (None: not counted here), the row. DC-IGN's grades are those
# of its encoder and decoder, InfoGAN's of its players.
TABLE1: tuple[tuple[str | None, Architecture], ...] = (
    (
        "vae",
        Architecture(
            "β-VAE, VAE, VAE untrained",
            "2D shapes",
            "4096, FC 1200, FC 1200, ReLU",
            "10",
            "FC 1200, FC 1200, FC 1200, tanh, 4096, Bernoulli",
            "Adagrad 1e-2",
            "A",
        ),
    ),
    (
        "dcign",
        Architecture(
            "DC-IGN",
            "2D shapes",
            "conv 96 3×3, maxpool 2, conv 48 3×3, maxpool 2, conv 48 3×3, maxpool 2, FC 120, ReLU",
            "10",
            "unpool, conv 48 3×3, unpool, conv 96 3×3, unpool, conv 1 3×3, ReLU, sigmoid",
            "rmsprop as in Kulkarni et al. (2015)",
            "B",
        ),
    ),
    (
        "infogan",
        Architecture(
            "InfoGAN",
            "2D shapes",
            "D: conv/FC mirror of G, leaky ReLU, FC 1, sigmoid; Q: D's trunk, FC 128, FC 5 Gaussian",
            "5 codes ~ U(−1, 1), 5 noise",
            "G: FC 256, FC 256, deconv 128 4×4, deconv 64 4×4 (stride 2), tanh",
            "Adam 1e-3 (G), 2e-4 (D)",
            "B",
        ),
    ),
    (
        "conv_vae",
        Architecture(
            "β-VAE, VAE",
            "chairs, 3D faces (64×64×1)",
            "conv 32, 32, 64, 64 (4×4, stride 2), FC 256, ReLU",
            "32",
            "mirror image, Bernoulli",
            "Adam 1e-4",
            "A",
        ),
    ),
    (
        None,
        Architecture(
            "β-VAE, VAE",
            "CelebA (64×64×3)",
            "conv 32, 32, 64, 64 (4×4, stride 2), FC 256, ReLU",
            "32",
            "mirror image, Gaussian",
            "Adam 1e-4",
            "A",
        ),
    ),
)
