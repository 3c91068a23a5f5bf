import itertools
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from betavae import dataset, dataset_npz, factors
from betavae.errors import UserError
from betavae.factors import FACTORS, FactorGrid
from betavae.images import unpack
from betavae.shapes import draw

# A product grid small enough to be made anew in a test, where the full one has 737,280 images.
SMALL_VALUES = {
    "shape": np.array([1.0, 2.0, 3.0]),
    "scale": np.array([0.5, 1.0]),
    "orientation": np.linspace(0.0, 2.0 * np.pi, 4),
    "posX": np.linspace(0.0, 1.0, 4),
    "posY": np.linspace(0.0, 1.0, 6),
}
SMALL_SIZES = (3, 2, 4, 4, 6)


@pytest.fixture
def small_originals(monkeypatch):
    """For a test, the full grid is SMALL_VALUES."""
    monkeypatch.setattr(factors, "FULL_VALUES", SMALL_VALUES)


def arrays_of_an_original():
    """imgs, latents_values and latents_classes, built image by image and not by the code under test."""
    rows = list(itertools.product(*(range(size) for size in SMALL_SIZES)))
    values = [[SMALL_VALUES[name][k] for name, k in zip(FACTORS, row, strict=True)] for row in rows]
    images = [draw(int(v[0]) - 1, v[1], v[2], np.array([v[3]]), np.array([v[4]]))[0, 0] for v in values]
    return {
        "imgs": np.stack(images),
        "latents_values": np.array([[1.0, *v] for v in values]),
        "latents_classes": np.array([[0, *row] for row in rows], np.int64),
    }


def save_original(path, arrays):
    """Write arrays as the original's NPZ or HDF5."""
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name.replace("latents_", "latents/")] = array


def read_in(original, folder, strides="{}"):
    """Run the step on an original file: images (N, 64, 64), values and classes of what it wrote."""
    dataset.main(h5=folder / "out.h5", bits=folder / "out.npy", strides=strides, original=original)
    with h5py.File(folder / "out.h5") as file:
        return file["imgs"][:], file["latents/values"][:], file["latents/classes"][:]


# The grid -------------------------------------------------------------------------------------------


def test_the_full_grid_has_the_originals_737280_images():
    full = FactorGrid.thinned({})
    assert full.sizes == (3, 6, 40, 32, 32)
    assert full.images == 737280


def test_image_numbers_and_classes_are_inverse(grid):
    np.testing.assert_array_equal(grid.index(grid.classes()), np.arange(grid.images))
    some = np.array([[5, 1000], [3, 7]])
    np.testing.assert_array_equal(grid.index(grid.classes(some)), some)


def test_the_last_factor_varies_fastest(grid):
    expected = list(itertools.product(*(range(size) for size in grid.sizes)))
    np.testing.assert_array_equal(grid.classes(), expected)


def test_thinning_keeps_every_nth_value():
    grid = FactorGrid.thinned({"scale": 2, "posX": 4})
    np.testing.assert_allclose(grid.values[1], [0.5, 0.7, 0.9])
    np.testing.assert_allclose(grid.values[3], np.arange(0, 32, 4) / 31)
    assert grid.sizes == (3, 3, 40, 8, 32)


# What is written ------------------------------------------------------------------------------------


def test_the_hdf5_has_the_originals_names_types_and_order(data, grid):
    with h5py.File(data / "dsprites.h5") as file:
        assert (file["imgs"].shape, file["imgs"].dtype) == ((grid.images, 64, 64), np.uint8)
        values, classes = file["latents/values"], file["latents/classes"]
        assert (values.shape, values.dtype) == ((grid.images, 6), np.float64)
        assert (classes.shape, classes.dtype) == ((grid.images, 6), np.int64)
        assert list(file.attrs["latents_names"]) == ["color", *FACTORS]
        assert (values[:, 0] == 1.0).all()
        assert (classes[:, 0] == 0).all()
        np.testing.assert_array_equal(classes[:, 1:], list(itertools.product(*map(range, grid.sizes))))
        for column in range(5):
            np.testing.assert_array_equal(values[:, column + 1], grid.values[column][classes[:, column + 1]])


