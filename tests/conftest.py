"""What the tests share: a small data set, made once by the step that makes the large one, and the project's config."""

import copy
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

# Before NumPy: the number of threads changes the last bits, and the machines of CI are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
import yaml

from betavae import dataset
from betavae.factors import FactorGrid
from betavae.images import open_bits, unpack
from running import ROOT, TINY, outcome, snakemake

# 1,344 images. Unlike strides for posX and posY: were the two exchanged somewhere, the tests would see it.
STRIDES = {"scale": 5, "orientation": 10, "posX": 4, "posY": 5}
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that run the workflow come first: the short tests fill the time that is left when those end."""
    runs = {item.path for item in items if {"whole_run", "finished"} & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: item.path not in runs)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def grid():
    return FactorGrid.thinned(STRIDES)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The folder of the small data set: dsprites.h5 and dsprites_bits.npy."""
    folder = tmp_path_factory.mktemp("data") / "small"
    dataset.main(h5=folder / "dsprites.h5", bits=folder / "dsprites_bits.npy", strides=json.dumps(STRIDES))
    return folder


@pytest.fixture(scope="session")
def bits(data):
    """The small data set's images, (1344, 512) uint8."""
    return open_bits(data / "dsprites_bits.npy")


@pytest.fixture(scope="session")
def pixels(bits):
    """The small data set's images, (1344, 4096) float32."""
    return unpack(bits).astype("float32")


@pytest.fixture
def config():
    """The project's config.yaml, to be changed at will."""
    return copy.deepcopy(CONFIG)


@pytest.fixture
def metric(config):
    """The settings of the paper's metric as they stand in config.yaml, L fixed at 28."""
    return config["metrics"]["zdiff"] | {"pairs": 28}


class WholeRun(NamedTuple):
    """A folder in which `all` was run at the tests' scale, from nothing, and what came of it (see `outcome`).

    Tests may run more in the folder, as long as `all` has nothing left to do when they end.
    """

    folder: Path
    outcome: dict[str, Any]


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, worker_id):
    """Made once: the process of the tests that needs it first runs it, each has a copy of its own."""
    ours = tmp_path_factory.getbasetemp()
    shared = ours if worker_id == "master" else ours.parent
    made, folder = shared / "whole_run", ours / "run"
    with (shared / "whole_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            attempt = tmp_path_factory.mktemp("attempt") / "run"
            run = snakemake(attempt, "--cores", "2", "all", "--configfile", str(TINY))
            assert run.returncode == 0, run.stdout + run.stderr
            assert "results/figures" in run.stdout + run.stderr
            attempt.rename(made)
    shutil.copytree(made, folder)  # times and all: nothing in it is out of date
    return WholeRun(folder, outcome(folder))


@pytest.fixture(scope="session")
def finished(whole_run) -> Path:
    """The folder of `whole_run`."""
    return whole_run.folder
