"""The metrics beyond the paper, each on codes where its value is known."""

import csv
import json

import numpy as np
import pytest

from betavae import measures, metrics
from betavae.codes import StoredCodes, write_codes
from betavae.dci import concentration, dci
from betavae.errors import UserError
from betavae.explicitness import area, explicitness
from betavae.factor_vae import factor_vae
from betavae.factors import FACTORS, FactorGrid
from betavae.labelled import Labelled, label, standardise
from betavae.mig import mig
from betavae.modularity import modularity
from betavae.mutual_information import binned, entropy, mutual_information
from betavae.sap import explained, sap, threshold_accuracy
from betavae.zdiff import score_replica

# 9,216 images; posX and posY alike, so that they can be turned into each other.
GRID = FactorGrid.thinned({"scale": 2, "orientation": 10, "posX": 2, "posY": 2})
TRUE = GRID.classes().astype(float)
TRUE = (TRUE - TRUE.mean(0)) / TRUE.std(0)  # every factor with mean 0 and standard deviation 1
SHAPE, SCALE, ORIENTATION, POS_X, POS_Y = TRUE.T
NOISE = np.random.default_rng(0).normal(size=(GRID.images, 5))


@pytest.fixture
def chosen(config):
    """The settings as they stand in config.yaml, in fewer votes."""
    chosen = config["measures"]
    chosen["factor_vae"] |= {"train_votes": 1000, "test_votes": 2000}
    return chosen


def turned(degrees):
    """The true factors, the two position axes turned."""
    angle = np.deg2rad(degrees)
    x = np.cos(angle) * POS_X + np.sin(angle) * POS_Y
    y = np.cos(angle) * POS_Y - np.sin(angle) * POS_X
    return np.stack([SHAPE, SCALE, ORIENTATION, x, y], 1)


def labelled(codes, grid=GRID, dead=0.05, seed=0) -> Labelled:
    return label(np.asarray(codes, np.float32), grid, FACTORS, seed, dead)


def duplicated():
    return np.column_stack([TRUE, POS_X])


# What the measures see --------------------------------------------------------------------------------


def test_codes_are_standardised_and_dead_latents_zero():
    codes = standardise(np.stack([3 + 2 * POS_X, 0.01 * POS_Y, np.full(GRID.images, 0.1)], 1).astype(np.float32), 0.05)
    np.testing.assert_allclose(codes[:, 0], POS_X, atol=1e-5)
    assert not codes[:, 1:].any()


def test_with_no_share_given_only_constants_are_dead():
    codes = standardise(np.stack([POS_X, 1e-4 * POS_Y, np.full(GRID.images, 0.1)], 1).astype(np.float32), 0.0)
    np.testing.assert_allclose(codes.std(0), [1, 1, 0], atol=1e-5)


def test_a_split_shows_no_image_twice_and_fits_into_a_small_grid():
    train, test = labelled(TRUE).split(2000, 5000)
    assert (len(train), len(test), len({*train, *test})) == (2000, 5000, 7000)
    train, test = labelled(TRUE).split(10_000, 20_000)
    assert (len(train), len(test), len({*train, *test})) == (3072, 6144, GRID.images)


