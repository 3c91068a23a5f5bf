"""Whether a run has room, in memory and on disk: asked once, before its first job.

Read by Snakemake itself, so without torch and NumPy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from math import ceil, prod
from pathlib import Path
from typing import Any, NamedTuple

from betavae.errors import UserError
from betavae.plan import Plan

FACTOR_SIZES = {"shape": 3, "scale": 6, "orientation": 40, "posX": 32, "posY": 32}
FLOAT = 4e-6  # megabytes of a float32
IMAGE_MB = 600e-6  # packed bits, and what an image takes compressed
GRAM_MB = 3 * 4096**2 * FLOAT
KEPT_STATES = 7  # a model's weights, and two checkpoints with weights and two numbers of Adam's for each
GROUP_LIMITS = Path("/sys/fs/cgroup")


class Need(NamedTuple):
    """What one job takes, in megabytes."""

    job: str
    memory_mb: float
    disk_mb: float
    temporary: bool  # whether what it writes goes again before the run ends


def images(strides: dict[str, int]) -> int:
    """How many images a thinned grid has."""
    return prod(ceil(size / strides.get(name, 1)) for name, size in FACTOR_SIZES.items())


def need(plan: Plan, rule: str, wildcards: Any) -> Need | None:
    """What a job of a rule takes; None of one that takes little."""
    name = f"{rule} {getattr(wildcards, 'model', '')}".strip()
    if rule == "dataset":
        return Need(f"{rule} {wildcards.grid}", 0, IMAGE_MB * images(plan.config["grids"][wildcards.grid]), False)
    if rule == "gram":
        return Need(f"{rule} {wildcards.grid}", 0, GRAM_MB, False)
    if rule == "train":
        weights = plan.weights(wildcards.scale, wildcards.model)
        return Need(name, plan.training_mb(wildcards), FLOAT * KEPT_STATES * weights, False)
    if rule not in ("encode", "encode_sweep", "encode_subset", "pca", "ica", "representation"):
        return None
    preset = plan.preset(wildcards.scale)
    codes = FLOAT * images(plan.config["grids"][preset["grid"]])
    if rule == "representation":
        return Need(name, 0, Path(plan.own_file(wildcards)).stat().st_size / 1e6, False)
    if rule in ("pca", "ica"):
        return Need(rule, 0, codes * preset["latents"] * (3 * preset["replicas"] if rule == "ica" else 1), False)
    trained = plan.training(wildcards.scale, wildcards.model)
    numbers = len(trained["seeds"]) * trained["latents"] if "latents" in trained else 0
    return Need(name, plan.codes_mb(wildcards), 2 * codes * numbers, rule != "encode")


def memory_mb() -> float:
    """Memory of this machine, or what the control group that we are in may take of it where that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("0::/")[2].strip()
        for folder in (GROUP_LIMITS / group, *(GROUP_LIMITS / group).parents):
            limit = folder / "memory.max"
            if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
                found.append(int(text))
    except OSError:
        pass  # no control groups here
    return min(found) / 1e6


def free_mb(folder: Path) -> float:
    """Free disk space where a folder is, or will be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e6


def check(needs: Iterable[Need], folder: Path, memory: float | None) -> None:
    """UserError where a job takes more than `memory` megabytes (None: elsewhere), or all more than the disk has free.

    Of what goes again before the run ends, only the largest counts.
    """
    needs = list(needs)
    kept = sum(one.disk_mb for one in needs if not one.temporary)
    passing = max((one.disk_mb for one in needs if one.temporary), default=0)
    free = free_mb(folder)
    if kept + passing > free:
        raise UserError(
            f"{folder}: the run writes about {kept + passing:,.0f} MB and {free:,.0f} MB are free on that disk; free "
            "some (`snakemake clean_intermediates` may help), choose another --directory or a smaller scale"
        )
    largest = max(needs, key=lambda one: one.memory_mb, default=None)
    if memory and largest and largest.memory_mb > memory:
        raise UserError(
            f"{largest.job}: takes about {largest.memory_mb:,.0f} MB of memory and this machine has {memory:,.0f} MB; "
            "choose smaller `replicas`, `width` or `batch`, another scale, or another machine"
        )
