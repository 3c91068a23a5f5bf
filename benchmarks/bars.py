"""The bars that a run answers by itself, from the benchmark files that Snakemake left in `results/`.

PYTHONPATH=workflow python benchmarks/bars.py --scale laptop
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cyclopts
from floor import ceilings, committed_config

from betavae.cost import measured
from betavae.device import pick_device, prepare_cpu
from betavae.errors import UserError
from betavae.plan import Plan

IMAGES, PIXELS = 737_280, 4096  # of the whole data set


class Bar(NamedTuple):
    """What is measured, how much it was, its unit, and what it may be at most (None: no bar is set)."""

    what: str
    value: float
    unit: str
    limit: float | None = None

    def __str__(self) -> str:
        """One line: what, how much, and whether the bar is met."""
        said = f"{self.what}: {self.value:.4g} {self.unit}"
        if self.limit is None:
            return said
        return f"{said} (bar {self.limit:g}, {'met' if self.value <= self.limit else 'MISSED'})"


def job(folder: Path, name: str) -> dict[str, float]:
    """What Snakemake measured of a job; UserError where it has not run."""
    path = folder / f"{name}.tsv"
    if not path.exists():
        raise UserError(f"{path} is missing; expected a complete run, as `snakemake --cores 2 all` makes one")
    return measured(path)


def encoding(width: int, latents: int) -> float:
    """Seconds of one thread that one encoder's products, dense, take at the ceiling for all images."""
    per_second, _ = ceilings(pick_device("cpu"), "float32")
    return 2 * IMAGES * (PIXELS * width + width * width + 2 * width * latents) / per_second


def bars(results: Path, scale: str) -> Iterator[Bar]:
    """Each bar, as the last run of its jobs left it, at a scale of config.yaml as it is committed."""
    plan = Plan(committed_config() | {"scale": scale})
    preset = plan.preset(scale)
    own, data, shared = (results / folder / "benchmarks" for folder in (scale, f"data/{preset['grid']}", "."))
    replicas = preset["replicas"]
    evaluations = replicas * plan.config["metrics"]["zdiff"]["classifier_seeds"]
    made = job(data, "dataset")
    yield Bar("data set (HDF5, bits), wall time", made["wall"], "s", 30)
    yield Bar("data set (HDF5, bits), CPU time", made["cpu"], "s", 60)
    yield Bar("data set (HDF5, bits), memory", made["memory"], "MB", 1500)
    if (data / "dataset_npz.tsv").exists():
        yield Bar("the NPZ on top, wall time", job(data, "dataset_npz")["wall"], "s", max(0.0, 30 - made["wall"]))
    yield Bar("training β = 4, memory", job(own, "train_beta4")["memory"], "MB", 1500)
    yield Bar(f"{evaluations} metric evaluations, CPU time", job(own, "zdiff_beta4")["cpu"], "s", evaluations)
    codes = job(own, "encode_beta4")["cpu"]
    yield Bar(f"codes of β = 4, {replicas} replicas, CPU time", codes, "s")
    if preset["grid"] == "full" and codes:
        yield Bar(
            "their dense products at the ceiling ÷ that",
            replicas * encoding(preset["width"], preset["latents"]) / codes,
            "",
        )
    pictures = [path for path in results.glob("data/*/benchmarks") if path.parent.name not in plan.config["grids"]]
    files = [path for folder in (own, shared, data, *pictures) for path in folder.glob("*.tsv")]
    whole = sum(measured(path)["cpu"] for path in files) / 60
    if pictures:
        yield Bar("all jobs, pictures among them, CPU time", whole, "min")
    else:
        yield Bar("all jobs, no pictures among them, CPU time", whole, "min", 35)


def main(*, results: Path = Path("results"), scale: str = "laptop") -> None:
    """Print each bar and what the last run of its jobs took.

    Parameters
    ----------
    results: the folder of the run.
    scale: its scale.
    """
    prepare_cpu(1)
    for bar in bars(results, scale):
        print(bar)


if __name__ == "__main__":
    try:
        cyclopts.run(main)
    except UserError as error:
        sys.exit(f"bars: {error}")
