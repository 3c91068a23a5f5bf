import numpy as np
import pytest

from betavae.dataset import rendered_blocks
from betavae.errors import UserError
from betavae.images import lit_chunk, lit_chunks, open_bits, open_grid, pack, tiles, unpack


def test_unpacking_undoes_packing(grid):
    images = next(rendered_blocks(grid))
    bits = pack(images)
    assert bits.shape == (len(images), 512)
    np.testing.assert_array_equal(unpack(bits).reshape(images.shape), images)


def test_a_bit_stands_where_its_pixel_does():
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, 3, 10] = 1  # pixel 3 · 64 + 10 = 202 is the third bit of byte 25
    bits = pack(image)
    assert bits[0, 25] == 0b00100000
    assert bits.sum() == 0b00100000


def test_lit_chunks_cover_each_image_once_and_reassemble_to_the_full_images(bits, grid, pixels):
    rebuilt, seen = np.zeros_like(pixels), []
    for images, part, columns in lit_chunks(bits, grid):
        rebuilt[np.ix_(images, columns)] = part
        seen.append(images)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(grid.images))
    np.testing.assert_array_equal(rebuilt, pixels)


def test_lit_chunks_see_a_small_window_only(bits, grid):
    # What they are for: less than half of the pixels, though the test's positions lie far apart.
    assert np.mean([len(columns) for *_, columns in lit_chunks(bits, grid)]) < 0.5 * 4096


def test_a_chunk_has_the_pixels_that_its_images_light_and_no_others(bits, grid):
    for _, part, columns in lit_chunks(bits, grid):
        assert part.any(0).all()
        assert (np.diff(columns) > 0).all()


def test_a_chunk_without_a_lit_pixel_has_no_columns():
    pixels, columns = lit_chunk(np.zeros((3, 512), np.uint8), np.arange(3))
    assert pixels.shape == (3, 0)
    assert len(columns) == 0


def test_tiles_by_shape_hold_one_shape_each(grid):
    found = list(tiles(grid, by_shape=True))
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(grid.images))
    assert all(len(np.unique(grid.classes(tile)[:, 0])) == 1 for tile in found)


def test_a_file_that_holds_no_packed_images_is_refused(tmp_path):
    path = tmp_path / "dsprites_bits.npy"
    np.save(path, np.zeros((5, 100), np.uint8))
    with pytest.raises(UserError, match=r"uint8 of shape \(5, 100\), expected uint8 of shape \(images, 512\)"):
        open_bits(path)
    path.write_text("nothing")
    with pytest.raises(UserError, match=r"dsprites_bits\.npy: no packed images"):
        open_bits(path)


def test_a_file_without_a_factor_grid_is_refused(tmp_path, data, grid):
    assert [v.tolist() for v in open_grid(data / "dsprites.h5").values] == [v.tolist() for v in grid.values]
    broken = tmp_path / "dsprites.h5"
    broken.write_bytes((data / "dsprites.h5").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"dsprites\.h5: not a data set file"):
        open_grid(broken)
