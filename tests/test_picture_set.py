"""The files of a picture set, how damage is told, and the sheet that shows it."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image

from betavae import set_sheet
from betavae.errors import UserError
from betavae.factors import FactorGrid
from betavae.picture_set import CHUNK, Factors, describe, open_factors, open_images, writing

GRID = FactorGrid((np.array([0.5, 1.5, 2.5]), np.array([0.0, 1.0])), ("size", "tilt"))


def noise(count, channels):
    return np.random.default_rng(count).integers(0, 256, (count, 64, 64, channels), np.uint8)


def written(folder, images, factors=None, block=50):
    """Write a set in blocks of odd sizes; its two paths."""
    h5, npy = folder / "images.h5", folder / "images.npy"
    with writing(h5, npy, images.shape[-1], threads=2) as writer:
        for first in range(0, len(images), block):
            writer.append(images[first : first + block])
        writer.finish("made up", "none", factors, "picture_set")
    return h5, npy


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [6, CHUNK, 2 * CHUNK + 3])
def test_both_files_hold_the_images_and_plain_h5py_reads_the_chunks(tmp_path, count, channels):
    images = noise(count, channels)
    h5, npy = written(tmp_path, images)
    with h5py.File(h5) as file:
        stored = file["images"]
        assert (stored.dtype, stored.compression, stored.chunks) == (np.uint8, "gzip", (CHUNK, 64, 64, channels))
        np.testing.assert_array_equal(stored[:], images)
    np.testing.assert_array_equal(np.load(npy), images)
    assert isinstance(open_images(npy), np.memmap)


def test_the_file_says_what_it_is_and_what_is_known_of_its_factors(tmp_path):
    h5, _ = written(tmp_path, noise(6, 1), Factors.of_grid(GRID))
    said = describe(h5)
    assert (said["source"], said["preprocessing"]) == ("made up", "none")
    assert (said["factor_names"], said["factor_sizes"]) == (["size", "tilt"], [3, 2])
    assert {"git_commit", "code_digest", "versions"} <= said["provenance"].keys()
    factors = open_factors(h5)
    np.testing.assert_array_equal(factors.classes, list(np.ndindex(3, 2)))
    np.testing.assert_array_equal(factors.values[:, 0], [0.5, 0.5, 1.5, 1.5, 2.5, 2.5])
    assert (factors.values.dtype, factors.classes.dtype) == (np.float64, np.int64)
    found = factors.grid()
    assert (found.names, found.sizes) == (GRID.names, GRID.sizes)
    np.testing.assert_array_equal(found.index(factors.classes), np.arange(6))


def test_factors_that_are_not_known_are_none_and_those_out_of_order_no_grid(tmp_path):
    h5, _ = written(tmp_path, noise(6, 3))
    assert open_factors(h5) is None
    assert describe(h5)["factor_names"] == []
    values = GRID.factor_values()
    assert Factors.of_values(GRID.names, values).grid() is not None
    assert Factors.of_values(GRID.names, values[::-1]).grid() is None
    assert Factors.of_values(GRID.names, values[:-1]).grid() is None


def test_what_is_whole_among_pictures_with_gaps_is_found_in_any_order():
    whole = FactorGrid((np.arange(9.0), np.arange(2.0), np.arange(5.0)), ("identity", "elevation", "azimuth"))
    kept = np.random.default_rng(0).permutation(np.delete(np.arange(90), [0, 7, 42]))  # two views of 0, one of 4
    part = Factors.of_values(whole.names, whole.factor_values()[kept]).part()
    np.testing.assert_array_equal(part.values[0], [1, 2, 3, 5, 6, 7, 8])
    assert (part.names, part.sizes, part.images) == (whole.names, (7, 2, 5), 70)
    images = part.index([[0, 0, 0], [2, 1, 4], [6, 0, 3]])
    np.testing.assert_array_equal(whole.classes(kept[images]), [[1, 0, 0], [3, 1, 4], [8, 0, 3]])
    np.testing.assert_array_equal(part.classes(images), [[0, 0, 0], [2, 1, 4], [6, 0, 3]])
    np.testing.assert_array_equal(part.factor_values(), whole.factor_values()[kept[part.numbers]])
    again = Factors.of_grid(whole).part()
    np.testing.assert_array_equal(again.numbers, np.arange(90))
    assert Factors.of_values(whole.names, whole.factor_values()[:80:2]).part() is None


def test_an_interrupted_write_leaves_no_file(tmp_path):
    def interrupted():
        with writing(tmp_path / "a.h5", tmp_path / "a.npy", 1) as writer:
            writer.append(noise(300, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def truncated(h5, npy):
    npy.write_bytes(npy.read_bytes()[:5000])


def of_other_type(h5, npy):
    np.save(npy, np.zeros((3, 64, 64, 1)))


def of_other_shape(h5, npy):
    np.save(npy, np.zeros((3, 64, 64), np.uint8))


def empty(h5, npy):
    np.save(npy, np.zeros((0, 64, 64, 1), np.uint8))


@pytest.mark.parametrize("damage", [truncated, of_other_type, of_other_shape, empty])
def test_damaged_images_are_refused_in_one_line(tmp_path, damage):
    h5, npy = written(tmp_path, noise(6, 1))
    damage(h5, npy)
    with pytest.raises(UserError, match=r"images\.npy"):
        open_images(npy)


def edit(path, change):
    with h5py.File(path, "a") as file:
        change(file)


def fewer_factors(file):
    file.attrs["factor_names"] = json.dumps(["size"])


def class_out_of_range(file):
    file["factors/classes"][0, 0] = 3


def no_factors(file):
    del file["factors"]


def no_attributes(file):
    del file.attrs["factor_names"]


@pytest.mark.parametrize("change", [fewer_factors, class_out_of_range, no_factors, no_attributes])
def test_damaged_factors_are_refused_in_one_line(tmp_path, change):
    h5, _ = written(tmp_path, noise(6, 1), Factors.of_grid(GRID))
    edit(h5, change)
    with pytest.raises(UserError, match=r"images\.h5"):
        open_factors(h5)


def test_something_else_altogether_is_no_picture_set(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"something else")
    for read in (open_factors, describe):
        with pytest.raises(UserError, match="not a picture set"):
            read(tmp_path / "x.h5")


# The sheet ---------------------------------------------------------------------------------------------


def test_a_walk_changes_one_factor_in_its_order():
    factors = Factors.of_grid(GRID)
    assert set_sheet.walk(factors, 0, start=3).tolist() == [1, 3, 5]
    assert set_sheet.walk(factors, 1, start=4).tolist() == [4, 5]
    assert set_sheet.walks(factors, 0, iter([3, 0, 1, 2])) == [1, 3, 5, -1, 0, 2, 4]
    long = Factors.of_values(("angle",), np.arange(40.0)[::-1, None])
    assert set_sheet.walk(long, 0, start=7).tolist() == [39, 35, 30, 26, 22, 17, 13, 9, 4, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_each_image_where_it_belongs(channels):
    images = noise(6, channels)
    sheet = set_sheet.shown(images, [[5, -1, 2]])
    assert sheet.shape == (1, 10, 64, 64, 3)[: 4 if channels == 1 else 5]
    np.testing.assert_allclose(sheet[0, 2].reshape(images[2].shape) * 255, images[2], atol=1e-3)
    assert (sheet[0, [1, 3, 9]] == 1).all()


@pytest.mark.parametrize("factors", [None, Factors.of_grid(GRID)])
def test_sheets_are_drawn_with_and_without_factors(tmp_path, factors):
    h5, npy = written(tmp_path / "standin_x", noise(6, 3 if factors is None else 1), factors)
    set_sheet.main(h5=h5, npy=npy, png=tmp_path / "x.png", pdf=tmp_path / "x.pdf")
    picture = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"))
    assert picture.std() > 30
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
