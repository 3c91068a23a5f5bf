"""GPUs, pretended: counted, picked, and free again when their process is dead."""

import os
import re
import signal
import subprocess
import sys

import pytest
import yaml

from betavae import gpus as module
from betavae.digest import PACKAGE
from betavae.gpus import claim, gpus
from running import TINY, command, environment

CLAIM = "import time; from betavae.gpus import claim, gpus; print(claim(), gpus(), flush=True); time.sleep(600)"


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """Three GPUs, two of them named by number, and a folder of locks of the test's own."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5,GPU-8f3e")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    monkeypatch.setattr(module, "_held", [])


def holder():
    """A process that has claimed a GPU, and what it said: the GPU, and those that it sees from then on."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    process = subprocess.Popen([sys.executable, "-c", CLAIM], env=environment, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process, process.stdout.readline().split(maxsplit=1)


@pytest.fixture
def holders():
    """Processes that are gone when the test ends."""
    started = []

    def start():
        process, said = holder()
        started.append(process)
        return process, said

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_each_process_gets_a_gpu_of_its_own_and_that_of_a_killed_one_is_free_again(pretended, holders):
    found = [holders() for _ in range(3)]
    assert [said[0] for _, said in found] == ["2", "5", "GPU-8f3e"]
    assert [said[1].strip() for _, said in found] == ["['2']", "['5']", "['GPU-8f3e']"]
    second = found[1][0]
    second.send_signal(signal.SIGKILL)
    second.wait()
    assert holders()[1][0] == "5"


def test_where_all_are_taken_a_process_waits_and_says_so(pretended, monkeypatch, capsys):
    answers = iter([False] * 6 + [True])
    monkeypatch.setattr(module, "free", lambda name, folder: next(answers))
    monkeypatch.setattr(module, "PATIENCE", 0)
    assert claim() == "2"
    assert capsys.readouterr().err.count("GPUs 2, 5, GPU-8f3e are all taken; waiting for one") == 1


@pytest.mark.parametrize(("visible", "names"), [("", []), ("-1", []), ("3", ["3"]), ("0,1", ["0", "1"])])
def test_the_scheduler_or_the_user_says_which_there_are(monkeypatch, visible, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == names


@pytest.mark.parametrize("visible", ["", "3"])
def test_of_one_gpu_or_none_there_is_nothing_to_pick(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert claim() is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_without_the_variable_the_driver_is_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "GPU 0: Pretended (UUID: GPU-1)"\necho "GPU 1: Pretended (UUID: GPU-2)"\n')
    tool.chmod(0o755)
    assert gpus() == ["0", "1"]


def test_trainings_run_side_by_side_each_on_a_gpu_of_its_own(pretended, tmp_path):
    overlay, models = tmp_path / "longer.yaml", ["beta1", "beta4", "beta2", "beta8"]
    overlay.write_text(yaml.safe_dump({"device": "auto", "scales": {"tiny": {"steps": 400}}}))
    targets = [f"results/tiny/models/{model}.safetensors" for model in models]
    arguments = [*targets, "--cores", "8", "--configfile", str(TINY), str(overlay)]
    run = subprocess.run(
        command(tmp_path, *arguments), env=environment(), capture_output=True, text=True, timeout=1200, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^Provided resources: .*gpu\W.*\b3\b", run.stdout + run.stderr, re.MULTILINE)
    logs = [(tmp_path / f"results/tiny/logs/train_{model}.log").read_text() for model in models]
    used = [re.search("^GPU (.*) of 2, 5, GPU-8f3e$", log, re.MULTILINE)[1] for log in logs]
    # The second is taken only while the first one is; and since Snakemake starts no more than there are, none waits.
    assert {"2", "5"} <= set(used)
    assert "all taken" not in "".join(logs)
