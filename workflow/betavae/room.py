"""Whether a run has room, in memory and on disk: asked once, before its first job.

Read by Snakemake itself, so without torch and NumPy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from betavae.errors import UserError

GROUPS = Path("/sys/fs/cgroup")


class Need(NamedTuple):
    """What one job takes, in megabytes."""

    job: str
    memory: float
    disk: float
    temporary: bool = False  # whether what it writes goes again before the run ends


def memory_mb() -> float:
    """Memory of this machine, or what the control group that we are in may take of it where that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError):  # no control groups here
        group = Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("0::/")[2].strip()
        for folder in (GROUPS / group, *(GROUPS / group).parents):
            limit = folder / "memory.max"
            if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
                found.append(int(text))
    return min(found) / 1e6


def free_mb(folder: Path) -> float:
    """Free disk space where a folder is, or will be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e6


def check(needs: Iterable[Need], folder: Path, free: float, memory: float | None) -> None:
    """UserError where a job takes more than `memory` megabytes (None: elsewhere), or all write more than are free.

    Of what goes again before the run ends, only the largest counts.
    """
    needs = list(needs)
    disk = sum(one.disk for one in needs if not one.temporary)
    disk += max((one.disk for one in needs if one.temporary), default=0)
    if disk > free:
        raise UserError(
            f"{folder}: the run writes about {disk:,.0f} MB and {free:,.0f} MB are free on that disk; free some "
            "(`snakemake clean_intermediates` may help), choose another --directory or a smaller scale"
        )
    largest = max(needs, key=lambda one: one.memory, default=None)
    if memory is not None and largest and largest.memory > memory:
        raise UserError(
            f"{largest.job}: takes about {largest.memory:,.0f} MB of memory and this machine has {memory:,.0f} MB; "
            "expected smaller `replicas`, `width` or `batch`, another scale, or another machine"
        )


def need_of(job: Any) -> Need:
    """What a job of Snakemake says that it takes, by its resources mem_mb and, where it writes much, writes_mb."""
    label = " ".join([job.rule.name, *filter(None, [job.wildcards.get("model")])])
    return Need(label, job.resources.get("mem_mb", 0), job.resources.get("writes_mb", 0), any(job.temp_output))


def refuse_without_room(jobs: Iterable[Any], folder: Path, here: bool) -> None:
    """End a run that has no room, with one line. jobs: those of Snakemake that will run; here: on this machine."""
    try:
        check(map(need_of, jobs), folder, free_mb(folder), memory_mb() if here else None)
    except UserError as error:
        sys.exit(str(error))
