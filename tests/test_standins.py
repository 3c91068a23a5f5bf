"""The rendered stand-ins: their grids, and that each factor does to a picture what its name says, and nothing else."""

import json

import numpy as np
import pytest

from betavae import standin, standin_celeba, standin_chairs, standin_faces
from betavae.head import Head
from betavae.picture_set import describe, open_factors, open_images
from betavae.raycast import look, normals, pixels, surface, trace
from betavae.solids import box, ellipsoid, mirrored, smooth_union, turned
from conftest import CONFIG

# One value of a factor is its middle.
SMALL = {
    "standin_chairs": {"azimuth": 4, "width": 3, "legs": 3, "back_height": 3, "arms": 2},
    "standin_faces": {"azimuth": 3, "elevation": 1, "face_width": 3, "jaw": 1, "lighting": 5},
    "standin_celeba": {"azimuth": 1, "fringe": 3, "smile": 3, "skin": 3, "background": 3, "saturation": 3},
}
MODULES = {module.__name__.rsplit(".", 1)[1]: module for module in (standin_celeba, standin_chairs, standin_faces)}


def rendered(name, sizes):
    """All images of a small grid, (sizes of its factors, 64, 64[, 3]) in [0, 1]."""
    module = MODULES[name]
    grid = module.grid(sizes)
    images = np.concatenate([module.block(grid, number) for number in range(module.blocks(grid))])
    return (images.reshape(*grid.sizes, *images.shape[1:]) / 255.0).squeeze(-1 if module.CHANNELS == 1 else ())


@pytest.fixture(scope="module")
def chairs():
    return rendered("standin_chairs", SMALL["standin_chairs"])


@pytest.fixture(scope="module")
def faces():
    return rendered("standin_faces", SMALL["standin_faces"])


@pytest.fixture(scope="module")
def portraits():
    return rendered("standin_celeba", SMALL["standin_celeba"])[0]


def rises(values, least=0.0):
    """Whether the values go up along the first axis, everywhere, by more than `least`."""
    return bool((np.diff(values, axis=0) > least).all())


# Rays --------------------------------------------------------------------------------------------------


def test_a_ball_is_met_where_it_is_and_its_normals_point_away_from_its_middle():
    def ball(points):
        return ellipsoid(points, (0, 0, 0), (1, 1, 1))

    view = look(0.4, 0.3, target=(0, 0, 0), half_width=1.5, distance=5, samples=1)
    depth = trace(ball, view, (0, 0, 0), 1.2)
    met, points = surface(view, depth)
    np.testing.assert_allclose(depth.reshape(64, 64)[31:33, 31:33], 4, atol=0.005)
    np.testing.assert_allclose(np.linalg.norm(points, axis=0), 1, atol=0.004)
    np.testing.assert_allclose(normals(ball, view, points), view.axes @ points, atol=0.01)
    # In perspective the rim of a ball at distance 5 is seen at 5 / √(5² − 1).
    assert len(met) / 4096 * 9 == pytest.approx(np.pi * 25 / 24, rel=0.01)


