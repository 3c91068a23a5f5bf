"""Names of models, as they stand in file names and targets: `beta4`, `pca`, and so on."""

from __future__ import annotations

import re
from decimal import Decimal

# Systems trained under their own name: that of their module and of their section in the config.
NAMED_SYSTEMS = ("dcign", "infogan")
# Models other than beta<number>, in Figure 6's order.
NAMED_MODELS = ("ground_truth", "raw_pixels", "pca", "ica", *NAMED_SYSTEMS, "vae_untrained")
MAIN_BETAS = (1, 4)
ALLOWED = (
    f"beta<number> with any β > 0 in its shortest form (beta4, beta0.5), {', '.join(NAMED_MODELS)}, and the names "
    "under `representations` in the config"
)
# Scales that are the paper's protocol.
FULL_SCALES = ("paper", "strict")
# The true factors but for rotation: what the paper's metric does not see.
BLIND_SPOT = "no_rotation"
# Figure 8's training sets: the kind of thinning, and the least and the largest number that it takes (see `subset`).
SUBSETS = {"stride": (1, 31), "random": (2, 10000), "continuous": (1, 99)}


class NameRefused(ValueError):
    """A name that no model has: what it is and what is allowed."""


def beta_name(beta: float | str) -> str:
    """The name of the β-VAE with this β, the number in its shortest form: 4.0 → beta4, 0.50 → beta0.5."""
    return "beta" + format(Decimal(str(beta)).normalize(), "f")


def sweep_name(beta: float, latents: int) -> str:
    """The name of a point of Figure 6's sweep."""
    return f"{beta_name(beta)}_z{latents}"


def parse_beta(name: str) -> tuple[float, int | None]:
    """β and, for a point of the sweep, the number of latents of a name like beta4 or beta4_z5."""
    found = re.fullmatch(r"beta(\d+\.?\d*|\.\d+)(?:_z(\d+))?", name)
    if not found:
        raise NameRefused(f"no model is called {name!r}; allowed: {ALLOWED}")
    number, latents = found.groups()
    if Decimal(number) == 0:
        raise NameRefused(f"{name!r} has β = 0; allowed: {ALLOWED}")
    if latents and int(latents) == 0:
        raise NameRefused(f"{name!r} has no latents; expected beta<β>_z<M> with M ≥ 1")
    if name != (shortest := beta_name(number) + (f"_z{int(latents)}" if latents else "")):
        raise NameRefused(f"{name!r} is not in its shortest form; write {shortest!r}")
    return float(number), int(latents) if latents else None


def subset_name(kind: str, number: int) -> str:
    """The name of the β-VAE (β = 4) trained on a subset of the data: a point of Figure 8."""
    return f"{beta_name(4)}_{kind}{number}"


def parse_subset(point: str) -> tuple[str, int]:
    """Kind and number of a point of Figure 8 like stride4, random16 or continuous55."""
    ranges = ", ".join(f"{kind}<{least}…{largest}>" for kind, (least, largest) in SUBSETS.items())
    found = re.fullmatch(rf"({'|'.join(SUBSETS)})([0-9]+)", point)
    if not found:
        raise NameRefused(f"no subset of the data is called {point!r}; allowed: {ranges}")
    kind, number = found[1], int(found[2])
    if point != (shortest := f"{kind}{number}"):
        raise NameRefused(f"{point!r} is not in its shortest form; write {shortest!r}")
    least, largest = SUBSETS[kind]
    if not least <= number <= largest:
        hint = "; all images are 'stride1'" if (kind, number) == ("random", 1) else ""
        raise NameRefused(f"{point!r} is out of range; allowed: {ranges}{hint}")
    return kind, number


def check_model(name: str) -> None:
    """Refuse the name of a model whose metric nobody can ask for."""
    if found := re.fullmatch(rf"beta4_((?:{'|'.join(SUBSETS)}).*)", name):
        raise NameRefused(
            f"no model is called {name!r}; allowed: {ALLOWED}; "
            f"points of Figure 8 are results/continuity/metric_{found[1]}.json"
        )
    if name not in NAMED_MODELS and parse_beta(name)[1] is not None:
        raise NameRefused(
            f"no model is called {name!r}; allowed: {ALLOWED}; points of the sweep are results/sweep/metric_{name}.json"
        )
