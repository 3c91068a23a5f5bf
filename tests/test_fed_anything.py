"""Bad inputs, class by class: the step ends with status 1 and one line that names the file, what was found and what was
expected, and leaves what was there before as it was.

What else is refused stands beside what it is about: test_config, test_dataset, test_representation, test_train.
"""

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from betavae import factors, job
from betavae.__main__ import run
from betavae.stacked import initialise
from betavae.vae import network_of
from test_dataset import (
    SMALL_VALUES,
    arrays_of_an_original,
    factors_in_another_order,
    float_images,
    images_of_255,
    images_permuted,
    save_original,
)
from test_train import SETTINGS

EARLIER = b"an earlier result"


class Trap:
    """What writes a file when its pickle is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def refused(tmp_path, capfd):
    """Runs a step that must be refused: its status, its last line, and that no earlier result was touched."""

    def check(step, inputs, outputs, said, **others):
        results = tmp_path / "results"
        results.mkdir()
        options = []
        for name, path in outputs.items():
            (results / path).write_bytes(EARLIER)
            options += [f"--{name}", str(results / path)]
        for name, value in {**inputs, **others}.items():
            options += [f"--{name}", str(value)]
        assert run([step, *options]) == 1
        lines = capfd.readouterr().err.strip().splitlines()
        assert lines[-1].startswith(f"betavae {step}: ")
        for part in said:
            assert part in lines[-1], lines[-1]
        assert sorted(path.name for path in results.iterdir()) == sorted(outputs.values())
        assert {path.read_bytes() for path in results.iterdir()} == {EARLIER}
        assert not list(tmp_path.rglob("sprung"))

    return check


# The original data set -------------------------------------------------------------------------------


def missing(path):
    pass


def text(path):
    path.write_text("a picture of a cat")


def empty(path):
    path.write_bytes(b"")


def folder(path):
    path.mkdir()


def original(change=lambda arrays: None):
    def write(path):
        arrays = arrays_of_an_original()
        change(arrays)
        save_original(path, arrays)

    write.__name__ = change.__name__
    return write


def cut(path):
    original()(path)
    path.write_bytes(path.read_bytes()[:-2000])


def pickled_images(path):
    np.savez(path, **arrays_of_an_original() | {"imgs": np.array(Trap(path.with_name("sprung")), dtype=object)})


def encrypted(path):
    original()(path)
    content = bytearray(path.read_bytes())
    for head, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(head)
        while at >= 0:
            content[at + flag] |= 1
            at = content.find(head, at + 1)
    path.write_bytes(content)


def enormous(path):
    """Arrays that say they have 10¹² rows: refused by what they say, before memory is asked for."""
    with h5py.File(path, "w") as file:
        for name, shape, dtype in (
            ("imgs", (64, 64), "u1"),
            ("latents/values", (6,), "f8"),
            ("latents/classes", (6,), "i8"),
        ):
            file.create_dataset(name, (10**12, *shape), dtype, chunks=(1, *shape))


NOT_IT = "not the original dSprites file"
ORIGINALS = [
    (missing, ".h5", [NOT_IT]),
    (missing, ".npz", [NOT_IT]),
    (text, ".h5", [NOT_IT]),
    (text, ".npz", [NOT_IT]),
    (text, ".csv", ["expected the original dSprites file, .npz, .hdf5 or .h5"]),
    (empty, ".npz", [NOT_IT]),
    (folder, ".h5", [NOT_IT]),
    (folder, ".npz", [NOT_IT]),
    (cut, ".h5", [NOT_IT]),
    (cut, ".npz", [NOT_IT]),
    (pickled_images, ".npz", ["imgs: object of shape ()", "expected uint8 of shape (576, 64, 64)"]),
    (encrypted, ".npz", [NOT_IT, "encrypted"]),
    (enormous, ".h5", ["imgs: uint8 of shape (1000000000000, 64, 64), expected uint8 of shape (576, 64, 64)"]),
    (original(float_images), ".npz", ["imgs: float32 of shape (576, 64, 64), expected uint8"]),
    (original(images_of_255), ".h5", ["images hold the value 255, expected 0 and 1 only"]),
    (original(factors_in_another_order), ".h5", ["posX class 1, expected 0", "in the order color, shape"]),
    (original(images_permuted), ".npz", ["pixels from the", "expected at most 16", "original's order"]),
]


@pytest.mark.parametrize(("make", "suffix", "said"), ORIGINALS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_original_that_is_none(refused, tmp_path, monkeypatch, make, suffix, said):
    monkeypatch.setattr(factors, "FULL_VALUES", SMALL_VALUES)
    path = tmp_path / f"original{suffix}"
    make(path)
    refused("dataset", {"original": path}, {"h5": "a.h5", "bits": "a.npy"}, [f"{path}: ", *said], strides="{}")


# Our own data set file -------------------------------------------------------------------------------


def with_attribute(name, value):
    def change(path):
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    return change


def without_posx(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["posX_values"]


def truncated(path):
    path.write_bytes(path.read_bytes()[:3000])


DATASETS = {
    "missing": (Path.unlink, []),
    "text": (text, []),
    "truncated": (truncated, []),
    "no factor": (without_posx, ["posX_values"]),
    "no numbers": (with_attribute("scale_values", "all"), ["scale_values", "expected float64"]),
    "integers": (with_attribute("scale_values", [0, 1]), ["scale_values: int64 of shape (2,), expected float64"]),
    "two axes": (with_attribute("posY_values", np.ones((2, 2))), ["posY_values: float64 of shape (2, 2)"]),
    "none": (with_attribute("posY_values", np.ones(0)), ["posY_values: float64 of shape (0,)"]),
    "unknown values": (with_attribute("scale_values", [0.5, 7.0]), ["scale_values", "6 values, ascending"]),
    "descending": (with_attribute("shape_values", [3.0, 1.0]), ["shape_values", "3 values, ascending"]),
    "NaN": (with_attribute("orientation_values", [0.0, np.nan]), ["orientation_values", "40 values, ascending"]),
}


@pytest.mark.parametrize(("change", "said"), DATASETS.values(), ids=DATASETS)
def test_a_data_set_file_that_is_not_ours(refused, data, tmp_path, change, said):
    path = tmp_path / "dsprites.h5"
    path.write_bytes((data / "dsprites.h5").read_bytes())
    change(path)
    named = [f"{path}: not a data set file of this workflow (", *said, "delete it and run again"]
    refused("ground_truth", {"dataset": path}, {"codes": "codes.h5"}, named, settings='{"scale": "tiny"}')


# Packed bits -----------------------------------------------------------------------------------------


def saved(array):
    def write(path):
        with path.open("wb") as file:
            np.save(file, array(np.zeros((1344, 512), np.uint8)))

    return write


def pickled(path):
    with path.open("wb") as file:
        np.save(file, np.array([Trap(path.with_name("sprung"))]), allow_pickle=True)


def a_bare_pickle(path):
    path.write_bytes(pickle.dumps(Trap(path.with_name("sprung"))))


def archive(path):
    with path.open("wb") as file:
        np.savez(file, bits=np.zeros((1344, 512), np.uint8))


def short(path):
    saved(lambda bits: bits)(path)
    path.write_bytes(path.read_bytes()[:-1])


def torn_header(path):
    """Found by hypothesis: NumPy's own reader ends in an error of Python's tokenizer."""
    saved(lambda bits: bits)(path)
    content = bytearray(path.read_bytes())
    content[60:66] = bytes(6)
    path.write_bytes(content)


BITS = {
    "missing": (missing, ["no packed images"]),
    "text": (text, ["no packed images"]),
    "empty": (empty, ["no packed images"]),
    "truncated": (short, ["no packed images"]),
    "a torn header": (torn_header, ["no packed images"]),
    "a pickle": (a_bare_pickle, ["no packed images"]),
    "pickled objects": (pickled, ["no packed images"]),
    "an archive": (archive, ["several arrays, expected one, uint8 of shape (images, 512)"]),
    "floats": (
        saved(lambda bits: bits.astype("f4")),
        ["float32 of shape (1344, 512), expected uint8 of shape (1344, 512)"],
    ),
    "unpacked": (
        saved(lambda bits: np.zeros((1344, 4096), "u1")),
        ["(1344, 4096), expected uint8 of shape (1344, 512)"],
    ),
    "one image less": (saved(lambda bits: bits[1:]), ["(1343, 512), expected uint8 of shape (1344, 512)"]),
    "one image more": (
        saved(lambda bits: np.zeros((1345, 512), "u1")),
        ["(1345, 512), expected uint8 of shape (1344, 512)"],
    ),
    "one axis": (saved(lambda bits: bits.ravel()), ["(688128,), expected uint8 of shape (1344, 512)"]),
}


@pytest.mark.parametrize(("make", "said"), BITS.values(), ids=BITS)
def test_packed_bits_that_are_none(refused, data, tmp_path, make, said):
    path = tmp_path / "dsprites_bits.npy"
    make(path)
    inputs = {"bits": path, "dataset": data / "dsprites.h5"}
    refused("gram", inputs, {"gram": "gram.h5"}, [f"{path}: ", *said])


# Codes -----------------------------------------------------------------------------------------------


def codes(images=1344, latents=3, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(2, images, latents)).astype(dtype)


def holding(**arrays):
    def write(path):
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name.replace("_in_", "/")] = array

    return write


def codes_cut(path):
    holding(mean=codes())(path)
    path.write_bytes(path.read_bytes()[:9000])


def codes_damaged(path):
    """Whole by its header, and unreadable where one replica's numbers begin."""
    with h5py.File(path, "w") as file:
        file.create_dataset("mean", data=codes(), compression="gzip", chunks=(1, 1344, 3))
        at = file["mean"].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[at : at + 200] = bytes(200)
    path.write_bytes(content)


