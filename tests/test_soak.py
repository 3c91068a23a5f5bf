"""A run killed at random moments and started again with the same command: the same results to the bit.

Three kills of Figure 6 by default; twenty of the tests' whole run by `pytest -m soak`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from running import ROOT, TINY, command, environment, half_written, outcome, planned, snakemake

SEED = 20170424
PATIENCE = 1800.0  # seconds until a run that should have come further counts as hung


def jobs_at_work(process: subprocess.Popen) -> list[str]:
    """The jobs that a run is in, by their log files' names: step and model."""
    found = set()
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if match := re.search(r"-m betavae .*--log \S*/(\S+)\.log", " ".join(child.cmdline())):
                found.add(match[1])
    return sorted(found)


def run_until_killed(folder: Path, arguments: list[str], jobs: int, delay: float, log: Path) -> list[str] | None:
    """Start the run and kill its whole process group, -9, `delay` seconds after it has finished so many jobs.

    Returns the jobs that the kill fell in (none: Snakemake itself), or None where the run ended before.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            command(folder, *arguments),
            cwd=ROOT,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started, due = time.monotonic(), None
    while process.poll() is None:
        now = time.monotonic()
        assert now - started < PATIENCE, log.read_text()
        if due is None and log.read_text().count("Finished jobid") >= jobs:
            due = now + delay
        if due is not None and now >= due:
            working = jobs_at_work(process)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return working
        time.sleep(0.01)
    assert process.returncode == 0, log.read_text()
    return None


@pytest.mark.parametrize(("kills", "target"), [(3, "figure6"), pytest.param(20, "all", marks=pytest.mark.soak)])
def test_a_run_killed_at_random_moments_ends_as_one_that_never_was(tmp_path, whole_run, kills, target, capsys):
    folder, overlay = tmp_path / "run", tmp_path / "often.yaml"
    overlay.write_text(yaml.safe_dump({"checkpoint_minutes": 0.0005}))
    folder.mkdir()
    # More at once than the undisturbed run had.
    arguments = ["--cores", "3", target, "--configfile", str(TINY), str(overlay)]
    jobs = planned(folder, *arguments).total()
    random = np.random.default_rng(SEED)
    # Twice the mean share of all jobs at most: the last kill falls near the end.
    moments = zip(random.integers(0, 2 * jobs // (kills + 1), kills), random.exponential(1.5, kills), strict=True)
    for number, (finished, delay) in enumerate(moments, 1):
        working = run_until_killed(folder, arguments, finished, delay, tmp_path / f"{number}.log")
        with capsys.disabled():
            where = "ended before" if working is None else f"in {', '.join(working) or 'Snakemake itself'}"
            print(f"\nkill {number} of {kills}, {delay:.2f} s after {finished} more jobs: {where}", end="", flush=True)
        assert half_written(folder) == []
        if working is None:
            break
    run = snakemake(folder, *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    found = outcome(folder)
    assert found == {name: whole_run.outcome[name] for name in found}
    assert {"tiny/metrics/zdiff/beta4.json", "tables/figure6_left.csv", "tables/figure6_right.csv"} <= found.keys()
    assert target != "all" or found.keys() == whole_run.outcome.keys()
    left = [path for path in (folder / "results").rglob(".*") if ".part" in path.name]
    assert left == []
    assert list((folder / "results" / "tiny" / "checkpoints").iterdir()) == []
