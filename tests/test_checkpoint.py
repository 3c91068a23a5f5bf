"""A training that was killed and went on: the same to the bit as one that never was."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from betavae import checkpoint as module
from betavae import train as training
from betavae.checkpoint import Checkpoint, Checkpoints, NotUsable, fingerprint, read, write
from betavae.digest import PACKAGE
from betavae.errors import UserError
from betavae.train import BLOCK, Run, train

CPU = torch.device("cpu")
COMMON = {"seeds": [3, 1], "optimiser": "adam", "batch": 6, "record_every": 7, "threads": 1}
VAE = {"system": "vae", "beta": 4.0, "latents": 3, "width": 8, "learning_rate": 0.01, "initial_accumulator": 0.1}
INFOGAN = {
    "system": "infogan",
    "latents": 5,
    "noise": 5,
    "fully_connected": 64,
    "channels": [4, 3],
    "recognition": 8,
    "generator_learning_rate": 1e-3,
    "discriminator_learning_rate": 2e-4,
    "momentum": 0.5,
    "anneal": 0.5,
    "information_weight": 1.0,
    "instance_noise": 0.2,
    "sheets": 3,
}
DCIGN = {
    "system": "dcign",
    "channels": [2, 3, 4],
    "units": 8,
    "initial_logvar": -6.0,
    "initial_logit": 0.0,
    "groups": 1,
    "learning_rate": 0.003,
    "momentum": 0.9,
    "decay": 0.99,
    "ratios": {"scale": 2, "orientation": 3, "posX": 1, "posY": 1, "shape": 2},
    "clamp": "middle",
    "invariance": 10,
    "invariance_times": {"posX": 5},
    "curriculum": {"posX": {"share": 0.1, "from": 4, "to": 15}},
}
SYSTEMS = {
    "vae": COMMON | VAE | {"steps": 300},
    "adagrad": COMMON | VAE | {"steps": 40, "optimiser": "adagrad"},
    "infogan": COMMON | INFOGAN | {"steps": 20},
    "dcign": COMMON | DCIGN | {"steps": 20},
}
# On both sides of a record's end, of a sheet (the 6th step) and of a block's end; the last step but one.
KILLED = [
    *itertools.product(["vae"], [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 299]),
    *itertools.product(["adagrad", "infogan", "dcign"], [5, 6, 7, 19]),
]


class Killed(BaseException):
    """What kill -9 is to a test in one process."""


def at_every_step(folder, settings, bits):
    """Checkpoints after each step."""
    return Checkpoints(folder / "model", 0, lambda: fingerprint(settings, "code", CPU, bits))


def killed_after(step, folder, settings, bits, grid):
    """A training that is killed once it has written its checkpoint after `step`."""
    checkpoints = at_every_step(folder, settings, bits)
    keep = checkpoints.keep

    def keep_and_die(checkpoint):
        assert keep(checkpoint)
        if checkpoint.step == step:
            raise Killed

    checkpoints.keep = keep_and_die
    checkpoints.due = iter([step_ == step for step_ in range(1, step + 1)]).__next__
    with pytest.raises(Killed):
        train(settings, bits, grid, CPU, "killed", checkpoints)


def assert_same(ours, theirs):
    """Two trainings' networks and histories, (network, history) each, are the same to the bit."""
    states = [run[0].state_dict() for run in (ours, theirs)]
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert tensor.numpy().tobytes() == states[1][name].numpy().tobytes(), name
    arrays = [run[1].arrays() for run in (ours, theirs)]
    assert list(arrays[0]) == list(arrays[1])
    for name, array in arrays[0].items():
        assert array.tobytes() == arrays[1][name].tobytes(), name
    for (step, sheet), (other_step, other) in zip(ours[1].sheets, theirs[1].sheets, strict=True):
        assert step == other_step
        np.testing.assert_array_equal(sheet, other)


@pytest.fixture(scope="module")
def uninterrupted(bits, grid):
    """Each system, trained at one go."""
    return {name: train(settings, bits, grid, CPU, name) for name, settings in SYSTEMS.items()}


# To the bit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "step"), KILLED)
def test_a_resumed_training_is_the_same_to_the_bit(bits, grid, tmp_path, uninterrupted, system, step, capsys):
    settings = SYSTEMS[system]
    killed_after(step, tmp_path, settings, bits, grid)
    resumed = train(settings, bits, grid, CPU, "resumed", at_every_step(tmp_path, settings, bits))
    assert (
        f"model: goes on after step {step}, from the checkpoint step_{step:09d}.safetensors" in capsys.readouterr().err
    )
    assert_same(resumed, uninterrupted[system])
    assert resumed[1].resumed == [step]