def test_each_image_shows_what_its_latents_say(data):
    with h5py.File(data / "dsprites.h5") as file:
        for number in range(0, len(file["imgs"]), 41):
            _, shape, scale, orientation, x, y = file["latents/values"][number]
            drawn = draw(int(shape) - 1, scale, orientation, np.array([x]), np.array([y]))[0, 0]
            np.testing.assert_array_equal(file["imgs"][number], drawn)


@pytest.mark.parametrize("strides", [{"posX": 4, "posY": 4}, {"posX": 5, "posY": 5}])
def test_plain_h5py_reads_the_compressed_chunks(tmp_path, strides):
    # 64 images with a shape, scale and orientation are cut into chunks of 16; 49 are one chunk.
    strides |= {"scale": 5, "orientation": 20}
    grid = FactorGrid.thinned(strides)
    dataset.main(h5=tmp_path / "a.h5", bits=tmp_path / "a.npy", strides=json.dumps(strides))
    with h5py.File(tmp_path / "a.h5") as file:
        images = file["imgs"]
        assert (images.compression, images.compression_opts, images.shuffle) == ("gzip", 6, True)
        np.testing.assert_array_equal(images[:], np.concatenate(list(dataset.rendered_blocks(grid))))


def test_the_bits_unpack_to_the_images(data, bits):
    with h5py.File(data / "dsprites.h5") as file:
        np.testing.assert_array_equal(unpack(bits).reshape(-1, 64, 64), file["imgs"][:])


def test_the_file_says_where_it_comes_from(data, grid):
    with h5py.File(data / "dsprites.h5") as file:
        assert file.attrs["source"] == "synthesised by betavae.shapes"
        assert json.loads(file.attrs["strides"]) == {"scale": 5, "orientation": 10, "posX": 4, "posY": 5}
        assert {"git_commit", "code_digest", "versions"} <= json.loads(file.attrs["provenance"]).keys()
        np.testing.assert_array_equal(file.attrs["latents_sizes"], [1, *grid.sizes])


def test_the_npz_holds_the_same_and_metadata(data, tmp_path, grid):
    dataset_npz.main(h5=data / "dsprites.h5", bits=data / "dsprites_bits.npy", npz=tmp_path / "dsprites.npz")
    with np.load(tmp_path / "dsprites.npz", allow_pickle=True) as npz, h5py.File(data / "dsprites.h5") as file:
        assert set(npz) == {"imgs", "latents_values", "latents_classes", "metadata"}
        for name in ("imgs", "latents_values", "latents_classes"):
            stored = file[name.replace("latents_", "latents/")]
            assert npz[name].dtype == stored.dtype
            np.testing.assert_array_equal(npz[name], stored[:])
        metadata = npz["metadata"][()]
    assert tuple(metadata["latents_names"]) == ("color", *FACTORS)
    np.testing.assert_array_equal(metadata["latents_sizes"], [1, *grid.sizes])
    np.testing.assert_array_equal(metadata["latents_possible_values"]["posY"], grid.values[4])


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_no_file(tmp_path, grid, failure):
    def blocks():
        yield next(dataset.rendered_blocks(grid))
        raise failure

    with pytest.raises(failure):
        dataset.write(tmp_path / "a.h5", tmp_path / "a.npy", grid, blocks(), {})
    assert list(tmp_path.iterdir()) == []


# The original in place of the synthesis -------------------------------------------------------------