CODES = {
    "missing": (missing, ["not a codes file"]),
    "text": (text, ["not a codes file", "expected HDF5 with /mean"]),
    "truncated": (codes_cut, ["not a codes file", "expected HDF5 with /mean"]),
    "damaged": (codes_damaged, ["not a codes file", "expected HDF5 with /mean"]),
    "no /mean": (holding(codes=codes()), ["not a codes file", "mean", "expected HDF5 with /mean"]),
    "a group": (holding(mean_in_all=codes()), ["/mean is no array of floating-point numbers, expected float32"]),
    "whole numbers": (holding(mean=codes().astype(int)), ["/mean is no array of floating-point numbers"]),
    "one replica": (holding(mean=codes()[0]), ["/mean has shape (1344, 3), expected (replicas, 1344, latents)"]),
    "other images": (holding(mean=codes(99)), ["/mean has shape (2, 99, 3), expected (replicas, 1344, latents)"]),
    "no latents": (holding(mean=codes(latents=0)), ["/mean has shape (2, 1344, 0), expected"]),
    "no numbers": (holding(mean=h5py.Empty("f4")), ["/mean has shape None, expected (replicas, 1344, latents)"]),
    "too many groups": (holding(mean=codes(), group=[0, 0, 1]), ["/group is int64 of shape (3,)", "shape (2,)"]),
    "groups of floats": (holding(mean=codes(), group=[0.5, 1]), ["/group is float64", "expected integers"]),
    "a group of groups": (holding(mean=codes(), group_in_all=[0, 1]), ["not a codes file"]),
}  # fmt: skip