def test_a_training_may_be_killed_again_and_again(bits, grid, tmp_path, uninterrupted):
    settings = SYSTEMS["infogan"]
    for step in (2, 9):
        checkpoints = at_every_step(tmp_path, settings, bits)

        def stop(checkpoint, checkpoints=checkpoints, last=step):
            Checkpoints.keep(checkpoints, checkpoint)
            if checkpoint.step == last:
                raise Killed

        checkpoints.keep = stop
        with pytest.raises(Killed):
            train(settings, bits, grid, CPU, "killed", checkpoints)
    resumed = train(settings, bits, grid, CPU, "resumed", at_every_step(tmp_path, settings, bits))
    assert_same(resumed, uninterrupted["infogan"])
    assert resumed[1].resumed == [2, 9]
    assert resumed[1].seconds > 0


def test_checkpoints_by_themselves_change_nothing(bits, grid, tmp_path, uninterrupted):
    settings = SYSTEMS["dcign"]
    assert_same(
        train(settings, bits, grid, CPU, "watched", at_every_step(tmp_path, settings, bits)), uninterrupted["dcign"]
    )


def test_a_replica_that_has_diverged_stays_so(bits, grid, tmp_path, monkeypatch):
    def poison(network, seeds):
        initialise(network, seeds)
        with torch.no_grad():
            network.encoder[0].weight[1, 2000, 7] = torch.nan

    initialise = training.initialise
    monkeypatch.setattr(training, "initialise", poison)
    settings = SYSTEMS["adagrad"]
    whole = train(settings, bits, grid, CPU, "whole")
    killed_after(30, tmp_path, settings, bits, grid)
    resumed = train(settings, bits, grid, CPU, "resumed", at_every_step(tmp_path, settings, bits))
    assert_same(resumed, whole)
    assert training.diverged(resumed[1].arrays(), resumed[0]) == [1]


# Real processes ---------------------------------------------------------------------------------------


def step_of(settings, data, folder, minutes):
    """The command that trains a model into `folder`."""
    options = {
        "log": folder / "log",
        "bits": data / "dsprites_bits.npy",
        "dataset": data / "dsprites.h5",
        "model": folder / "model.safetensors",
        "history": folder / "model.history.h5",
        "settings": json.dumps(settings),
        "device": "cpu",
        "checkpoints": folder / "checkpoints" / "model",
        "checkpoint-minutes": minutes,
    }
    return [sys.executable, "-m", "betavae", "train"] + [
        str(part) for name, value in options.items() for part in (f"--{name}", value)
    ]


