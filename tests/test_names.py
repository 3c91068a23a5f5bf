import pytest

from betavae.names import NAMED_MODELS, NameRefused, beta_name, check_model, parse_beta, sweep_name


@pytest.mark.parametrize(
    ("beta", "name"),
    [
        (4, "beta4"),
        (4.0, "beta4"),
        ("0.50", "beta0.5"),
        (0.5, "beta0.5"),
        (10, "beta10"),
        (250.0, "beta250"),
        (1e-7, "beta0.0000001"),
        (1e22, "beta1" + 22 * "0"),
    ],
)
def test_a_model_is_called_by_the_shortest_form_of_its_beta(beta, name):
    assert beta_name(beta) == name
    assert parse_beta(name) == (float(beta), None)


def test_a_point_of_the_sweep_names_its_latents_too():
    assert sweep_name(0.5, 40) == "beta0.5_z40"
    assert parse_beta("beta0.5_z40") == (0.5, 40)


@pytest.mark.parametrize("name", [*NAMED_MODELS, "beta4", "beta0.25", "beta7.5", "beta100"])
def test_models_whose_metric_can_be_asked_for(name):
    check_model(name)  # refuses by raising
    assert name in NAMED_MODELS or beta_name(parse_beta(name)[0]) == name


@pytest.mark.parametrize(
    "name",
    [
        "beta-1",
        "betafour",
        "beta",
        "betanan",
        "betainf",
        "beta1e3",
        "beta4;rm",
        "beta4 ",
        "beta4\n",
        " beta4",
        "Beta4",
        "beta+4",
        "beta4,5",
        "../x",
        "x",
        "",
        "pca2",
        "beta4_z",
        "beta4_z-5",
    ],
)
def test_a_name_that_makes_no_sense_is_refused_with_what_is_allowed(name):
    with pytest.raises(NameRefused) as refusal:
        check_model(name)
    assert repr(name) in str(refusal.value)
    assert "beta<number> with any β > 0 in its shortest form (beta4, beta0.5)" in str(refusal.value)
    assert "raw_pixels, pca, ica, dcign, vae_untrained" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "shortest"),
    [
        ("beta4.0", "beta4"),
        ("beta04", "beta4"),
        ("beta4.", "beta4"),
        ("beta.5", "beta0.5"),
        ("beta0.50", "beta0.5"),
        ("beta010", "beta10"),
        ("beta4_z05", "beta4_z5"),
        ("beta٤", "beta4"),
    ],
)
def test_a_longer_form_is_refused_and_the_shortest_named(name, shortest):
    with pytest.raises(NameRefused, match=rf"not in its shortest form; write '{shortest}'$"):
        check_model(name)


@pytest.mark.parametrize("name", ["beta0", "beta0.0", "beta00", "beta0_z5"])
def test_a_beta_of_0_is_refused(name):
    with pytest.raises(NameRefused, match=rf"'{name}' has β = 0; allowed: beta<number> with any β > 0"):
        check_model(name)


def test_no_latents_are_refused():
    with pytest.raises(NameRefused, match="beta4_z0"):
        parse_beta("beta4_z0")


def test_a_point_of_the_sweep_is_refused_as_a_model_and_its_place_named():
    with pytest.raises(NameRefused, match=r"results/sweep/metric_beta4_z5\.json"):
        check_model("beta4_z5")