@pytest.mark.parametrize(("make", "said"), CODES.values(), ids=CODES)
def test_codes_that_are_none(refused, data, metric, tmp_path, make, said):
    path = tmp_path / "codes.h5"
    make(path)
    settings = metric | {"model": "mine", "scale": "tiny", "metric": "zdiff", "replicas": 2, "train_points": 50}
    settings["classifier"] = settings["classifier"] | {"steps": 5}
    inputs = {"codes": path, "dataset": data / "dsprites.h5"}
    refused("score", inputs, {"output": "score.json"}, [f"{path}: ", *said], settings=json.dumps(settings))


def own_nan(array):
    array[1, 7, 2] = np.nan
    return array


OWN = {
    "NaN": (holding(mean=own_nan(codes())), ["/mean is nan at replica 1, image 7, latent 2, expected finite"]),
    "infinite": (holding(mean=codes(dtype="f8") * 1e300), ["/mean is", "inf at replica 0, image 0", "expected finite"]),
    "wrong count": (holding(mean=codes(1343)), ["1343 images", "expected", "1344 images"]),
    "missing key": (holding(codes=codes()), ["holds 'codes', expected an array /mean"]),
    "zero variance": (
        holding(mean=np.ones((1344, 3), "f4")),
        ["zero variance", "expected codes that tell images apart"],
    ),
    "a group of numbers": (holding(mean_in_all=codes()), ["/mean is a group, expected (images, M)"]),
    "missing": (missing, ["not readable", "expected an HDF5 file"]),
    "complex": (holding(mean=codes().astype("c8")), ["/mean holds complex64, expected float32"]),
}


