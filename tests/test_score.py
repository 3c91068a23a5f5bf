import json

import h5py
import numpy as np
import pytest

from betavae.codes import PixelCodes, StoredCodes, write_codes
from betavae.errors import UserError
from betavae.score import main, score, summarise
from betavae.zdiff import score_replica


@pytest.fixture
def settings(metric):
    """The paper's metric in small: two classifiers a replica, few points, few steps, and those large."""
    classifier = metric["classifier"] | {"steps": 300, "learning_rate": 0.5}
    return metric | {
        "train_points": 400,
        "test_points": 400,
        "classifier_seeds": 2,
        "replicas": 3,
        "classifier": classifier,
    }


@pytest.fixture
def store(tmp_path, grid):
    """Write codes (replicas, images, M) and open them."""

    def written(codes, **attributes):
        with write_codes(tmp_path / "codes.h5", codes.shape, **attributes) as arrays:
            arrays["mean"][:] = codes
        return StoredCodes(tmp_path / "codes.h5", grid.images)

    return written


@pytest.fixture
def positions(grid):
    """A clean code: posX, posY and scale of every image."""
    return grid.factor_values()[:, [3, 4, 1]].astype(np.float32)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# Scores -----------------------------------------------------------------------------------------------


def test_a_single_set_of_codes_serves_every_z_diff_seed_as_a_replica(store, grid, settings, positions):
    representation = store(positions[None, :, :2])
    found = score(representation, grid, settings, "test")
    assert [row[:2] for row in found["scores"]] == [[r, s] for r in range(3) for s in range(2)]
    for replica in range(3):
        counts = score_replica(representation, 0, grid, replica, settings)
        expected = np.trace(counts, axis1=1, axis2=2) / settings["test_points"]
        np.testing.assert_allclose([row[2] for row in found["scores"] if row[0] == replica], expected)
    assert len({row[2] for row in found["scores"]}) >= 3  # other points, other scores


def test_each_replica_of_several_is_scored_on_its_own_codes(store, grid, settings, positions):
    found = score(store(np.stack([positions, noise(*positions.shape)])), grid, settings, "test")
    of_replica = [[row[2] for row in found["scores"] if row[0] == replica] for replica in (0, 1)]
    assert len(found["scores"]) == 4
    assert min(of_replica[0]) > 0.9
    assert max(of_replica[1]) < 0.4


def test_mean_and_standard_deviation_are_those_of_the_better_half(store, grid, settings, positions):
    found = score(store(noise(3, *positions.shape)), grid, settings, "test")
    best = sorted(row[2] for row in found["scores"])[3:]
    assert sorted(found["scores"][k][2] for k in found["kept"]) == best
    assert found["score_mean"] == pytest.approx(np.mean(best))
    assert found["score_std"] == pytest.approx(np.std(best))


def test_a_replica_with_nan_is_listed_and_ranks_lowest(store, grid, settings, positions):
    codes = np.stack([noise(*positions.shape), positions, positions])
    codes[1, 700, 2] = np.nan
    found = score(store(codes), grid, settings, "test")
    assert found["diverged"] == [1]
    assert found["scores"][2:4] == [[1, 0, None], [1, 1, None]]
    assert found["kept"].tolist() in ([0, 4, 5], [1, 4, 5])  # half of six, the diverged two last
    assert np.isfinite(found["confusion"]).all()
    json.dumps(found["scores"], allow_nan=False)


def test_infinite_codes_count_as_diverged_too(store, grid, settings, positions):
    codes = np.stack([positions, positions])
    codes[0, 3, 1] = np.inf
    assert score(store(codes), grid, settings, "test")["diverged"] == [0]


def test_where_all_replicas_diverged_there_is_no_score(store, grid, settings, positions):
    found = score(store(np.full((2, *positions.shape), np.nan)), grid, settings, "test")
    assert (found["score_mean"], found["score_std"], found["confusion"]) == (None, None, None)
    assert found["diverged"] == [0, 1]


def test_diverged_scores_that_must_be_kept_leave_the_others_mean():
    mean, std, kept = summarise(np.array([np.nan, np.nan, 0.8]), np.zeros(3, int), 0.5)
    assert (mean, std) == (0.8, 0.0)
    assert 2 in kept
    assert len(kept) == 2


def test_groups_are_halved_within_and_averaged():
    scores = np.array([0.9, 0.1, 0.8, 0.2, 0.5, 0.3])
    mean, std, kept = summarise(scores, np.array([0, 0, 0, 0, 1, 1]), 0.5)
    assert kept.tolist() == [0, 2, 4]
    assert mean == pytest.approx(((0.9 + 0.8) / 2 + 0.5) / 2)
    assert std == pytest.approx(np.std([0.9, 0.8, 0.5]))