def test_a_split_follows_from_the_seed():
    first, again, other = (labelled(TRUE, seed=seed).split(50, 50)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_factor_of_one_value_is_left_out_and_fewer_than_two_are_refused():
    grid = FactorGrid((np.ones(1), *GRID.values[1:]))
    codes = grid.factor_values().astype(np.float32)
    assert label(codes, grid, FACTORS, 0, 0.05).factors == FACTORS[1:]
    with pytest.raises(UserError, match="1 vary in this data set, expected two or more"):
        label(codes, grid, ("shape", "posX"), 0, 0.05)


@pytest.mark.parametrize("name", measures.MEASURES)
def test_no_measure_hangs_on_the_order_of_latents(name, chosen):
    codes = np.column_stack([turned(20) + 0.1 * NOISE, POS_X, np.zeros(GRID.images)])
    found = [
        measures.MEASURES[name].compute(labelled(codes[:, order]), chosen[name])
        for order in (range(7), (3, 6, 0, 5, 1, 4, 2), range(6, -1, -1))
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", measures.MEASURES)
def test_no_measure_hangs_on_scale_or_offset_of_latents(name, chosen):
    codes = turned(20) + 0.1 * NOISE
    plain, moved = (labelled(each) for each in (codes, 5 + codes * [2, 1, 0.5, 3, 1]))
    # The latents come in another order of their own, so that trees may break a tie another way.
    scores = [measures.MEASURES[name].compute(each, chosen[name])["score"] for each in (plain, moved)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


@pytest.mark.parametrize("codes", [POS_X[:, None], np.zeros((GRID.images, 3)), np.zeros((GRID.images, 1))])
@pytest.mark.parametrize("name", measures.MEASURES)
def test_a_single_latent_and_nothing_but_constants_have_finite_scores(name, codes, chosen):
    found = measures.MEASURES[name].compute(labelled(codes), chosen[name])
    assert all(-1e-9 <= found[key] <= 1 + 1e-9 for key in measures.MEASURES[name].columns)


@pytest.mark.parametrize("name", measures.MEASURES)
def test_the_smallest_grid_that_the_config_allows_can_be_measured(name, chosen):
    grid = FactorGrid.thinned({"shape": 2, "scale": 5, "orientation": 20, "posX": 16, "posY": 16})
    found = measures.MEASURES[name].compute(labelled(grid.factor_values(), grid), chosen[name])
    assert 0.5 < found["score"] <= 1


# FactorVAE score --------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [TRUE, duplicated(), np.column_stack([TRUE, np.ones(GRID.images)])])
def test_factor_vae_of_clean_codes_is_1_duplicates_and_constants_or_not(codes, chosen):
    assert factor_vae(labelled(codes), chosen["factor_vae"])["score"] == 1.0


def test_factor_vae_counts_the_latents_that_vote(chosen):
    assert factor_vae(labelled(np.column_stack([TRUE, np.ones(GRID.images)])), chosen["factor_vae"])["live"] == 5


def test_factor_vae_of_noise_is_chance(chosen):
    assert factor_vae(labelled(NOISE), chosen["factor_vae"])["score"] == pytest.approx(1 / 5, abs=0.04)


def test_factor_vae_loses_half_of_two_factors_whose_axes_are_turned_by_45_degrees(chosen):
    assert factor_vae(labelled(turned(45)), chosen["factor_vae"])["score"] == pytest.approx(4 / 5, abs=0.04)


def test_factor_vae_of_codes_without_two_factors_is_three_fifths(chosen):
    codes = np.stack([SCALE, POS_X, POS_Y], 1)
    assert factor_vae(labelled(codes), chosen["factor_vae"])["score"] == pytest.approx(3 / 5, abs=0.04)


# Mutual information, MIG, modularity ------------------------------------------------------------------


def test_bins_have_equal_width_and_include_the_largest():
    assert binned(np.array([0.0, 0.9, 1.0, 3.9, 4.0]), 4).tolist() == [0, 0, 1, 3, 3]
    assert not binned(np.ones(3), 4).any()


def test_a_clean_latent_says_all_of_its_factor_and_nothing_of_the_others():
    information, entropies = mutual_information(labelled(TRUE), 64)
    np.testing.assert_allclose(entropies, np.log(GRID.sizes))
    np.testing.assert_allclose(np.sort(information, axis=None)[-5:], np.sort(np.log(GRID.sizes)), rtol=1e-9)
    np.testing.assert_allclose(np.sort(information, axis=None)[:-5], 0, atol=1e-9)


def test_mig_of_clean_codes_is_1_where_bins_suffice():
    assert mig(labelled(TRUE), {"bins": 64})["score"] == pytest.approx(1)


def test_mig_of_clean_codes_is_limited_by_the_bins():
    expected = entropy(np.bincount(np.minimum(np.arange(16) * 8 // 15, 7))) / np.log(16)  # posX cut into 8
    gaps = mig(labelled(TRUE), {"bins": 8})["per_factor"]
    assert (gaps["posX"], gaps["posY"], gaps["scale"]) == pytest.approx((expected, expected, 1))
    assert expected < 0.8


def test_mig_counts_nothing_for_a_duplicated_latent():
    found = mig(labelled(duplicated()), {"bins": 64})
    assert found["per_factor"]["posX"] == 0
    assert found["score"] == pytest.approx(4 / 5)


def test_mig_counts_nothing_for_axes_turned_by_45_degrees():
    gaps = mig(labelled(turned(45)), {"bins": 20})["per_factor"]
    assert (gaps["posX"], gaps["posY"], gaps["shape"]) == pytest.approx((0, 0, 1), abs=0.01)


def test_mig_of_noise_is_0():
    assert mig(labelled(NOISE), {"bins": 20})["score"] == pytest.approx(0, abs=0.01)


def test_modularity_of_clean_codes_is_1_duplicates_and_constants_or_not():
    for codes in (TRUE, duplicated(), np.column_stack([TRUE, np.ones(GRID.images)]), TRUE[:, :2]):
        assert modularity(labelled(codes), {"bins": 64})["score"] == pytest.approx(1)


def test_modularity_of_a_latent_that_says_as_much_of_two_factors():
    # 1 − 1/(K − 1) for the two turned latents, 1 for the other three.
    assert modularity(labelled(turned(45)), {"bins": 20})["score"] == pytest.approx((3 + 2 * (1 - 1 / 4)) / 5, abs=0.01)


# SAP --------------------------------------------------------------------------------------------------

CLEAN_SAP = (4 + 2 / 3) / 5  # of shape, a latent that says nothing predicts a third


def test_sap_of_clean_codes(chosen):
    assert sap(labelled(TRUE), chosen["sap"])["score"] == pytest.approx(CLEAN_SAP, abs=0.01)


def test_sap_counts_nothing_for_a_duplicated_latent(chosen):
    found = sap(labelled(duplicated()), chosen["sap"])
    assert found["per_factor"]["posX"] == pytest.approx(0, abs=1e-6)
    assert found["score"] == pytest.approx(CLEAN_SAP - 1 / 5, abs=0.01)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70])
def test_sap_of_turned_axes_is_the_difference_of_the_squared_cosine_and_sine(degrees, chosen):
    gaps = sap(labelled(turned(degrees)), chosen["sap"])["per_factor"]
    expected = abs(np.cos(2 * np.deg2rad(degrees)))
    assert (gaps["posX"], gaps["posY"], gaps["scale"]) == pytest.approx((expected, expected, 1), abs=1e-5)


def test_sap_of_noise_is_0(chosen):
    assert sap(labelled(NOISE), chosen["sap"])["score"] == pytest.approx(0, abs=0.02)


def test_thresholds_tell_what_one_latent_can_tell():
    # The second latent has two of the three shapes in one place.
    codes = np.stack([SHAPE, SHAPE > 0], 1).astype(np.float32)
    codes[GRID.classes()[:, 0] == 1, 1] = 0.0
    shapes = GRID.classes()[:, 0]
    np.testing.assert_allclose(threshold_accuracy(codes, shapes, codes, shapes), [1, 2 / 3])


# DCI --------------------------------------------------------------------------------------------------


def test_concentration_is_1_in_one_place_and_0_where_even():
    shares = np.array([[0, 3, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], float)
    np.testing.assert_allclose(concentration(shares), [1, 0, 1 - np.log(2) / np.log(4), 0], atol=1e-12)


def test_dci_of_clean_codes_is_1(chosen):
    found = dci(labelled(np.column_stack([TRUE, np.ones(GRID.images)])), chosen["dci"])
    assert (found["score"], found["completeness"]) == pytest.approx((1, 1), abs=1e-3)
    assert found["informativeness"] == pytest.approx(1, abs=0.01)


def test_a_duplicated_latent_is_disentangled_and_not_complete(chosen):
    clean, found = (dci(labelled(codes), chosen["dci"]) for codes in (TRUE, duplicated()))
    assert found["score"] == pytest.approx(1, abs=1e-3)
    # At most as if both copies mattered alike: trees take either.
    assert 1 - np.log(2) / np.log(6) / 5 - 1e-3 <= found["completeness"] < 0.99
    assert found["informativeness"] == pytest.approx(clean["informativeness"], abs=1e-3)


def test_dci_of_axes_turned_by_45_degrees(chosen):
    # Two latents matter alike to two factors, three matter to one each.
    found = dci(labelled(turned(45)), chosen["dci"])
    expected = (3 + 2 * (1 - np.log(2) / np.log(5))) / 5
    assert (found["score"], found["completeness"]) == pytest.approx((expected, expected), abs=0.02)


def test_dci_of_noise_is_near_0(chosen):
    found = dci(labelled(NOISE), chosen["dci"])
    assert found["score"] < 0.1
    assert found["completeness"] < 0.1
    assert found["informativeness"] < 0.01


# Explicitness -----------------------------------------------------------------------------------------


def test_explicitness_of_clean_codes_is_near_1(chosen):
    found = explicitness(labelled(TRUE), chosen["explicitness"] | {"penalty": 1e-4})
    assert found["score"] == pytest.approx(1, abs=2e-3)
    assert explicitness(labelled(TRUE), chosen["explicitness"])["score"] > 0.98


def test_explicitness_of_noise_and_of_constants_is_one_half(chosen):
    assert explicitness(labelled(NOISE), chosen["explicitness"])["score"] == pytest.approx(0.5, abs=0.02)
    assert explicitness(labelled(np.zeros((GRID.images, 2))), chosen["explicitness"])["score"] == 0.5


@pytest.mark.parametrize("codes", [turned(45), turned(20), duplicated()])
def test_explicitness_does_not_mind_a_rotation_or_a_duplicate(codes, chosen):
    clean = explicitness(labelled(TRUE), chosen["explicitness"])["score"]
    assert explicitness(labelled(codes), chosen["explicitness"])["score"] == pytest.approx(clean, abs=0.005)


def test_a_factor_that_is_not_encoded_is_read_by_chance(chosen):
    areas = explicitness(labelled(np.delete(TRUE, 2, axis=1)), chosen["explicitness"])["per_factor"]
    assert areas["orientation"] == pytest.approx(0.5, abs=0.03)
    assert areas["posX"] > 0.97


# The values that disentanglement_lib 1.5 gives for the same codes (computed once by its own functions, with 20 bins;
# it needs TensorFlow, so it is not installed for the tests) ------------------------------------------------------


@pytest.fixture
def mixed(grid):
    """Codes that mix factors, standardised, of the tests' small data set."""
    shape, scale, orientation, x, y = grid.classes().T.astype(float)
    codes = np.stack(
        [x + 0.3 * y, np.sin(y) + 0.2 * scale, shape**2 + 0.1 * x, np.cos(orientation) + 0.5 * scale], axis=1
    )
    return codes


def test_mutual_information_mig_and_modularity_are_disentanglement_libs(mixed, grid):
    seen = labelled(mixed, grid)
    expected = [
        [0, 0, 0, 1.391878, 0.862263], [0, 0.594126, 0, 0, 1.747868],
        [1.098612, 0, 0, 1.16176, 0], [0, 0.51986, 1.213008, 0, 0],
    ]  # fmt: skip
    information = mutual_information(seen, 20)[0]
    np.testing.assert_allclose(np.sort(information, axis=0), np.sort(expected, axis=0), atol=1e-6)
    assert mig(seen, {"bins": 20})["score"] == pytest.approx(0.5095835115558002)
    assert modularity(seen, {"bins": 20})["score"] == pytest.approx(0.9014228164057263)


def test_the_share_explained_is_disentanglement_libs(mixed, grid):
    seen = labelled(mixed, grid)
    expected = {
        "scale": [0, 0.02191852, 0, 0.09291297], "orientation": [0, 0, 0, 0.89150712],
        "posX": [0.93582888, 0, 0.01784871, 0], "posY": [0.06417112, 0.41681759, 0, 0],
    }  # fmt: skip
    for factor, values in expected.items():
        np.testing.assert_allclose(np.sort(explained(seen, factor)), np.sort(values), atol=1e-6)


def test_disentanglement_and_completeness_are_disentanglement_libs(monkeypatch):
    matrix = np.array([[0.7, 0, 0.1, 0.2], [0.1, 0.9, 0.3, 0.1], [0.2, 0.1, 0.6, 0], [0, 0, 0, 0.7], [0, 0, 0, 0]])
    monkeypatch.setattr("betavae.dci.importance", lambda *_: (matrix, np.ones(5)))
    found = dci(labelled(TRUE), {})
    assert (found["score"], found["completeness"]) == pytest.approx((0.46742371354574797, 0.5609234466463933))


def test_the_area_under_the_curve_is_disentanglement_libs(mixed, grid):
    codes, classes = (mixed - mixed.mean(0)) / mixed.std(0), grid.classes()
    train = np.arange(len(codes)) % 3 != 0
    expected = [1.0, 0.6919642857142856, 0.9697996386054422, 0.9738634293002915, 0.9632568359375]
    for column, value in zip(classes.T, expected, strict=True):
        assert area(codes[train], column[train], codes[~train], column[~train], 1.0) == pytest.approx(value, abs=2e-3)


# The blind spot ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [[1, 3, 4], [0, 1, 3, 4]])
def test_what_the_papers_metric_does_not_see_the_others_do(kept, metric, chosen):
    """Clean position and scale (and shape) without rotation."""

    class Codes:
        def mean_difference(self, replica, first, second):
            return np.abs(codes[first] - codes[second]).mean(1)

    grid = FactorGrid.thinned({"scale": 2, "orientation": 2, "posX": 2, "posY": 2})
    values = grid.factor_values()
    truth = ((values - values.min(0)) / np.ptp(values, axis=0)).astype(np.float32)
    codes = truth[:, kept]
    counts = score_replica(Codes(), 0, grid, 0, metric | {"classifier_seeds": 1})
    assert np.trace(counts, axis1=1, axis2=2).sum() / counts.sum() >= 0.99
    seen, whole = labelled(codes, grid), labelled(truth, grid)
    for name, key, most in (
        ("factor_vae", "score", 0.85),
        ("mig", "score", 0.85),
        ("sap", "score", 0.85),
        ("dci", "score", 0.85),
        ("dci", "completeness", 0.9),
        ("dci", "informativeness", 0.85),
        ("explicitness", "score", 0.9),
    ):
        without, with_it = (measures.MEASURES[name].compute(each, chosen[name])[key] for each in (seen, whole))
        assert without < most
        assert without < with_it - 0.08
    assert modularity(seen, chosen["modularity"])["score"] == pytest.approx(1)  # that one does not either


# Files ------------------------------------------------------------------------------------------------


def test_replicas_are_taken_from_every_group_in_turn():
    groups = np.repeat([0, 1, 2], 4)
    assert measures.chosen_replicas(groups, 4).tolist() == [0, 1, 4, 8]
    assert measures.chosen_replicas(groups, 100).tolist() == list(range(12))
    assert measures.chosen_replicas(np.zeros(3, int), 2).tolist() == [0, 1]


@pytest.fixture
def measured(tmp_path, data, grid, config):
    """Measure codes (replicas, images, M) as the workflow does, quickly; returns the file."""
    settings = config["measures"] | {"factor_vae": {"samples": 10, "train_votes": 100, "test_votes": 100}}
    settings["dci"] |= {"trees": 3}

    def made(codes, model="beta4", **more):
        with write_codes(tmp_path / "codes.h5", codes.shape) as arrays:
            arrays["mean"][:] = codes
        output = tmp_path / f"{model}.json"
        chosen = json.dumps(settings | {"model": model, "scale": "smoke"} | more)
        measures.main(dataset=data / "dsprites.h5", codes=tmp_path / "codes.h5", output=output, settings=chosen)
        return output

    return made


def test_a_replica_that_diverged_is_named_and_left_out(measured, mixed):
    codes = np.stack([mixed, mixed, mixed + 1])
    codes[1, 5, 0] = np.nan
    found = json.loads(measured(codes).read_text())
    assert (found["replicas"], found["diverged"]) == ([0, 1, 2], [1])
    score = found["measures"]["mig"]["score"]
    assert score["values"][1] is None
    assert score["mean"] == pytest.approx(score["values"][0])
    assert score["std"] == pytest.approx(0, abs=1e-6)
    assert found["measures"]["sap"]["per_factor"]["posX"]["values"][1] is None


def test_where_all_diverged_there_is_a_file_and_a_row(measured, mixed, tmp_path):
    path = measured(np.full((2, *mixed.shape), np.inf))
    found = json.loads(path.read_text())
    assert found["diverged"] == [0, 1]
    assert found["measures"]["dci"]["completeness"] == {"mean": None, "std": None, "values": [None, None]}
    row = metrics.rows({"beta4": metrics.numbers(None, None, found)})[0]
    assert row["MIG"] == "all replicas diverged"
    assert (row["replicas"], row["diverged"], row["β-VAE score"]) == (2, 2, "–")


def test_two_runs_agree_in_everything_but_provenance(measured, mixed):
    first, again = (json.loads(measured(mixed[None]).read_text()) for _ in range(2))
    assert first.pop("provenance")["code_digest"] == again.pop("provenance")["code_digest"]
    assert first == again


def test_a_limit_of_replicas_is_kept(measured, mixed):
    assert json.loads(measured(np.stack([mixed] * 3), replicas=2).read_text())["replicas"] == [0, 1]


def test_rows_stand_in_figure_6s_order_others_behind():
    assert metrics.ordered({"mine", "beta4", "no_rotation", "pca", "a"}) == ["pca", "beta4", "a", "mine", "no_rotation"]


def test_the_table_reads_every_number_from_the_files(measured, mixed, tmp_path):
    paths = [measured(np.stack([mixed, 0 * mixed]), "beta4"), measured(mixed[None], "mine")]
    score = {"score_mean": 0.75, "score_std": 0.01, "scores": [[0, 0, 0.7], [0, 1, 0.8], [1, 0, None], [1, 1, None]]}
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "beta4.json").write_text(json.dumps(score))
    out = {name: tmp_path / f"metrics.{name}" for name in ("png", "pdf", "csv", "md")}
    metrics.main(measures=paths, scores=[tmp_path / "scores" / "beta4.json"], library=[], **out, scale="smoke")
    with out["csv"].open(encoding="utf-8") as file:
        table = {row["model"]: row for row in csv.DictReader(file)}
    found = json.loads(paths[0].read_text())["measures"]["mig"]["score"]
    assert (table["β-VAE"]["β-VAE score"], table["mine"]["β-VAE score"]) == ("75.0", "–")
    assert table["β-VAE"]["MIG"] == f"{100 * found['mean']:.1f} ± {100 * found['std']:.1f}"
    assert all(path.stat().st_size > 1000 for path in out.values() if path.suffix != ".csv")


def test_stored_codes_of_any_float_type_are_measured(tmp_path, grid, mixed):
    import h5py

    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["mean"] = mixed[None].astype(np.float64)
    codes = StoredCodes(tmp_path / "mine.h5", grid.images)
    assert mig(labelled(codes.codes(0), grid), {"bins": 20})["score"] == pytest.approx(0.5095835115558002)
