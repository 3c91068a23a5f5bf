"""The armchair on an office base: what a model makes of a combination of factors that it never saw.

The paper tells of armchairs that β-VAE puts on an office chair's base, which the data lack. Here the combination is
held out of training, so the true picture is known: each held-out picture is encoded and drawn, and it is asked which
of the chairs that differ in the held-out factors alone the drawing is nearest to.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from betavae import style
from betavae.conv_vae import trained_on
from betavae.factors import FactorGrid
from betavae.image_files import open_data, shown_images
from betavae.pictures import ALL_DIVERGED, picture_title, say, show
from betavae.standin_chairs import ARMS, LEGS
from betavae.stream import stream
from betavae.tables import write_table
from betavae.walk import Walker, open_replica

WORDS = {"legs": LEGS, "arms": ARMS}
SHOWN = 6  # held-out pictures in the figure
SEEDS = 3  # walks in the figure, each from another picture
STEPS = 7
ASKED = 240  # pictures, held out and seen, in the table


def combinations(grid: FactorGrid, factors: tuple[str, ...]) -> list[tuple[int, ...]]:
    """All combinations of the classes of some factors."""
    return list(itertools.product(*(range(grid.size(factor)) for factor in factors)))


def alike(grid: FactorGrid, numbers: np.ndarray, factors: tuple[str, ...]) -> np.ndarray:
    """For each image (n,) those that differ from it in these factors at most, one a combination: (n, combinations)."""
    columns, every = [grid.names.index(factor) for factor in factors], combinations(grid, factors)
    classes = np.repeat(grid.classes(numbers)[:, None], len(every), axis=1)
    classes[..., columns] = every
    return grid.index(classes)


def nearest(drawn: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Which of its candidates (n, k, …) each drawn image (n, …) is nearest to, by squared error: (n,)."""
    errors = np.square(drawn[:, None] - candidates).reshape(*candidates.shape[:2], -1).sum(-1)
    return errors.argmin(1)


def worded(factor: str, value: int) -> str:
    """A class of a factor in words."""
    return WORDS[factor][value] if factor in WORDS else f"{factor.replace('_', ' ')} {value}"


def sample(numbers: np.ndarray, count: int, purpose: str) -> np.ndarray:
    """At most so many of the numbers, in order, the same for each model."""
    return np.sort(stream(0, purpose).choice(numbers, min(count, len(numbers)), replace=False))


def rows_of(name: str, walker: Walker, images: np.ndarray, grid: FactorGrid, held: dict[str, int]) -> list[dict]:
    """A model's rows of the table: drawings of pictures held out and of others, and what they are nearest to."""
    factors, seen = tuple(held), trained_on(grid, held)
    unseen = np.setdiff1d(np.arange(grid.images), seen)
    rows = []
    for what, numbers in (("held out", unseen), ("seen", seen)):
        asked = sample(numbers, ASKED, what)
        drawn = walker.generate(walker.encode(images[asked]))
        others = alike(grid, asked, factors)
        candidates = shown_images(images[others.ravel()]).reshape(*others.shape, *drawn.shape[1:])
        chosen = nearest(drawn, candidates)
        right = others[np.arange(len(asked)), chosen] == asked
        row: dict[str, Any] = {"model": name, "pictures": f"{len(asked)} {what}"}
        row["squared error a picture"] = f"{np.square(drawn - shown_images(images[asked])).sum((1, 2)).mean():.1f}"
        row["nearest to the true chair (%)"] = f"{100 * right.mean():.0f}"
        if what == "held out":
            for number, classes in enumerate(combinations(grid, factors)):
                words = ", ".join(map(worded, factors, classes))
                row[f"{words} (%)"] = f"{100 * (chosen == number).mean():.0f}"
        rows.append(row)
    return rows


def draw(
    walkers: dict[str, Walker], said: dict[str, Any], images: np.ndarray, grid: FactorGrid, held: dict[str, int]
) -> style.plt.Figure:
    """Held-out pictures and what each model draws of them; below, walks of the first model, whose shares are `said`, to
    the combination along the latent that carries the first held-out factor.
    """
    unseen = sample(np.setdiff1d(np.arange(grid.images), trained_on(grid, held)), SHOWN, "shown")
    first, walker = next(iter(held)), next(iter(walkers.values()))
    sheet = [shown_images(images[unseen])]
    sheet += [each.generate(each.encode(images[unseen])) for each in walkers.values()]
    figure, (above, below) = style.plt.subplots(2, 1, figsize=(6.4, 5.4), height_ratios=(len(sheet), SEEDS))
    show(above, np.stack(sheet), ["never seen", *walkers])
    words = ", ".join(itertools.starmap(worded, held.items()))
    above.set_title(f"{words}: pictures, and what models make of them", pad=8)
    latent = said["carriers"][first]
    if latent is None:
        say(below, "no live latent")
        return figure
    classes = grid.classes(unseen[:SEEDS])
    classes[:, grid.names.index(first)] = (held[first] + 1) % grid.size(first)
    starts = images[grid.index(classes)]
    walks = [walker.walk(code, np.array([latent]), walker.values(STEPS))[0] for code in walker.encode(starts)]
    rows = np.concatenate([shown_images(starts)[:, None], np.stack(walks)], axis=1)
    show(below, rows, columns=["seed", *walker.stops(STEPS)])
    share = said["shares"][first][latent]
    below.set_title(f"{next(iter(walkers))}: walks along z{latent} ({share:.0%} {first})", pad=14)
    return figure


def main(
    *,
    npy: Path,
    h5: Path,
    models: list[Path],
    shares: list[Path],
    png: Path,
    pdf: Path,
    csv: Path,
    md: Path,
    settings: str,
) -> None:
    """Write figure and table. models: the one that never saw the combination first; settings: JSON; scale, hold_out."""
    chosen = json.loads(settings)
    held, (images, grid) = chosen["hold_out"], open_data(npy, h5)
    said = [json.loads(path.read_text(encoding="utf-8")) for path in shares]
    found = [open_replica(model, own, images) for model, own in zip(models, said, strict=True)]
    if None in found:
        figure, axis = style.plt.subplots(figsize=(3.6, 1.2))
        say(axis, ALL_DIVERGED)
        rows = [{"model": model.stem, "pictures": ALL_DIVERGED} for model in models]
    else:
        names = ["held out", "saw all"]
        walkers = dict(zip(names, found, strict=True))
        figure = draw(walkers, said[0]["replicas"][said[0]["best"]], images, grid, held)
        titles = [picture_title(model.stem).partition(": ")[2] for model in models]
        rows = [
            row for name, each in zip(titles, found, strict=True) for row in rows_of(name, each, images, grid, held)
        ]
    style.save(figure, png, pdf, chosen["scale"], f"data: {npy.parent.name}, rendered stand-ins")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    caption = (
        f"# A combination that was held out of training, scale `{chosen['scale']}`\n\n"
        f"Held out: {', '.join(itertools.starmap(worded, held.items()))}. Each picture is encoded and drawn. Nearest: "
        "among the true pictures that differ in the held-out factors alone, the one that the drawing is closest to by "
        "squared error; the columns at the right say how often it is which."
    )
    write_table(csv, md, [{column: row.get(column, "") for column in columns} for row in rows], caption)