def test_a_camera_on_the_right_sees_the_right_side():
    view = look(np.pi / 2, 0, target=(0, 0, 0), half_width=1, distance=4, samples=1)
    np.testing.assert_allclose(view.origin[:, 0], (4, 0, 0), atol=1e-6)
    np.testing.assert_allclose(view.axes, [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-6)


def test_pixels_are_means_of_their_rays():
    rays = np.zeros((128, 128), np.float32)
    rays[2, 4] = 1
    image = pixels(rays.reshape(-1))
    assert image[1, 2] == 0.25
    assert image.sum() == 0.25


def test_distances_of_solids_by_hand():
    points = np.array([[3, 0, 0], [0, 0, 0], [0, 2, 0]], np.float32).T
    np.testing.assert_allclose(box(points, (0, 0, 0), (1, 1, 1), 0.1), [2, -1, 1], atol=1e-6)
    np.testing.assert_allclose(mirrored(-points, 0, 1), np.abs(points))
    np.testing.assert_allclose(turned(points, np.pi / 2, (0, 1))[:, 0], (0, -3, 0), atol=1e-6)
    np.testing.assert_allclose(smooth_union(np.float32([1, 1]), np.float32([1, 5]), 0.4), [0.9, 1], atol=1e-6)


def test_a_head_is_as_wide_and_long_as_its_parameters_say():
    side = np.array([[0.62, -0.45, 0.2]], np.float32).T
    chin = np.array([[0, -1.07, 0.42]], np.float32).T
    assert rises([-Head(width=width).solid(side)[0] for width in (0.8, 1.0, 1.2)])
    assert Head(jaw=-0.1).solid(chin) > 0 > Head(jaw=0.15).solid(chin)


# Grids and files ---------------------------------------------------------------------------------------


def test_the_default_grids_have_about_twenty_thousand_images(config):
    images = {name: module.grid(config["pictures"][name]).images for name, module in MODULES.items()}
    assert images == {"standin_chairs": 19440, "standin_faces": 20160, "standin_celeba": 19200}


@pytest.mark.parametrize("name", MODULES)
def test_every_combination_is_one_image_in_order_the_same_each_time_on_any_number_of_threads(tmp_path, name):
    first, *_, last = SMALL[name]
    sizes = dict.fromkeys(SMALL[name], 1) | {first: 2, last: 2}
    for folder, threads in (("a", 1), ("b", 2)):
        paths = {"h5": tmp_path / folder / "images.h5", "npy": tmp_path / folder / "images.npy"}
        standin.main(name=name, sizes=json.dumps(sizes), threads=threads, **paths)
    images, factors = open_images(tmp_path / "a" / "images.npy"), open_factors(tmp_path / "a" / "images.h5")
    np.testing.assert_array_equal(images, open_images(tmp_path / "b" / "images.npy"))
    assert dict(zip(factors.names, factors.sizes, strict=True)) == sizes
    assert len(images) == factors.grid().images == np.prod(list(sizes.values()))
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    said = describe(tmp_path / "a" / "images.h5")
    assert said["source"].startswith(f"{name}: rendered by")
    assert "not" in said["source"]


def test_a_block_is_what_its_place_in_the_grid_says(faces):
    alone = rendered("standin_faces", dict.fromkeys(SMALL["standin_faces"], 1))
    np.testing.assert_allclose(alone[0, 0, 0, 0, 0], faces[1, 0, 1, 0, 2])
    values = standin_faces.grid(dict.fromkeys(SMALL["standin_faces"], 1)).values
    np.testing.assert_allclose(np.concatenate(values), [0, 0, 1.01, 0.02, 0], atol=1e-9)


# Chairs: azimuth, width, legs, back height, arms --------------------------------------------------------


def extent(image, axis):
    """How many rows (axis 1) or columns (axis 0) of a chair's image are not all white."""
    return int((image < 0.9).any(axis=axis).sum())


def alike(first, second):
    """Whether pictures differ at most by a ray here and there, which grazes an edge."""
    difference = np.abs(first - second)
    return difference.mean() < 0.003 and (difference > 0.05).mean() < 0.005


def test_a_chair_and_its_mirror_image_have_opposite_azimuths(chairs):
    assert alike(chairs[3], chairs[1][..., ::-1])
    for azimuth in (0, 2):
        assert alike(chairs[azimuth], chairs[azimuth][..., ::-1])
    assert not alike(chairs[1], chairs[1][..., ::-1])
    assert np.abs(chairs[0] - chairs[2]).max() > 0.3  # front and back are not alike


def test_a_wider_chair_covers_more_columns_and_a_higher_back_more_rows(chairs):
    front = chairs[0, :, 0, :, 0]
    assert rises([[extent(image, 0) for image in row] for row in front], least=3)
    assert rises(np.transpose([[extent(image, 1) for image in row] for row in front]), least=3)
    # 0.76 of the 1.5 units that the picture is wide, seen from 3.2 away in perspective.
    assert extent(front[2, 1], 0) == pytest.approx(0.76 / 1.5 * 64, abs=4)


def test_legs_change_what_is_below_the_seat_only(chairs):
    styles = chairs[0, 1, :, 1, 0]
    for other in styles[1:]:
        changed = np.flatnonzero((np.abs(other - styles[0]) > 0.02).any(axis=1))
        assert changed.min() > 36
        assert (np.abs(other - styles[0]) > 0.2).sum() > 40


def test_arms_add_to_a_chair_and_the_held_out_combination_is_the_armchair_on_an_office_base(chairs):
    without, with_arms = np.moveaxis(chairs[:, :, :, :, :], 4, 0)
    assert ((with_arms < 0.9).sum(axis=(-2, -1)) > (without < 0.9).sum(axis=(-2, -1))).mean() > 0.9
    held = CONFIG["pictures"]["hold_out"]
    assert standin_chairs.LEGS[held["legs"]] == "swivel base"
    assert standin_chairs.ARMS[held["arms"]] == "with arms"
    assert set(held) <= set(standin_chairs.grid(SMALL["standin_chairs"]).names)


def test_chairs_stand_whole_on_white(chairs):
    edge = np.ones((64, 64), bool)
    edge[1:-1, 1:-1] = False
    assert (chairs[..., edge] == 1).all()


# Faces: azimuth, elevation, face width, jaw, lighting ---------------------------------------------------


def test_a_face_lit_from_the_left_turned_left_mirrors_one_lit_from_the_right_turned_right(faces):
    assert alike(faces[::-1, ..., ::-1, :, ::-1], faces)
    assert not alike(faces[::-1, ..., ::-1], faces)


def test_the_lamp_moves_the_light_from_left_to_right(faces):
    middle = faces[1, 0, 1, 0]  # lamps
    balance = middle[..., 32:].mean(axis=(-2, -1)) - middle[..., :32].mean(axis=(-2, -1))
    assert rises(balance, least=0.005)
    assert balance[2] == pytest.approx(0, abs=0.01)
    assert middle.mean(axis=(-2, -1)).argmax() == 2  # brightest from the front


def test_a_broader_face_covers_more(faces):
    lit = faces[1, 0, :, 0, 2] > 0.05
    assert rises(lit[:, 38:46].sum(axis=(-2, -1)), least=8)


def test_a_longer_jaw_changes_what_is_below_the_nose():
    jaws = rendered("standin_faces", dict.fromkeys(SMALL["standin_faces"], 1) | {"jaw": 2})[0, 0, 0, :, 0]
    changed = np.abs(jaws[1] - jaws[0]) > 0.05
    assert changed.sum() > 20
    assert np.flatnonzero(changed.any(axis=1)).min() > 36


def test_seen_from_above_the_eyes_lie_lower():
    views = rendered("standin_faces", dict.fromkeys(SMALL["standin_faces"], 1) | {"elevation": 3})[0, :, 0, 0, 0]
    # The first row from the crown in which brows or eyes are dark.
    dark = (views[:, :, 22:29] < 0.4) & (views[:, :, 22:29] > 0.02)
    assert rises((dark.any(axis=-1) & (np.arange(64) > 12)).argmax(axis=-1), least=2)


# Portraits: fringe, smile, skin, background, saturation -------------------------------------------------


def test_saturation_goes_from_almost_grey_to_vivid_and_keeps_the_brightness(portraits):
    spread = (portraits.max(axis=-1) - portraits.min(axis=-1)).mean(axis=(-2, -1))
    assert rises(np.moveaxis(spread, -1, 0), least=0.02)
    assert (spread[..., 0] < 0.06).all()
    grey = portraits @ standin_celeba.GREY
    assert np.abs(grey[..., 0, :, :] - grey[..., 1, :, :]).max() < 0.02


def test_the_background_changes_the_background_only(portraits):
    corner = portraits[:, :, :, :, 1, 2, 1].mean(axis=-1)
    assert rises(np.moveaxis(corner, -1, 0), least=0.2)
    np.testing.assert_array_equal(portraits[:, :, :, 0, :, 30:50, 32], portraits[:, :, :, 2, :, 30:50, 32])


def test_skin_goes_from_dark_to_light_and_hair_stays(portraits):
    cheek, crown = portraits[1, 1, :, 1, 1, 38, 24], portraits[1, 1, :, 1, 1, 5, 32]
    assert rises(cheek, least=0.05)
    np.testing.assert_array_equal(crown[0], crown[2])


def hairy(portraits):
    """Rows down the forehead, above the eyes, that are as dark as hair: (fringes,)."""
    return (portraits[:, 0, 2, 1, 1, :28, 32].mean(axis=-1) < 0.45).sum(axis=-1)


def test_the_fringe_comes_down_the_forehead(portraits):
    assert rises(hairy(portraits), least=1)
    lower = np.abs(portraits[2] - portraits[0])[:, :, :, :, 40:, 28:36]
    assert lower.max() < 0.02


def test_a_smile_changes_the_mouth_only(portraits):
    changed = np.abs(portraits[0, 2] - portraits[0, 0]).max(axis=(0, 1, 2, -1)) > 0.03
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert rows.min() > 36
    assert rows.max() < 58
    assert columns.min() > 18
    assert columns.max() < 46
    assert changed.sum() > 20
