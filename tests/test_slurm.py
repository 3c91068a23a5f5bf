"""The workflow on a cluster: the shipped profile on a Slurm of one node with two pretended GPUs, from nothing.

Figures 6 and 8, and what is said of the sweep, by default; all that there is by `pytest -m soak`.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

import one_node_slurm
from running import ROOT, TINY, outcome, planned, snakemake, started

# Slurm's accounting is not there to be asked, and nobody wants to wait: settings of the test, not of the profile.
FOR_TESTS = (
    "--profile",
    str(ROOT / "profiles" / "slurm"),
    *("--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "1"),
)
# The tests' scale, but for the device: where CUDA finds none, the CPU computes all the same.
ASKING_FOR_GPUS = ("--config", "device=auto", "--configfile", str(TINY))


class Job(NamedTuple):
    """A job as Slurm tells of it."""

    number: str
    array: str | None
    state: str
    rule: str
    started: datetime
    ended: datetime
    memory_mb: float
    minutes: int
    gpus: str | None

    def overlaps(self, other: "Job") -> bool:
        return self.started < other.ended and other.started < self.ended


def jobs_of_slurm() -> list[Job]:
    """All jobs that the running Slurm has seen."""
    listed = subprocess.run(["scontrol", "show", "job", "-o"], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listed.splitlines():
        told = dict(word.split("=", 1) for word in line.split() if "=" in word)
        days, clock = ["0", told["TimeLimit"]] if "-" not in told["TimeLimit"] else told["TimeLimit"].split("-")
        hours, minutes, _ = clock.split(":")
        memory, unit = re.search(r"mem=([\d.]+)([MG])", told["TRES"]).groups()
        found.append(
            Job(
                number=told["JobId"],
                array=told.get("ArrayJobId"),
                state=told["JobState"],
                rule=told["Comment"].removeprefix("rule_"),
                started=datetime.fromisoformat(told["StartTime"]),
                ended=datetime.fromisoformat(told["EndTime"]),
                memory_mb=float(memory) * {"M": 1, "G": 1024}[unit],
                minutes=24 * 60 * int(days) + 60 * int(hours) + int(minutes),
                gpus=told.get("TresPerJob") or told.get("TresPerNode"),
            )
        )
    return found


def queue() -> list[str]:
    """The jobs that wait or run."""
    listed = subprocess.run(["squeue", "-h", "-o", "%i %T"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "COMPLETING" not in line]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Path:
    """The folder of a running Slurm."""
    if reason := one_node_slurm.missing():
        pytest.skip(f"the Slurm path is not tested here: {reason}")
    pytest.importorskip("snakemake_executor_plugin_slurm")
    folder = tmp_path_factory.mktemp("slurm")
    with one_node_slurm.running(folder):
        yield folder


@pytest.fixture(
    scope="module", params=["figure6 continuity stability choose_beta", pytest.param("all", marks=pytest.mark.soak)]
)
def targets(request) -> list[str]:
    """What is run on Slurm."""
    return request.param.split()


@pytest.fixture(scope="module")
def on_slurm(slurm, targets, tmp_path_factory) -> Path:
    """A folder in which they were run on Slurm, from nothing, the sweep's trainings as a job array."""
    folder = tmp_path_factory.mktemp("run")
    arguments = (*FOR_TESTS, "--slurm-array-jobs", "train_sweep", *targets, *ASKING_FOR_GPUS)
    run = snakemake(folder, *arguments, timeout=3000)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture(scope="module")
def jobs(on_slurm) -> list[Job]:
    """The jobs of that run."""
    return jobs_of_slurm()


@pytest.fixture(scope="module")
def expected(targets, tmp_path_factory) -> Counter:
    """How many jobs of each rule they take."""
    return planned(tmp_path_factory.mktemp("planned"), "--cores", "1", *targets, *ASKING_FOR_GPUS)


def test_tables_and_scores_equal_those_of_a_local_run(on_slurm, finished, targets):
    tables = sorted(path.relative_to(on_slurm) for path in on_slurm.glob("results/tables/*"))
    assert len(tables) > 10
    for path in tables:
        if path.stem != "cost":
            assert (on_slurm / path).read_bytes() == (finished / path).read_bytes(), path
    scores = sorted(path.relative_to(on_slurm) for path in on_slurm.glob("results/**/metrics/zdiff/*.json"))
    assert len(scores) >= 15
    if targets == ["all"]:
        everything = [*finished.glob("results/tables/*"), *finished.glob("results/**/metrics/zdiff/*.json")]
        assert sorted(path.relative_to(finished) for path in everything) == sorted([*tables, *scores])
    for path in scores:
        ours, theirs = (json.loads((folder / path).read_text()) for folder in (on_slurm, finished))
        assert ours | {"provenance": None} == theirs | {"provenance": None}, path