@pytest.mark.parametrize(("make", "said"), OWN.values(), ids=OWN)
def test_a_users_codes_that_are_wrong_leave_the_earlier_ones(refused, data, tmp_path, make, said):
    path = tmp_path / "mine.h5"
    make(path)
    inputs = {"representation": path, "dataset": data / "dsprites.h5"}
    settings = '{"scale": "tiny", "grid": "small"}'
    refused("representation", inputs, {"codes": "codes.h5"}, [f"{path}: ", *said], settings=settings)


# Weights ---------------------------------------------------------------------------------------------


def weights():
    network = network_of(SETTINGS)
    initialise(network, SETTINGS["seeds"])
    return {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}


def model(tensors=lambda own: own, settings=SETTINGS):
    def write(path):
        save_file(tensors(weights()), path, metadata={"settings": json.dumps(settings), "diverged": "[]"})

    return write


def with_bytes(change):
    def write(path):
        model()(path)
        path.write_bytes(change(path.read_bytes()))

    return write


def torch_pickle(path):
    torch.save(Trap(path.with_name("sprung")), path)


def without_metadata(path):
    save_file(weights(), path)


WEIGHTS = {
    "missing": (missing, []),
    "text": (text, []),
    "empty": (empty, []),
    "a pickle": (a_bare_pickle, []),
    "torch's format": (torch_pickle, []),
    "cut in its header": (with_bytes(lambda whole: whole[:200]), []),
    "cut in its weights": (with_bytes(lambda whole: whole[:-4]), []),
    "bytes behind": (with_bytes(lambda whole: whole + b"0000"), []),
    "no metadata": (without_metadata, []),
    "no settings": (model(settings={}), ["'seeds'"]),
    "another system": (
        model(settings=SETTINGS | {"system": "os"}),
        ["'os'", "expected one of vae, conv_vae, dcign, infogan"],
    ),
    "another architecture": (model(settings=SETTINGS | {"system": "dcign"}), []),
    "another width": (model(settings=SETTINGS | {"width": 33}), ["is (3, 1, 32), expected (3, 1, 33)"]),
    "a width beyond memory": (model(settings=SETTINGS | {"width": 10**7}), ["expected", "10000000"]),
    "other latents": (model(settings=SETTINGS | {"latents": 4}), ["expected"]),
    "fewer seeds": (model(settings=SETTINGS | {"seeds": [1]}), ["(3, ", "expected (1, "]),
    "seeds of another kind": (model(settings=SETTINGS | {"seeds": 3}), []),
    "a width of words": (model(settings=SETTINGS | {"width": "wide"}), []),
    "half precision": (model(lambda own: {k: v.half() for k, v in own.items()}), ["is F16, expected F32"]),
    "a weight more": (
        model(lambda own: own | {"more": torch.zeros(3, 2)}),
        ["more is (3, 2), expected no such weights"],
    ),
    "a weight less": (model(lambda own: dict(list(own.items())[1:])), ["is missing, expected ("]),
}