@pytest.mark.usefixtures("small_originals")
@pytest.mark.parametrize("strides", [{}, {"scale": 1, "orientation": 3, "posX": 2, "posY": 3}])
def test_hdf5_and_npz_originals_give_what_the_synthesis_gives(tmp_path, strides):
    arrays, strides = arrays_of_an_original(), json.dumps(strides)
    dataset.main(h5=tmp_path / "ours.h5", bits=tmp_path / "ours.npy", strides=strides)
    for suffix in (".npz", ".hdf5", ".h5"):
        original = tmp_path / f"original{suffix}"
        save_original(original, arrays)
        read_in(original, tmp_path, strides)
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.load(tmp_path / "ours.npy"))
        with h5py.File(tmp_path / "out.h5") as out, h5py.File(tmp_path / "ours.h5") as ours:
            assert out.attrs["source"] == f"original file original{suffix}"
            for name in ("imgs", "latents/values", "latents/classes"):
                np.testing.assert_array_equal(out[name][:], ours[name][:])


@pytest.mark.usefixtures("small_originals")
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_few_pixels_that_the_rule_draws_otherwise_are_taken_from_the_original(tmp_path, suffix):
    arrays = arrays_of_an_original()
    arrays["imgs"][100, 0, :4] = 1  # four pixels off is as far as the true original goes
    save_original(tmp_path / f"original{suffix}", arrays)
    images, *_ = read_in(tmp_path / f"original{suffix}", tmp_path)
    np.testing.assert_array_equal(images, arrays["imgs"])


def fortran_order(arrays):
    arrays["imgs"] = np.asfortranarray(arrays["imgs"])


def without_images(arrays):
    del arrays["imgs"]


def without_classes(arrays):
    del arrays["latents_classes"]


def flat_images(arrays):
    arrays["imgs"] = arrays["imgs"].reshape(-1, 4096)


def fewer_images(arrays):
    arrays["imgs"] = arrays["imgs"][:-1]


def five_latents(arrays):
    arrays["latents_classes"] = arrays["latents_classes"][:, 1:]


def float_images(arrays):
    arrays["imgs"] = arrays["imgs"].astype(np.float32)


def wide_images(arrays):
    arrays["imgs"] = arrays["imgs"].astype(np.uint16)


def boolean_images(arrays):
    arrays["imgs"] = arrays["imgs"].astype(bool)


def float_classes(arrays):
    arrays["latents_classes"] = arrays["latents_classes"].astype(np.float64)


def integer_values(arrays):
    arrays["latents_values"] = arrays["latents_values"].astype(np.int64)


def images_of_255(arrays):
    arrays["imgs"] *= 255


def factors_in_another_order(arrays):
    order = np.arange(len(arrays["imgs"])).reshape(SMALL_SIZES).swapaxes(3, 4).reshape(-1)
    arrays.update({name: array[order] for name, array in arrays.items()})


def images_permuted(arrays):
    arrays["imgs"] = np.random.default_rng(0).permutation(arrays["imgs"])


def images_inverted(arrays):
    arrays["imgs"] = 1 - arrays["imgs"]


def positions_in_pixels(arrays):
    arrays["latents_values"][:, 4:] *= 32


REFUSED = [
    (without_images, "imgs"),
    (without_classes, "classes"),
    (flat_images, r"imgs: uint8 of shape \(576, 4096\), expected uint8 of shape \(576, 64, 64\)"),
    (fewer_images, r"imgs: uint8 of shape \(575, 64, 64\), expected uint8 of shape \(576, 64, 64\)"),
    (five_latents, r"latents/classes: int64 of shape \(576, 5\), expected int64 of shape \(576, 6\)"),
    (float_images, r"imgs.* float32"),
    (wide_images, r"imgs.* uint16"),
    (boolean_images, r"imgs.* bool"),
    (float_classes, r"latents/classes: float64 of shape \(576, 6\), expected int64"),
    (integer_values, r"latents/values: int64 of shape \(576, 6\), expected float64"),
    (images_of_255, "the value 255, expected 0 and 1"),
    (factors_in_another_order, "image 1 has posX class 1, expected 0; the factors must come in the order color, shape"),
    (images_permuted, "image .* differs in .* pixels from the square .* original's order"),
    (images_inverted, "image 0 differs in .* pixels from the square"),
    (positions_in_pixels, "latents/values of posX"),
]