def start(command):
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_checkpoints(folder, process, count=2):
    """Until so many checkpoints lie in the folder; an error where the process ends before."""
    while len(list((folder / "checkpoints" / "model").glob("step_*"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def assert_same_files(folder, network, history):
    """The files in the folder hold a network and its history, to the bit."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        for name, tensor in network.state_dict().items():
            assert file.get_tensor(name).numpy().tobytes() == tensor.numpy().tobytes(), name
        provenance = json.loads(file.metadata()["provenance"])
    with h5py.File(folder / "model.history.h5") as file:
        for name, array in history.arrays().items():
            assert file[name][:].tobytes() == array.tobytes(), name
        for number, (_, images) in enumerate(history.sheets):
            np.testing.assert_array_equal(file["sheet"][number], images)
    return provenance


@pytest.mark.parametrize("system", ["vae", "infogan", "dcign"])
def test_after_kill_9_the_same_command_ends_in_the_same_files(bits, grid, data, tmp_path, system):
    settings = SYSTEMS[system] | {"steps": 1000 if system == "vae" else 300}
    process = start(step_of(settings, data, tmp_path, minutes=0.001))
    wait_for_checkpoints(tmp_path, process)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert not (tmp_path / "model.safetensors").exists()
    again = start(step_of(settings, data, tmp_path, minutes=5))  # how often may change
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert "model: goes on after step" in said
    provenance = assert_same_files(tmp_path, *train(settings, bits, grid, CPU, "whole"))
    assert len(provenance["resumed_after_steps"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints",
        "log",
        "model.history.h5",
        "model.safetensors",
    ]
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_training_that_is_asked_to_stop_keeps_its_state_and_says_so(data, tmp_path, number):
    settings = SYSTEMS["vae"] | {"steps": 10**9}
    folder = tmp_path / "checkpoints" / "model"
    process = start(step_of(settings, data, tmp_path, minutes=0.001))
    wait_for_checkpoints(tmp_path, process, 1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    last = said.strip().splitlines()[-1]
    assert f"model: stopped by {number.name} after step " in last
    assert "the same command goes on" in last
    step = int(last.partition("after step ")[2].split()[0])
    assert (folder / f"step_{step:09d}.safetensors").exists()
    assert not (tmp_path / "model.safetensors").exists()


# Torn and foreign -------------------------------------------------------------------------------------

MADE_BY = {"settings": "{}", "code": "c0de", "versions": "torch 2", "device": "cpu", "images": "(1, 512) 0"}


def some(step=5):
    return Checkpoint(step, {"network.weight": torch.arange(3000.0), "flag": torch.tensor(True)}, {"steps": [step]})


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_its_header(path):
    path.write_bytes(path.read_bytes()[:100])


def one_bit_turned(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def never_flushed(path):
    content = path.read_bytes()
    path.write_bytes(content[:-4096] + bytes(4096))


def empty(path):
    path.write_bytes(b"")


def something_else(path):
    path.write_text("not a checkpoint")


def no_checkpoint(path):
    save_file({"a": torch.zeros(1)}, path)


def notes_changed(path):
    with safe_open(path, framework="pt") as file:
        said = file.metadata() | {"notes": "{}"}
        save_file({name: file.get_tensor(name) for name in file.keys()}, path, metadata=said)  # noqa: SIM118


def not_json(path):
    save_file({"a": torch.zeros(1)}, path, metadata={"checksum": "0", "made_by": "{", "step": "5", "notes": "{}"})


TORN = [
    truncated,
    cut_in_its_header,
    one_bit_turned,
    never_flushed,
    empty,
    something_else,
    no_checkpoint,
    notes_changed,
    not_json,
]


def test_a_checkpoint_reads_back_as_it_was_written(tmp_path):
    write(tmp_path / "one.safetensors", some(), MADE_BY)
    found = read(tmp_path / "one.safetensors", MADE_BY)
    assert (found.step, found.notes) == (5, {"steps": [5]})
    assert found.tensors.keys() == some().tensors.keys()
    for name, tensor in found.tensors.items():
        assert torch.equal(tensor, some().tensors[name])
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]


@pytest.mark.parametrize("tear", TORN)
def test_a_torn_checkpoint_is_recognised(tmp_path, tear):
    path = tmp_path / "one.safetensors"
    write(path, some(), MADE_BY)
    tear(path)
    with pytest.raises(NotUsable, match="torn"):
        read(path, MADE_BY)


@pytest.mark.parametrize("kind", MADE_BY)
def test_a_foreign_checkpoint_is_recognised_and_what_differs_is_named(tmp_path, kind):
    write(tmp_path / "one.safetensors", some(), MADE_BY)
    with pytest.raises(NotUsable, match=f"was made with other {kind}"):
        read(tmp_path / "one.safetensors", MADE_BY | {kind: "something else"})


def test_the_fingerprint_tells_trainings_apart(bits):
    settings, cuda = SYSTEMS["vae"], torch.device("cuda", 1)
    ours = fingerprint(settings, "code", CPU, bits)
    assert ours == fingerprint(dict(reversed(settings.items())), "code", torch.device("cpu"), bits.copy())
    others = {
        "settings": fingerprint(settings | {"beta": 5.0}, "code", CPU, bits),
        "code": fingerprint(settings, "other", CPU, bits),
        "device": fingerprint(settings, "code", cuda, bits),
        "images": fingerprint(settings, "code", CPU, np.roll(bits, 1, axis=0)),
    }
    for kind, other in others.items():
        assert [name for name in ours if ours[name] != other[name]] == [kind]
    assert torch.__version__.partition("+")[0] in ours["versions"]


@pytest.mark.parametrize("tear", [truncated, one_bit_turned, empty], ids=lambda tear: tear.__name__)
def test_where_the_newest_is_torn_the_one_before_is_used(bits, grid, tmp_path, uninterrupted, tear, capsys):
    settings = SYSTEMS["dcign"]
    killed_after(4, tmp_path, settings, bits, grid)
    killed = at_every_step(tmp_path, settings, bits)
    killed.due = iter([step == 9 for step in range(5, 21)]).__next__
    train(settings, bits, grid, CPU, "model", killed)
    first, second = sorted((tmp_path / "model").iterdir())
    assert (first.name, second.name) == ("step_000000004.safetensors", "step_000000009.safetensors")
    tear(second)
    capsys.readouterr()
    resumed = train(settings, bits, grid, CPU, "model", at_every_step(tmp_path, settings, bits))
    lines = capsys.readouterr().err.splitlines()
    assert "step_000000009.safetensors is torn" in lines[0]
    assert lines[0].endswith("it is not used")
    assert lines[1] == "model: goes on after step 4, from the checkpoint step_000000004.safetensors"
    assert_same(resumed, uninterrupted["dcign"])


def test_a_checkpoint_of_other_settings_is_said_and_the_training_begins_anew(bits, grid, tmp_path, capsys):
    settings = SYSTEMS["dcign"]
    killed_after(9, tmp_path, settings | {"invariance": 9}, bits, grid)
    capsys.readouterr()
    checkpoints = at_every_step(tmp_path, settings, bits)
    checkpoints.due = iter([step == 2 for step in range(1, 21)]).__next__
    anew = train(settings, bits, grid, CPU, "model", checkpoints)
    assert "was made with other settings; it is not used" in capsys.readouterr().err
    assert anew[1].resumed == []
    # It stays until there is one of this training's own.
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["step_000000002.safetensors"]


def test_a_checkpoint_of_another_network_is_not_used(bits, tmp_path, capsys):
    settings = SYSTEMS["vae"]
    narrow = Run(settings | {"width": 4}, CPU).checkpoint(3)
    checkpoints = at_every_step(tmp_path, settings, bits)
    assert checkpoints.keep(narrow)
    assert Run(settings, CPU).resume(checkpoints) == 0
    assert "is of another network; it is not used" in capsys.readouterr().err


# The folder -------------------------------------------------------------------------------------------


def test_the_last_two_are_kept_and_what_a_dead_process_left_goes(tmp_path):
    checkpoints = Checkpoints(tmp_path / "model", 5, lambda: MADE_BY)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".step_000000001.safetensors.77.part.safetensors").write_text("half")
    for step in (1, 2, 3):
        assert checkpoints.keep(some(step))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "step_000000002.safetensors",
        "step_000000003.safetensors",
    ]
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []
    checkpoints.remove()


def test_one_is_due_by_time(tmp_path, monkeypatch):
    hours = iter([1000, 1299, 1301, 1400, 1699, 1701])  # when it is made, asked twice, written, asked twice
    monkeypatch.setattr(module.time, "monotonic", hours.__next__)
    checkpoints = Checkpoints(tmp_path / "model", 5, lambda: MADE_BY)
    assert [checkpoints.due(), checkpoints.due()] == [False, True]
    checkpoints.keep(some())
    assert [checkpoints.due(), checkpoints.due()] == [False, True]


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    bits, grid, tmp_path, uninterrupted, monkeypatch, capsys
):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    settings = SYSTEMS["dcign"]
    checkpoints = at_every_step(tmp_path, settings, bits)
    checkpoints.due = iter([step in (3, 8) for step in range(1, 21)]).__next__
    trained = train(settings, bits, grid, CPU, "model", checkpoints)
    assert_same(trained, uninterrupted["dcign"])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    for step, line in zip((3, 8), said, strict=True):
        assert line.startswith(f"model: no checkpoint after step {step}, the training goes on: ")
        assert "cannot be written (No space left on device)" in line
    assert list((tmp_path / "model").iterdir()) == []


def test_signals_are_noted_in_the_block_and_obeyed_after_it():
    before = signal.getsignal(signal.SIGTERM)
    with module.noted_signals() as stopped_by:
        assert stopped_by() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped_by() == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_stopping_a_training_in_this_process_is_an_error_for_people(bits, grid, tmp_path):
    settings = SYSTEMS["dcign"]
    checkpoints = at_every_step(tmp_path, settings, bits)
    keep = checkpoints.keep

    def keep_and_ask(checkpoint):
        os.kill(os.getpid(), signal.SIGTERM)
        return keep(checkpoint)

    checkpoints.keep = keep_and_ask
    with pytest.raises(UserError, match="model: stopped by SIGTERM after step 1 of 20, its state kept; the same"):
        train(settings, bits, grid, CPU, "model", checkpoints)
