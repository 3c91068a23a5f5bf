from pathlib import Path

import numpy as np
import pytest

from betavae.factors import FULL_VALUES
from betavae.shapes import INSIDE, draw

REFERENCE = Path(__file__).parents[2] / "shared" / "data" / "dsprites_reference.npz"
SCALES, ORIENTATIONS, POSITIONS = FULL_VALUES["scale"], FULL_VALUES["orientation"], FULL_VALUES["posX"]
SHAPES = range(3)


def area(shape, scale):
    """Share of the image that the object covers, averaged over some rotations and positions."""
    return np.mean([draw(shape, scale, angle, POSITIONS[::8], POSITIONS[::8]).mean() for angle in ORIENTATIONS[:39:4]])


def test_the_reference_frames_are_redrawn_but_for_a_few_pixels():
    if not REFERENCE.exists():
        pytest.skip(f"the reference frames are not here: {REFERENCE}")
    with np.load(REFERENCE) as reference:
        frames, classes = reference["imgs"], reference["latents_classes"]
    wrong = []
    for frame, (_, shape, scale, orientation, x, y) in zip(frames, classes, strict=True):
        drawn = draw(shape, SCALES[scale], ORIENTATIONS[orientation], POSITIONS[[x]], POSITIONS[[y]])[0, 0]
        wrong.append((drawn != frame).sum())
    assert len(wrong) == 129
    assert sum(wrong) <= 32
    assert max(wrong) <= 4


@pytest.mark.parametrize("shape", SHAPES)
def test_the_last_orientation_is_pixel_identical_to_the_first(shape):
    for scale in SCALES:
        first, last = (draw(shape, scale, ORIENTATIONS[k], POSITIONS, POSITIONS) for k in (0, 39))
        np.testing.assert_array_equal(last, first)


def test_positions_move_along_their_own_axes():
    lit = draw(0, 0.5, 0.0, np.array([0.0, 1.0]), np.array([0.0, 0.5])).nonzero()
    centres = [[np.mean(np.stack(lit[2:])[:, (lit[0] == x) & (lit[1] == y)] + 0.5, 1) for y in (0, 1)] for x in (0, 1)]
    # (row, column) of the centre is (16 + 32·posY, 16 + 32·posX)
    np.testing.assert_allclose(centres, [[(16, 16), (32, 16)], [(16, 48), (32, 48)]], atol=0.5)


def test_drawing_many_positions_at_once_equals_drawing_each_alone():
    pos_x, pos_y = POSITIONS[[0, 7, 31]], POSITIONS[[0, 13, 30, 31]]
    for shape in SHAPES:
        together = draw(shape, 0.8, ORIENTATIONS[7], pos_x, pos_y)
        for i, x in enumerate(pos_x):
            for j, y in enumerate(pos_y):
                alone = draw(shape, 0.8, ORIENTATIONS[7], np.array([x]), np.array([y]))[0, 0]
                np.testing.assert_array_equal(together[i, j], alone)


def test_objects_cover_2_percent_of_the_image_at_scale_a_half_and_7_percent_at_scale_1():
    assert np.mean([area(shape, 0.5) for shape in SHAPES]) == pytest.approx(0.02, abs=0.003)
    assert np.mean([area(shape, 1.0) for shape in SHAPES]) == pytest.approx(0.07, abs=0.005)


@pytest.mark.parametrize("shape", SHAPES)
def test_areas_grow_with_the_square_of_the_scale(shape):
    areas = np.array([area(shape, scale) for scale in SCALES])
    assert (np.diff(areas) > 0).all()
    np.testing.assert_allclose(areas / areas[-1], SCALES**2, rtol=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_window_around_the_centre_cuts_nothing_off(shape):
    x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
    pos_x, pos_y = POSITIONS[16], POSITIONS[5]
    dx, dy = x - 16 - 32 * pos_x, y - 16 - 32 * pos_y
    for scale in SCALES:
        for angle in ORIENTATIONS[:39]:
            u = (np.cos(angle) * dx - np.sin(angle) * dy) / scale
            v = (np.sin(angle) * dx + np.cos(angle) * dy) / scale
            drawn = draw(shape, scale, angle, np.array([pos_x]), np.array([pos_y]))[0, 0]
            assert (drawn != INSIDE[shape](u, v)).sum() <= 1  # a pixel on the very edge may round either way