@pytest.mark.usefixtures("small_originals")
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(("change", "found"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_not_the_original_is_refused_by_name(tmp_path, suffix, change, found):
    arrays = arrays_of_an_original()
    change(arrays)
    original = tmp_path / f"original{suffix}"
    save_original(original, arrays)
    with pytest.raises(UserError, match=found) as refusal:
        read_in(original, tmp_path)
    assert str(original) in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == [original.name]


@pytest.mark.usefixtures("small_originals")
def test_npz_images_in_fortran_order_are_refused(tmp_path):
    arrays = arrays_of_an_original()
    fortran_order(arrays)
    save_original(tmp_path / "original.npz", arrays)
    with pytest.raises(UserError, match="C order"):
        read_in(tmp_path / "original.npz", tmp_path)


@pytest.mark.usefixtures("small_originals")
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.01])
def test_a_truncated_original_is_refused(tmp_path, suffix, share):
    original = tmp_path / f"original{suffix}"
    save_original(original, arrays_of_an_original())
    whole = original.read_bytes()
    original.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=f"original{suffix}: not the original dSprites file"):
        read_in(original, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [original.name]


@pytest.mark.usefixtures("small_originals")
@pytest.mark.parametrize(("first", "damage"), [(58, b"\xff" * 40), (1000, bytes(40))], ids=["header", "pixels"])
def test_an_npz_with_damaged_images_is_refused(tmp_path, first, damage):
    # imgs is the first member, deflated from byte 58 on: damaged there, it cannot be inflated at all.
    original = tmp_path / "original.npz"
    save_original(original, arrays_of_an_original())
    whole = original.read_bytes()
    original.write_bytes(whole[:first] + damage + whole[first + 40 :])
    with pytest.raises(UserError, match=r"original\.npz: (not the original dSprites file|image)"):
        read_in(original, tmp_path)


@pytest.mark.usefixtures("small_originals")
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
@pytest.mark.parametrize("content", [b"", b"a picture of a cat", b"\x93NUMPY"])
def test_a_file_of_another_kind_is_refused(tmp_path, suffix, content):
    original = tmp_path / f"original{suffix}"
    original.write_bytes(content)
    with pytest.raises(UserError, match=f"original{suffix}: not the original dSprites file"):
        read_in(original, tmp_path)


@pytest.mark.usefixtures("small_originals")
def test_a_single_array_called_npz_is_refused(tmp_path):
    np.save(tmp_path / "imgs.npy", arrays_of_an_original()["imgs"])
    shutil.move(tmp_path / "imgs.npy", tmp_path / "original.npz")
    with pytest.raises(UserError, match=r"original\.npz: not the original dSprites file"):
        read_in(tmp_path / "original.npz", tmp_path)


@pytest.mark.usefixtures("small_originals")
def test_groups_where_the_original_has_arrays_are_refused(tmp_path):
    arrays = arrays_of_an_original()
    arrays["imgs/all"] = arrays.pop("imgs")
    save_original(tmp_path / "original.h5", arrays)
    with pytest.raises(UserError, match=r"original\.h5: not the original dSprites file"):
        read_in(tmp_path / "original.h5", tmp_path)


@pytest.mark.usefixtures("small_originals")
def test_a_text_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"images\.txt: expected the original dSprites file, \.npz, \.hdf5 or \.h5"):
        read_in(tmp_path / "images.txt", tmp_path)


class Trap:
    """What writes a file when its pickle is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.usefixtures("small_originals")
def test_the_pickled_metadata_is_never_loaded(tmp_path):
    sprung, original = tmp_path / "sprung", tmp_path / "original.npz"
    arrays = arrays_of_an_original()
    save_original(original, arrays | {"metadata": np.array(Trap(sprung), dtype=object)})
    images, *_ = read_in(original, tmp_path)
    np.testing.assert_array_equal(images, arrays["imgs"])
    assert not sprung.exists()
    np.load(original, allow_pickle=True)["metadata"]  # the trap is a real one
    assert sprung.exists()