def test_each_training_has_a_gpu_of_its_own_and_they_run_side_by_side(slurm, jobs, expected):
    trainings = [job for job in jobs if job.rule.startswith("train")]
    assert len(trainings) == expected["train"] + expected["train_sweep"] > 10
    assert {job.gpus for job in trainings} == {"gres:gpu:1"}
    shown = dict(line.split() for line in (slurm / "devices").read_text().splitlines() if len(line.split()) == 2)
    assert {shown[job.number] for job in trainings} == {"0", "1"}
    together = [pair for pair in itertools.combinations(trainings, 2) if pair[0].overlaps(pair[1])]
    assert len(together) >= 5
    assert all(shown[one.number] != shown[other.number] for one, other in together)
    assert [job.rule for job in jobs if job.gpus and not re.match("train|noise|codes.*_encode", job.rule)] == []


def test_the_sweeps_trainings_are_one_job_array(jobs):
    arrays = [job.array for job in jobs if job.rule.startswith("train_sweep")]
    assert len(arrays) == 2
    assert len({*arrays}) == 1
    assert arrays[0] is not None


def test_small_jobs_do_not_flood_the_queue(jobs, expected):
    assert len(jobs) < 0.6 * expected.total()
    assert [job.rule for job in jobs if job.rule.startswith("publish")] == []
    assert {job.state for job in jobs} == {"COMPLETED"}


def test_a_failing_job_says_why_on_the_terminal_and_is_retried_with_more(on_slurm):
    """On the way: a GPU asked for by `gres`, as README.md of the profile shows."""
    bits = on_slurm / "results/data/tiny/dsprites_bits.npy"
    stamp = bits.stat()
    bits.write_bytes(bits.read_bytes()[:100])
    os.utime(bits, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    by_gres = ("--set-resources", "train:gpu=0", "train:gres=gpu:1")
    target = ("--retries", "1", "results/metric_beta9.json", *ASKING_FOR_GPUS)
    run = snakemake(on_slurm, *FOR_TESTS, *by_gres, *target)
    assert run.returncode != 0
    assert "dsprites_bits.npy: no packed images" in run.stdout + run.stderr
    first, second = (job for job in jobs_of_slurm() if job.rule.endswith("beta9"))
    assert first.state == second.state == "FAILED"
    assert first.gpus == "gres:gpu:1"
    assert second.memory_mb == pytest.approx(2 * first.memory_mb, abs=2)
    assert second.minutes == pytest.approx(2 * first.minutes, abs=2)


@pytest.fixture
def _heard():
    """Ctrl-C reaches what is started here, also where the tests themselves run in a shell's background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heard")
def test_ctrl_c_leaves_no_job_behind(slurm, tmp_path):
    """On the way: a GPU model asked for."""
    endless = tmp_path / "endless.yaml"
    endless.write_text("scales: {tiny: {steps: 10000000}}")
    by_model = ("--set-resources", "train:gpu_model=toy", "--retries", "0")
    arguments = (*FOR_TESTS, *by_model, "results/metric_beta4.json", *ASKING_FOR_GPUS, str(endless))
    with started(tmp_path, *arguments) as process:
        log = tmp_path / "results/tiny/logs/train_beta4.log"
        deadline = time.monotonic() + 300
        while not log.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        assert any("RUNNING" in line for line in queue())
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=300)
    assert process.returncode != 0, said
    deadline = time.monotonic() + 30
    while queue() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert queue() == []
    last = jobs_of_slurm()[-1]
    assert (last.state, last.gpus) == ("CANCELLED", "gres:gpu:toy:1")
    assert not (tmp_path / "results/tiny/models/beta4.safetensors").exists()


@pytest.mark.soak
def test_a_preempted_training_goes_on_from_its_checkpoint_to_the_same_result(slurm, tmp_path):
    """Slurm lets a job that it puts back into the queue wait for some two minutes."""
    longer = tmp_path / "longer.yaml"
    longer.write_text("{checkpoint_minutes: 0.01, scales: {tiny: {steps: 4000}}}")
    settings = ("results/metric_beta4.json", *ASKING_FOR_GPUS, str(longer))
    preempted, undisturbed = tmp_path / "preempted", tmp_path / "undisturbed"
    with started(preempted, *FOR_TESTS, "--retries", "0", *settings) as process:
        checkpoints = preempted / "results/tiny/checkpoints/beta4"
        while not list(checkpoints.glob("step_*")) and process.poll() is None:
            time.sleep(0.1)
        running = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
        (training,) = running.stdout.split()
        subprocess.run(["scontrol", "requeue", training], check=True)
        said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert "beta4: goes on after step" in (preempted / "results/tiny/logs/train_beta4.log").read_text()
    run = snakemake(undisturbed, "--cores", "2", *settings)
    assert run.returncode == 0, run.stdout + run.stderr
    found = outcome(preempted)
    assert "tiny/models/beta4.history.h5" in found
    assert found == outcome(undisturbed)