def test_the_groups_of_a_codes_file_decide_what_is_kept(store, grid, settings, positions):
    bad = noise(*positions.shape)
    found = score(store(np.stack([positions, positions, bad, bad]), group=[0, 0, 1, 1]), grid, settings, "test")
    kept = np.array([found["scores"][k][0] for k in found["kept"]])
    assert ((kept < 2).sum(), (kept >= 2).sum()) == (2, 2)
    means = [np.mean([found["scores"][k][2] for k in found["kept"][half]]) for half in (kept < 2, kept >= 2)]
    assert found["score_mean"] == pytest.approx(np.mean(means))


def test_confusion_rows_are_shares_of_the_true_factor(store, grid, settings, positions):
    found = score(store(positions[None, :, :2]), grid, settings, "test")
    np.testing.assert_allclose(found["confusion"].sum(1), 1.0)
    assert found["confusion"].shape == (4, 4)
    assert (np.diag(found["confusion"])[:2] > 0.85).all()
    assert found["factors"] == ["posX", "posY", "scale", "orientation"]


def test_the_metric_file_says_what_made_it(data, tmp_path, settings, store, positions):
    store(positions[None], settings={"latents": 3}, scale="smoke")
    chosen = settings | {"model": "beta4", "scale": "smoke", "metric": "zdiff"}
    main(
        dataset=data / "dsprites.h5",
        codes=tmp_path / "codes.h5",
        output=tmp_path / "metric.json",
        settings=json.dumps(chosen),
    )
    written = json.loads((tmp_path / "metric.json").read_text())
    assert (written["model"], written["scale"]) == ("beta4", "smoke")
    assert written["settings"] == chosen | {"representation": {"latents": 3}}
    assert written["paper"] == {"mean": 0.9923, "std": 0.001, "grade": "A", "std_grade": "A"}
    assert {"git_commit", "code_digest", "versions", "device", "seconds"} <= written["provenance"].keys()
    assert written["score_mean"] == pytest.approx(np.mean([written["scores"][k][2] for k in written["kept"]]))


def test_two_runs_agree_in_everything_but_provenance(data, tmp_path, settings):
    chosen = json.dumps(settings | {"model": "raw_pixels", "scale": "smoke", "metric": "zdiff", "replicas": 1})
    written = []
    for _ in range(2):
        main(
            dataset=data / "dsprites.h5",
            bits=data / "dsprites_bits.npy",
            output=tmp_path / "metric.json",
            settings=chosen,
        )
        written.append(json.loads((tmp_path / "metric.json").read_text()))
        del written[-1]["provenance"]
    assert written[0] == written[1]


def test_a_test_set_that_misses_a_factor_still_gives_a_metric_file(data, tmp_path, settings, store, positions):
    # The schema allows 10 test points: with 20 replicas one of the four factors is as good as certain to have none.
    store(positions[None])
    few = {"test_points": 10, "replicas": 20, "keep": 1.0}
    chosen = settings | few | {"model": "beta4", "scale": "smoke", "metric": "zdiff"}
    output = tmp_path / "metric.json"
    main(dataset=data / "dsprites.h5", codes=tmp_path / "codes.h5", output=output, settings=json.dumps(chosen))
    assert 0.0 <= json.loads(output.read_text())["score_mean"] <= 1.0


# Representations --------------------------------------------------------------------------------------


def test_pixels_differ_as_they_do_when_stored_as_codes(data, grid, pixels, store):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, grid.images, (2, 60, 28))
    ours = PixelCodes(data / "dsprites_bits.npy").mean_difference(0, first, second)
    stored = store(pixels[None]).mean_difference(0, first, second)
    lit = pixels.any(0)  # the others are zero in all images, and left out
    np.testing.assert_allclose(ours, stored[:, lit], rtol=1e-6, atol=1e-7)
    assert not stored[:, ~lit].any()
    assert ours.max() > 0.1


def test_mean_difference_is_the_mean_absolute_difference_of_a_replicas_codes(store, grid):
    codes = noise(2, grid.images, 4)
    first, second = np.random.default_rng(1).integers(0, grid.images, (2, 50, 7))
    for replica in (1, 0, 1):
        expected = np.abs(codes[replica][first] - codes[replica][second]).mean(1)
        np.testing.assert_allclose(store(codes).mean_difference(replica, first, second), expected, rtol=1e-5)


