import csv
import json

import numpy as np
import pytest

from betavae import ground_truth, readout, table2
from betavae.codes import write_codes
from betavae.factors import FACTORS, FactorGrid
from betavae.paper import TABLE2
from betavae.readout import SYMMETRIC, accuracy, chosen_replicas, draw_images, standardised, targets

SETTINGS = {"model": "pca", "scale": "smoke", "seed": 0, "replicas": 2, "train_images": 800, "test_images": 400}


def read(data, tmp_path, codes, **settings):
    main = {"codes": codes, "dataset": data / "dsprites.h5", "output": tmp_path / "readout.json"}
    readout.main(**main, settings=json.dumps(SETTINGS | {"penalty": 0.2} | settings))
    return json.loads((tmp_path / "readout.json").read_text())


def stored(path, codes, **attributes):
    with write_codes(path, codes.shape, **attributes) as arrays:
        arrays["mean"][:] = codes
    return path


def test_the_true_factors_are_read_without_a_mistake(data, tmp_path):
    codes = tmp_path / "ground_truth.h5"
    ground_truth.main(dataset=data / "dsprites.h5", codes=codes, settings='{"scale": "smoke"}')
    found = read(data, tmp_path, codes, model="ground_truth", penalty=1e-6)
    assert {name: found["mean"][name] for name in FACTORS} == dict.fromkeys(FACTORS, 1.0)
    assert found["paper"] is None
    assert (found["train_images"], found["test_images"]) == (800, 400)


def test_noise_tells_no_more_than_chance(data, tmp_path, grid):
    codes = np.random.default_rng(0).normal(size=(2, grid.images, 3)).astype(np.float32)
    found = read(data, tmp_path, stored(tmp_path / "noise.h5", codes))
    for name, size in zip(FACTORS, grid.sizes, strict=True):
        assert found["mean"][name] == pytest.approx(1 / size, abs=0.08)
        assert found["mean"][name] == pytest.approx(np.mean(found["accuracies"][name]))
    assert found["paper"] == {
        "shape": 0.4338,
        "scale": 0.3608,
        "orientation": 0.0596,
        "posX": 0.6066,
        "posY": 0.6015,
    } | {"grade": "B"}


def test_scale_and_offset_of_a_latent_do_not_matter_and_a_constant_one_adds_nothing(grid):
    rng = np.random.default_rng(1)
    train, test = draw_images(grid, 500, 300, 0)
    codes = (grid.factor_values() + 0.2 * rng.normal(size=(grid.images, 5))).astype(np.float32)
    other = np.concatenate([codes * [100, 0.01, 1, 3, 1] + [5, 0, -9, 0, 1], np.full((grid.images, 1), 7.0)], axis=1)
    x, y = targets(grid, train)["scale"], targets(grid, test)["scale"]
    assert accuracy(codes[train], x, codes[test], y, 0.2) == accuracy(other[train], x, other[test], y, 0.2) > 0.8


def test_codes_are_standardised_by_those_of_the_training_images():
    codes = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(standardised(codes, codes), [[-1, 0], [1, 0]])
    np.testing.assert_allclose(standardised(np.array([[4.0, 6.0]]), codes), [[2, 1]])


def test_rotation_up_to_symmetry_numbers_a_quarter_of_a_square_and_half_an_ellipse():
    grid = FactorGrid.thinned({})
    images = grid.index(np.array([[shape, 0, k, 0, 0] for shape in range(3) for k in (7, 10, 25, 39)]))
    assert targets(grid, images)[SYMMETRIC].reshape(3, 4).tolist() == [[7, 0, 5, 9], [7, 10, 5, 19], [7, 10, 25, 39]]
    assert targets(grid, images)["orientation"].tolist() == [7, 10, 25, 39] * 3


def test_chance_for_rotation_up_to_symmetry_is_what_the_papers_lowest_row_has():
    grid = FactorGrid.thinned({})
    shares = np.bincount(targets(grid, np.arange(grid.images))[SYMMETRIC]) / grid.images
    lowest = min(row.orientation for row in TABLE2.values())
    assert shares.max() == pytest.approx((1 / 10 + 1 / 20 + 1 / 40) / 3)
    assert 0 <= lowest - shares.max() < 0.002


