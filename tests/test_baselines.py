import json

import h5py
import numpy as np
import pytest
from sklearn.decomposition import PCA, FastICA

from betavae import gram, ground_truth, ica, pca
from betavae.codes import StoredCodes
from betavae.ica import unmixing
from betavae.pca import read_gram, whitening

LATENTS = 10


@pytest.fixture(scope="module")
def gram_file(data, tmp_path_factory):
    """gram.h5 of the small data set: 200 MB, so it goes when the tests of this file are done."""
    path = tmp_path_factory.mktemp("gram") / "gram.h5"
    gram.main(bits=data / "dsprites_bits.npy", dataset=data / "dsprites.h5", gram=path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def fitted(gram_file):
    return whitening(*read_gram(gram_file), components=LATENTS)


@pytest.fixture(scope="module")
def direct(pixels):
    """scikit-learn's PCA of the same pixels."""
    return PCA(LATENTS, whiten=True, svd_solver="arpack", random_state=0).fit(pixels.astype(np.float64))


def up_to_sign(ours, theirs):
    return ours * np.sign((ours * theirs).sum(0))


# PCA --------------------------------------------------------------------------------------------------


def test_the_gram_matrices_are_those_of_each_shapes_pixels(gram_file, pixels, grid):
    shape_of = grid.classes()[:, 0]
    with h5py.File(gram_file) as file:
        assert file["count"][:].tolist() == [grid.images // 3] * 3
        for shape in range(3):
            own = pixels[shape_of == shape]
            np.testing.assert_array_equal(file["sum"][shape], own.sum(0))
            lit = slice(1500, 2500)  # part of the 4096, for the time it takes
            np.testing.assert_array_equal(file["gram"][shape, lit, lit], own[:, lit].T @ own[:, lit])


def test_explained_variance_is_scikit_learns(fitted, direct):
    np.testing.assert_allclose(fitted.explained, direct.explained_variance_ratio_, rtol=1e-5)


def test_whitened_codes_are_scikit_learns_up_to_sign(fitted, direct, bits, grid, pixels):
    ours, theirs = fitted.apply(bits, grid), direct.transform(pixels)
    # scikit-learn divides the variance by n − 1.
    theirs *= np.sqrt(len(pixels) / (len(pixels) - 1))
    np.testing.assert_allclose(up_to_sign(ours, theirs), theirs, atol=2e-4)


def test_whitened_codes_have_mean_0_and_unit_covariance(fitted, bits, grid):
    codes = fitted.apply(bits, grid).astype(np.float64)
    np.testing.assert_allclose(codes.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cov(codes.T, bias=True), np.eye(LATENTS), atol=1e-4)


def test_a_pair_of_shapes_is_whitened_by_its_own_images(gram_file, bits, grid):
    of_pair = np.isin(grid.classes()[:, 0], (0, 2))
    codes = whitening(*read_gram(gram_file, (0, 2)), components=4).apply(bits, grid)[of_pair].astype(np.float64)
    np.testing.assert_allclose(codes.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cov(codes.T, bias=True), np.eye(4), atol=1e-4)


def test_the_pca_step_writes_codes_and_explained_variance(data, tmp_path, gram_file, grid, fitted, bits):
    pca.main(
        bits=data / "dsprites_bits.npy",
        dataset=data / "dsprites.h5",
        gram=gram_file,
        codes=tmp_path / "pca.h5",
        variance=tmp_path / "variance.json",
        settings=json.dumps({"scale": "smoke", "latents": LATENTS}),
    )
    codes = StoredCodes(tmp_path / "pca.h5", grid.images)
    np.testing.assert_allclose(codes.codes(0), fitted.apply(bits, grid), atol=1e-5)
    assert (codes.attributes["scale"], codes.attributes["dataset"]) == ("smoke", "small")
    written = json.loads((tmp_path / "variance.json").read_text())
    np.testing.assert_allclose(written["each"], fitted.explained)
    assert written["explained_variance"] == pytest.approx(fitted.explained.sum())


# ICA --------------------------------------------------------------------------------------------------


def test_unmixing_is_scikit_learns_fastica_on_white_data(fitted, bits, grid):
    whitened = fitted.apply(bits, grid)
    direct = FastICA(whiten=False, random_state=3, max_iter=200).fit(whitened)
    np.testing.assert_allclose(unmixing(whitened, 3, 200), direct.components_, rtol=1e-5, atol=1e-6)


def test_unmixing_finds_independent_sources_again():
    rng = np.random.default_rng(0)
    sources = rng.uniform(-(3**0.5), 3**0.5, (5000, 3))  # unit variance
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    found = unmixing(sources @ turn.T, 0, 200) @ turn  # from sources to what was found
    np.testing.assert_allclose(np.sort(np.abs(found), axis=1), [[0, 0, 1]] * 3, atol=0.06)


def test_ica_that_does_not_converge_gives_its_last_guess_and_says_so(capsys):
    gaussian = np.random.default_rng(0).normal(size=(2000, 4))
    found = unmixing(gaussian, 7, 2)
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-5)
    assert "ICA, seed 7: not converged after 2 iterations" in capsys.readouterr().err


def test_the_ica_step_writes_a_replica_for_each_pair_and_seed(data, tmp_path, gram_file, bits, grid):
    settings = {"scale": "smoke", "latents": 4, "seeds": [5, 6], "fit_images": 10**6, "iterations": 50}
    ica.main(
        bits=data / "dsprites_bits.npy",
        dataset=data / "dsprites.h5",
        gram=gram_file,
        codes=tmp_path / "ica.h5",
        settings=json.dumps(settings),
    )
    codes = StoredCodes(tmp_path / "ica.h5", grid.images)
    assert codes.groups.tolist() == [0, 0, 1, 1, 2, 2]
    for number, pair in enumerate([(0, 1), (0, 2), (1, 2)]):
        # Nothing but a rotation of the pair's own whitening.
        whitened = whitening(*read_gram(gram_file, pair), components=4).apply(bits, grid)
        for replica in (2 * number, 2 * number + 1):
            rotation = np.linalg.lstsq(whitened, codes.codes(replica))[0]
            np.testing.assert_allclose(whitened @ rotation, codes.codes(replica), atol=1e-4)
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(4), atol=1e-4)
        assert np.abs(codes.codes(2 * number) - codes.codes(2 * number + 1)).max() > 1e-3  # each seed its own fit


# Ground truth -----------------------------------------------------------------------------------------


def test_ground_truth_codes_are_the_factors_scaled_to_0_and_1_in_the_grids_order(data, tmp_path, grid):
    path = tmp_path / "ground_truth.h5"
    ground_truth.main(dataset=data / "dsprites.h5", codes=path, settings=json.dumps({"scale": "smoke"}))
    codes = StoredCodes(path, grid.images).codes(0)
    assert codes.shape == (grid.images, 5)
    assert (codes.min(), codes.max()) == (0.0, 1.0)
    # Every factor's values are evenly spaced, so its code is its class over the largest class.
    np.testing.assert_allclose(codes, grid.classes() / (np.array(grid.sizes) - 1), atol=1e-6)
