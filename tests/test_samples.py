import numpy as np
import pytest

from betavae.plot_samples import rows, verdict
from betavae.samples import collapsed, diversity, lit_area, resemblance


@pytest.fixture
def drawn(pixels):
    """Samples as good as the data: 64 images of it, (1, 64, 4096) uint8."""
    chosen = np.random.default_rng(0).integers(0, len(pixels), 64)
    return (255 * pixels[chosen]).astype(np.uint8)[None]


def blob(side):
    """A square of so many pixels a side in the middle of the image."""
    image = np.zeros((64, 64), np.uint8)
    image[32 - side // 2 : 32 + side // 2, 32 - side // 2 : 32 + side // 2] = 255
    return image.reshape(1, 1, 4096)


def test_lit_area_is_the_share_of_pixels_from_half_on():
    samples = np.zeros((1, 2, 4096), np.uint8)
    samples[0, 0, :1024], samples[0, 1, :2048] = 128, 127
    assert lit_area(samples).tolist() == [0.125]


def test_diversity_runs_from_all_alike_to_no_overlap():
    halves = np.zeros((1, 2, 4096), np.uint8)
    halves[0, 0, :2048] = halves[0, 1, 2048:] = 255
    assert diversity(halves).tolist() == [1.0]
    assert diversity(np.tile(blob(12), (1, 5, 1))).tolist() == [0.0]
    assert diversity(np.zeros((1, 5, 4096), np.uint8)).tolist() == [0.0]
    overlap = np.zeros((1, 2, 4096), np.uint8)
    overlap[0, 0, :300] = overlap[0, 1, 100:400] = 255
    assert diversity(overlap)[0] == pytest.approx(0.5)  # 200 of 400 pixels are common


def test_the_data_itself_has_not_collapsed(drawn):
    assert collapsed(drawn) == []
    assert 0.02 < lit_area(drawn)[0] < 0.07
    assert diversity(drawn)[0] > 0.5


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((1, 64, 4096), np.uint8),
        np.full((1, 64, 4096), 255, np.uint8),
        np.tile(blob(14), (1, 64, 1)),
        255 * np.random.default_rng(0).integers(0, 2, (1, 64, 4096), np.uint8),
    ],
    ids=["dark", "light", "all alike", "static"],
)
def test_made_up_collapses_are_found_and_a_good_sibling_is_not_called_one(samples, drawn):
    assert collapsed(np.concatenate([drawn, samples, drawn])) == [1]


def test_images_of_the_data_resemble_themselves_wherever_they_stand(bits, grid, pixels):
    chosen = np.random.default_rng(1).integers(0, len(pixels), 40)
    alike, shape = resemblance((255 * pixels[chosen]).astype(np.uint8), bits, grid)
    # Other positions are other rasters, and small ellipses and squares are few pixels.
    assert alike.min() > 0.8
    assert alike.mean() > 0.9
    assert (shape == grid.classes(chosen)[:, 0]).mean() > 0.9


def test_dark_samples_and_static_resemble_nothing(bits, grid):
    static = 255 * np.random.default_rng(0).integers(0, 2, (2, 4096), np.uint8)
    alike, _ = resemblance(np.concatenate([np.zeros((1, 4096), np.uint8), static]), bits, grid)
    assert alike[0] == 0
    assert alike.max() < 0.2


def test_the_table_counts_the_shapes_that_samples_show(bits, grid, pixels):
    squares = np.flatnonzero(grid.classes()[:, 0] == 0)[:8]
    sheets = np.stack([(255 * pixels[squares]).astype(np.uint8), np.zeros((8, 4096), np.uint8)])[None]
    table = rows(sheets, np.array([7]), ["trained", "collapsed"], [4, 5], bits, grid)
    assert [row["seed"] for row in table] == [4, 5]
    assert table[0]["squares (%)"] >= 75
    assert table[1]["squares (%)"] == table[1]["hearts (%)"] == table[1]["lit area (%)"] == 0
    assert table[1]["at the end"] == "collapsed"


def test_a_replica_that_diverged_is_called_so_even_if_its_samples_are_dark():
    assert [verdict(r, [0], [0, 1]) for r in range(3)] == ["diverged", "collapsed", "trained"]