def test_points_are_worked_off_in_parts_without_a_gap(store, grid, monkeypatch):
    codes = noise(1, grid.images, 4)
    first, second = np.random.default_rng(1).integers(0, grid.images, (2, 53, 7))
    whole = store(codes).mean_difference(0, first, second)
    monkeypatch.setattr("betavae.codes.CHUNK", 10 * 4 * 7)
    np.testing.assert_array_equal(store(codes).mean_difference(0, first, second), whole)


def test_codes_read_back_as_written(tmp_path, grid):
    mean, logvar = noise(2, 2, grid.images, 3)
    with write_codes(tmp_path / "a.h5", mean.shape, ("mean", "logvar"), group=[4, 7], scale="smoke", n={"a": 1}) as new:
        new["mean"][:], new["logvar"][:] = mean, logvar
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["mean"][:], mean)
        np.testing.assert_array_equal(file["logvar"][:], logvar)
        assert (file["mean"].dtype, file["mean"].compression) == (np.float32, None)
    codes = StoredCodes(tmp_path / "a.h5", grid.images)
    np.testing.assert_array_equal(codes.codes(1), mean[1])
    assert codes.replicas == 2
    assert codes.groups.tolist() == [4, 7]
    assert codes.attributes == {"scale": "smoke", "n": '{"a": 1}'}
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_what_made_codes_is_asked_once_they_are_all_there(tmp_path):
    done = []
    with write_codes(tmp_path / "a.h5", (1, 10, 3), provenance=lambda: {"seconds": len(done)}, scale="smoke"):
        done.append("codes")
    attributes = StoredCodes(tmp_path / "a.h5", 10).attributes
    assert attributes == {"scale": "smoke", "provenance": '{"seconds": 1}'}


def interrupted(path, failure):
    """Write codes and fail on the way."""
    with write_codes(path, (1, 10, 3)) as arrays:
        arrays["mean"][:] = 2.0
        raise failure


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_codes_interrupted_leave_no_file(tmp_path, failure):
    with pytest.raises(failure):
        interrupted(tmp_path / "a.h5", failure)
    assert list(tmp_path.iterdir()) == []


def test_codes_interrupted_leave_the_older_file(tmp_path):
    with write_codes(tmp_path / "a.h5", (1, 10, 3)) as arrays:
        arrays["mean"][:] = 1.0
    with pytest.raises(RuntimeError):
        interrupted(tmp_path / "a.h5", RuntimeError)
    assert (StoredCodes(tmp_path / "a.h5", 10).codes(0) == 1.0).all()


def text(path):
    path.write_text("0.1 0.2 0.3")


def without_mean(path):
    with h5py.File(path, "w") as file:
        file["codes"] = noise(1, 10, 3)


def group_for_mean(path):
    with h5py.File(path, "w") as file:
        file["mean/all"] = noise(1, 10, 3)


def other_images(path):
    with h5py.File(path, "w") as file:
        file["mean"] = noise(1, 9, 3)


def without_replicas(path):
    with h5py.File(path, "w") as file:
        file["mean"] = noise(10, 3)


def without_latents(path):
    with h5py.File(path, "w") as file:
        file["mean"] = noise(1, 10, 0)


def words(path):
    with h5py.File(path, "w") as file:
        file["mean"] = np.full((1, 10, 3), b"a")


def groups_too_few(path):
    with h5py.File(path, "w") as file:
        file["mean"] = noise(2, 10, 3)
        file["group"] = [0]


REFUSED = [
    (text, "not a codes file .* expected HDF5 with /mean"),
    (without_mean, "not a codes file .* expected HDF5 with /mean"),
    (group_for_mean, "/mean"),
    (other_images, r"/mean has shape \(1, 9, 3\), expected \(replicas, 10, latents\)"),
    (without_replicas, r"/mean has shape \(10, 3\), expected \(replicas, 10, latents\)"),
    (without_latents, r"/mean has shape \(1, 10, 0\), expected \(replicas, 10, latents\)"),
    (words, "/mean"),
    (groups_too_few, "/group"),
]


@pytest.mark.parametrize(("make", "found"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_codes_file_is_refused_by_name(tmp_path, make, found):
    path = tmp_path / "mine.h5"
    make(path)
    with pytest.raises(UserError, match=rf"mine\.h5: .*{found}"):
        StoredCodes(path, 10)


def test_a_codes_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"mine\.h5: not a codes file"):
        StoredCodes(tmp_path / "mine.h5", 10)