def test_images_are_drawn_once_all_different_and_the_same_for_all(grid):
    train, test = draw_images(grid, 800, 400, 0)
    assert (len(train), len(test), len({*train, *test})) == (800, 400, 1200)
    np.testing.assert_array_equal(train, draw_images(grid, 800, 400, 0)[0])
    assert not np.array_equal(train, draw_images(grid, 800, 400, 1)[0])


def test_a_grid_with_fewer_images_is_split_in_the_same_proportion(grid):
    train, test = draw_images(grid, 10000, 5000, 0)
    assert (len(train), len(test)) == (grid.images * 2 // 3, grid.images // 3)
    assert not set(train) & set(test)


def test_so_many_replicas_of_each_group_are_read():
    assert chosen_replicas(np.zeros(5, int), 2).tolist() == [0, 1]
    assert chosen_replicas(np.repeat([0, 1, 2], 4), 2).tolist() == [0, 1, 4, 5, 8, 9]
    assert chosen_replicas(np.zeros(1, int), 10).tolist() == [0]


def test_a_diverged_replica_is_named_and_left_out(data, tmp_path, grid):
    codes = np.stack([np.full((grid.images, 5), np.nan), grid.factor_values()]).astype(np.float32)
    found = read(data, tmp_path, stored(tmp_path / "half.h5", codes))
    assert found["diverged"] == [0]
    assert found["accuracies"]["scale"] == [None, 1.0]
    assert found["mean"]["scale"] == 1.0
    assert read(data, tmp_path, stored(tmp_path / "none.h5", codes[:1]))["mean"] is None


def test_two_runs_agree_in_everything_but_provenance(data, tmp_path, grid):
    codes = stored(tmp_path / "codes.h5", grid.factor_values()[None].astype(np.float32), settings={"a": 1})
    first, second = (read(data, tmp_path, codes) for _ in range(2))
    assert first.pop("provenance").keys() == second.pop("provenance").keys()
    assert first == second
    assert first["settings"]["representation"] == {"a": 1}


# The table --------------------------------------------------------------------------------------------


def test_table_2_has_the_papers_rows_then_the_others(data, tmp_path, grid):
    codes = stored(tmp_path / "codes.h5", grid.factor_values()[None].astype(np.float32))
    whole, broken = tmp_path / "pca.json", tmp_path / "beta1.json"
    found = read(data, tmp_path, codes)
    whole.write_text(json.dumps(found))
    broken.write_text(json.dumps(found | {"mean": None, "diverged": [0]}))
    (tmp_path / "mine.json").write_text(json.dumps(found | {"model": "mine"}))
    paths = {"csv": tmp_path / "table2.csv", "md": tmp_path / "table2.md"}
    table2.main(readouts=[whole, broken, tmp_path / "mine.json"], scale="smoke", **paths)
    with paths["csv"].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = ["PCA", "ICA", "DC-IGN", "InfoGAN", "VAE untrained", "VAE", "β-VAE"]
    assert [(row["model"], row["from"]) for row in rows] == [
        *((label, source) for label in labels for source in ("ours", "paper")),
        ("mine", "ours"),
    ]
    columns = ("id", "scale", "rotation", "posX", "posY")
    assert [float(rows[0][name]) for name in columns] == pytest.approx(
        [100 * found["mean"][name] for name in table2.COLUMNS.values()], abs=0.01
    )
    assert rows[2]["id"] == "not yet run"
    assert rows[10]["id"] == "all replicas diverged"
    assert {row["grade"] for row in rows if row["from"] == "paper"} == {"B"}
    assert "scale `smoke`" in paths["md"].read_text()


@pytest.mark.parametrize(
    ("model", "average"),
    {
        "pca": 41.25,
        "ica": 30.54,
        "dcign": 40.03,
        "infogan": 28.6,
        "vae_untrained": 20.39,
        "beta1": 21.77,
        "beta4": 43.04,
    }.items(),
)
def test_the_papers_averages_follow_from_its_rows(model, average):
    row = TABLE2[model]
    assert 100 * np.mean([getattr(row, name) for name in FACTORS]) == pytest.approx(average, abs=0.006)