@pytest.mark.parametrize(("make", "said"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_none(refused, data, tmp_path, make, said):
    path = tmp_path / "beta4.safetensors"
    make(path)
    inputs = {"bits": data / "dsprites_bits.npy", "dataset": data / "dsprites.h5", "model": path}
    outputs = {"codes": "codes.h5", "summary": "summary.h5"}
    settings = json.dumps({"scale": "tiny", "threads": 1, "evaluation_images": 10})
    said = [f"{path}: not a model of this workflow (", *said, "delete it and run again"]
    refused("encode", inputs, outputs, said, settings=settings, device="cpu")


def test_the_weights_that_the_others_are_made_from_are_read(data, tmp_path):
    model()(tmp_path / "beta4.safetensors")
    with safe_open(tmp_path / "beta4.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["settings"]) == SETTINGS
    paths = {name: str(tmp_path / f"{name}.h5") for name in ("codes", "summary")}
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    options += ["--bits", str(data / "dsprites_bits.npy"), "--dataset", str(data / "dsprites.h5"), "--device", "cpu"]
    settings = json.dumps({"scale": "tiny", "threads": 1, "evaluation_images": 10})
    assert run(["encode", *options, "--model", str(tmp_path / "beta4.safetensors"), "--settings", settings]) == 0


# Output that cannot be written -----------------------------------------------------------------------

TRUTH = ["--settings", '{"scale": "tiny"}']
SMALL = json.dumps({"scale": 5, "orientation": 20, "posX": 16, "posY": 16})


def test_an_output_whose_folder_is_a_file(data, tmp_path, capfd):
    (tmp_path / "results").write_bytes(EARLIER)
    wanted = tmp_path / "results" / "codes" / "ground_truth.h5"
    assert run(["ground_truth", "--dataset", str(data / "dsprites.h5"), "--codes", str(wanted), *TRUTH]) == 1
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"betavae ground_truth: {wanted}: cannot be written (Not a directory); expected a folder")
    assert (tmp_path / "results").read_bytes() == EARLIER


def test_an_output_that_is_a_folder(data, tmp_path, capfd):
    (tmp_path / "codes.h5").mkdir()
    wanted = tmp_path / "codes.h5"
    assert run(["ground_truth", "--dataset", str(data / "dsprites.h5"), "--codes", str(wanted), *TRUTH]) == 1
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"{wanted}: cannot be written (Is a directory); expected a folder that can be written to" in line
    assert [path.name for path in tmp_path.iterdir()] == ["codes.h5"]


def training(data, folder):
    own = {"model": folder / "a.safetensors", "history": folder / "a.history.h5", "device": "cpu"}
    return {"bits": data / "dsprites_bits.npy", "dataset": data / "dsprites.h5", **own, "settings": json.dumps(BRIEF)}


BRIEF = SETTINGS | {"steps": 1}
FULL = {
    "ground_truth": lambda data, folder: {
        "dataset": data / "dsprites.h5",
        "codes": folder / "a.h5",
        "settings": '{"scale": "tiny"}',
    },
    "dataset": lambda data, folder: {"h5": folder / "a.h5", "bits": folder / "a.npy", "strides": SMALL},
    "train": training,
}


def no_file_beyond_20_kb():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


@pytest.mark.parametrize(("step", "options"), FULL.items(), ids=FULL)
def test_a_disk_that_is_full_leaves_no_half_file_and_one_line(data, tmp_path, step, options):
    # As far as a process can tell. One of its own, since HDF5 may crash once it has failed to write.
    words = [str(word) for name, value in options(data, tmp_path).items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "betavae", step, *words]
    environment = os.environ | {"PYTHONPATH": str(Path(job.__file__).parents[1])}
    ended = subprocess.run(
        command,
        preexec_fn=no_file_beyond_20_kb,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert ended.returncode != 0
    said = [line for line in ended.stderr.splitlines() if line.startswith(f"betavae {step}: ")]
    assert len(said) == 1, ended.stderr
    assert ": cannot be written (File too large); expected a folder that can be written to, with room" in said[0]
    assert [path.name for path in tmp_path.iterdir()] in ([], ["a.history.h5"])


def test_a_log_that_cannot_be_opened_is_told_too(tmp_path, capfd):
    (tmp_path / "logs").write_bytes(EARLIER)
    assert job.run_logged("encode", tmp_path / "logs" / "encode.log", [], lambda: None) == 1
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"betavae encode: {tmp_path}/logs/encode.log: cannot be written (")


def test_an_error_of_several_lines_is_told_in_one(capfd):
    def fail():
        raise ValueError("first\n\tsecond")

    assert job.run_logged("encode", None, [], fail) == 1
    assert capfd.readouterr().err.strip().splitlines()[-1] == "betavae encode: ValueError: first second"
