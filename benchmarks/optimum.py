"""Whether the objective holds a disentangled code, and whether training from scratch finds one as good.

The posterior means of five latents, or of three with `--no-rotation`, are drawn to the factors' own values, all others
to 0, by a pull that ends with the first `taught` steps; from then on nothing is minimised but equation 4. With
`--taught 0` the same network is trained from scratch.

PYTHONPATH=workflow python benchmarks/optimum.py --scale laptop --taught 4000 --steps 16000
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import cyclopts
import numpy as np
import torch
from floor import ROOT, committed_config
from torch import Tensor

from betavae.codes import HeldCodes
from betavae.device import pick_device, prepare_cpu
from betavae.encode import evaluation_sample, reconstructions
from betavae.factor_shares import SYMMETRY, followed, live_latents, posterior_statistics, responses, summary
from betavae.factors import FactorGrid
from betavae.image_files import chunks, open_data
from betavae.optimiser import Optimiser
from betavae.plan import Plan
from betavae.score import score
from betavae.stream import stream
from betavae.systems import Player
from betavae.train import Run, training_steps

RADIUS = 1.3  # of the circle on which rotation is laid: about unit variance on either latent


def quantiles(classes: np.ndarray, size: int) -> np.ndarray:
    """Values (n,) of unit variance, nearly, in the order of the classes (n,) of a factor of `size`: the prior's."""
    levels = [NormalDist().inv_cdf((level + 0.5) / size) for level in range(size)]
    return np.array(levels)[classes]


def factor_codes(grid: FactorGrid, rotation: bool = True) -> np.ndarray:
    """Codes (images, 3 or 5) float32 that tell posX, posY, scale and, on a circle, how far each shape is turned in its
    own period.
    """
    column = {name: grid.classes()[:, number] for number, name in enumerate(grid.names)}
    codes = [quantiles(column[name], grid.size(name)) for name in ("posX", "posY", "scale")]
    if rotation:
        periods = np.array([SYMMETRY[int(shape)] for shape in grid.values[0]])
        angle = periods[column["shape"]] * grid.values[grid.names.index("orientation")][column["orientation"]]
        codes += [RADIUS * np.cos(angle), RADIUS * np.sin(angle)]
    return np.stack(codes, axis=1).astype(np.float32)


def pull_at(step: int, taught: int, strength: float) -> float:
    """The pull's weight in a step (from 1): `strength` for half of the taught steps, then down to 0 linearly."""
    return strength * min(1.0, max(0.0, 2 - 2 * step / taught)) if taught else 0.0


def taught_turns(run: Run, targets: np.ndarray, pull: Tensor) -> list[tuple[Player, Optimiser]]:
    """The run's turns, their loss plus `pull` (a tensor of one number) × the squared distance of the posterior means to
    what they are drawn to: the first n latents to `targets` (images, n), all others to 0.
    """
    ((player, optimiser),) = run.turns
    known = torch.zeros(len(targets), run.network.latents)
    known[:, : targets.shape[1]] = torch.from_numpy(targets)
    known = known.to(run.device)

    def losses(images: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        loss, found = player.losses(images, drawn)
        mean, _ = run.network.encode(images)
        distance = (mean - known[drawn["images"]]).square().sum(-1).mean(1)
        return loss + pull * distance, found

    return [(Player(player.parameters, player.learning_rate, losses, player.shares), optimiser)]


@torch.inference_mode()
def codes_of(run: Run, stored: np.ndarray, grid: FactorGrid) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of all images, (R, images, M) each."""
    shape = (len(run.network.encoder[0].weight), grid.images, run.network.latents)
    mean, logvar = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for images, pixels, columns in chunks(stored, grid):
        found = run.network.encode_lit(
            torch.from_numpy(pixels).to(run.device), torch.from_numpy(columns).to(run.device)
        )
        mean[:, images], logvar[:, images] = (part.cpu().numpy() for part in found)
    return mean, logvar


def look(
    run: Run, settings: dict[str, Any], stored: np.ndarray, grid: FactorGrid, metric: dict[str, Any]
) -> Iterator[str]:
    """A line for each replica: score, the objective's parts in nats an image, and what its live latents follow."""
    mean, logvar = codes_of(run, stored, grid)
    found = score(HeldCodes(mean), grid, metric, "score")
    sample, noise = evaluation_sample(stream(0, "evaluation"), grid.images, 8192, run.network.latents)
    reconstruction = reconstructions(run.network, stored[sample], noise, run.device).mean(1)
    for replica, seed in enumerate(settings["seeds"]):
        own = [accuracy for number, _, accuracy in found["scores"] if number == replica]
        kl, _ = posterior_statistics(mean[replica], logvar[replica])
        told = responses(mean[replica], grid)
        live = live_latents(told.variance, kl)
        follow = followed(told, grid, live)
        latents = [
            f"{kl[latent]:.1f} nats: " + " ".join(f"{name} {part[latent]:.2f}" for name, part in follow.shares.items())
            for latent in np.argsort(-kl)
            if live[latent]
        ]
        objective = reconstruction[replica] + settings["beta"] * kl.sum()
        yield (
            f"  seed {seed}: score {100 * np.mean(own):.1f}, objective {objective:.1f} = "
            f"{reconstruction[replica]:.1f} + {settings['beta']:g} · {kl.sum():.2f}; "
            f"{summary(follow)}\n    " + "\n    ".join(latents)
        )


def main(
    *,
    scale: str = "laptop",
    model: str = "beta4",
    taught: int = 4000,
    steps: int = 16000,
    every: int = 4000,
    strength: float = 50.0,
    rotation: bool = True,
    first_seed: int = 0,
    replicas: int = 2,
    own: str = "{}",
    data: Path = ROOT / "results/data/full",
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Train, and print after every so many steps what the codes are and what they cost.

    own: JSON, settings of the training in place of the scale's.
    """
    config = committed_config()
    settings = Plan(config).training(scale, model) | {
        "seeds": list(range(first_seed, first_seed + replicas)),
        "steps": steps,
        "threads": threads,
    }
    if taught:
        settings["early_beta"] = None  # the pull does what a high β at first is for
    settings |= json.loads(own)
    on = pick_device(device)
    prepare_cpu(threads)
    stored, grid = open_data(data / "dsprites_bits.npy", data / "dsprites.h5")
    run, pull = Run(settings, on), torch.zeros((), device=on)
    drawn = taught_turns(run, factor_codes(grid, rotation), pull)
    metric = config["metrics"]["zdiff"] | {"replicas": replicas}
    print(f"{model}, scale {scale}, torch {torch.__version__}: {json.dumps(settings)}", flush=True)
    for step in range(1, steps + 1):
        if step in (1, taught + 1):  # with the pull, and without it
            turns = drawn if step <= taught else run.turns
            iterator = training_steps(turns, settings, stored, grid, on, done=step - 1)
        pull.fill_(pull_at(step, taught, strength))
        next(iterator)
        if step % every == 0 or step == steps:
            print(f"after step {step}{' (taught)' if step < taught else ''}", flush=True)
            for line in look(run, settings, stored, grid, metric):
                print(line, flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
