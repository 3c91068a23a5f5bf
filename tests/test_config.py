import re
from pathlib import Path

import pytest
import yaml

from betavae.config import check, load_schema, resolve
from betavae.errors import UserError

CONFIG_FILE = Path(__file__).parents[1] / "config.yaml"
PRESET, SWEEP = ("scales", "laptop"), ("scales", "laptop", "sweep")


def put(config, path, value):
    """Set what stands at `path` (a tuple of keys) in the nested config."""
    for key in path[:-1]:
        config = config[key]
    config[path[-1]] = value


def test_the_projects_config_is_valid_and_complete(config):
    checked = check(config)
    assert config["scales"].pop("strict") == {}, "the schema's defaults, see below"
    del checked["scales"]["strict"]
    assert checked == config


def test_checking_leaves_the_config_as_it_was(config):
    del config["scales"]["laptop"]["width"]
    checked = check(config)
    assert checked["scales"]["laptop"]["width"] == 1200
    assert "width" not in config["scales"]["laptop"]


def test_defaults_come_in_the_schemas_order_every_time(config):
    # The settings stand in the jobs' params as JSON: another order would run the jobs again.
    config["scales"]["laptop"] = {"steps": 5, "grid": "full"}
    schema = load_schema()["$defs"]["preset"]["properties"]
    expected = ["steps", "grid", *(key for key in schema if key not in ("steps", "grid") and "default" in schema[key])]
    assert list(check(config)["scales"]["laptop"]) == expected


# Each: where, the value put there, and what the message must name: the key, what it got, what is allowed.
REFUSED = [
    (
        (*PRESET, "widht"),
        64,
        ["`widht`", "`scales.laptop`", "did you mean `width`?", "allowed: anneal, batch, continuity, dcign"],
    ),
    (
        ("sclae",),
        "smoke",
        ["`sclae`", "did you mean `scale`?", "allowed: calibration, checkpoint_minutes, choose_beta"],
    ),
    ((*PRESET, "xyzzy"), 1, ["unknown key `xyzzy`", "`scales.laptop`", "allowed: anneal, batch, continuity"]),
    ((*SWEEP, "beta"), [1], ["`beta`", "`scales.laptop.sweep`", "did you mean `betas`?", "latents, replicas"]),
    (("metrics", "mig"), {}, ["unknown key `mig` in `metrics`", "allowed: disentanglement_lib, zdiff"]),
    (("metrics", "zdiff", "pears"), 28, ["`pears`", "`metrics.zdiff`", "did you mean `pairs`?", "train_points"]),
    (("metrics", "zdiff", "classifier", "penalty"), 1, ["`penalty`", "`metrics.zdiff.classifier`", "learning_rate"]),
    (("metrics", "disentanglement_lib", "classifier", "steps"), 9, ["`steps`", "allowed: kind, penalty"]),
    (("metrics", "zdiff", "classifier", "kind"), "adagrat", ["classifier.kind`", "'adagrat'", "adagrad, converged"]),
    (
        ("metrics", "zdiff", "factors"),
        ["posX", "color"],
        ["`metrics.zdiff.factors.1`", "'color'", "one of shape, scale"],
    ),
    (("metrics", "zdiff", "keep"), 0, ["`metrics.zdiff.keep` is 0", "expected number > 0 and ≤ 1"]),
    (("metrics", "zdiff", "keep"), 1.5, ["`metrics.zdiff.keep` is 1.5", "expected number > 0 and ≤ 1"]),
    (("grids", "thin", "color"), 2, ["unknown key `color`", "`grids.thin`", "allowed: orientation, posX, posY, scale"]),
    (("grids", "thin", "posX"), 32, ["`grids.thin.posX` is 32", "expected integer ≥ 1 and ≤ 16"]),
    (("threads",), "many", ["`threads` is 'many'", "expected integer ≥ 1 and ≤ 64"]),
    (("threads",), True, ["`threads` is True", "expected integer"]),
    (("threads",), None, ["`threads` is None", "expected integer"]),
    (("threads",), "\x1f", ["`threads` is '\\x1f'", "expected integer"]),  # no YAML at all
    (("threads",), 0, ["`threads` is 0", "expected integer ≥ 1"]),
    (("seed",), -1, ["`seed` is -1", "expected integer ≥ 0"]),
    (("seed",), 1.5, ["`seed` is 1.5", "expected integer"]),
    (("device",), "gpu", ["`device` is 'gpu'", "expected one of auto, cpu, cuda"]),
    (("scales",), [], ["`scales` is []", "expected object"]),
    (("scales",), {}, ["`scales` is {}", "expected"]),
    (("scales", "mine"), None, ["`scales.mine` is None", "expected object"]),
    (("scales", "My-Scale"), {}, ["My-Scale", "a name of small letters, digits and _, a letter first"]),
    (("scales", "../x"), {}, ["../x", "a name of small letters"]),
    ((*PRESET, "optimiser"), "sgd", ["`scales.laptop.optimiser` is 'sgd'", "expected one of adagrad, adam"]),
    ((*PRESET, "steps"), 10.5, ["`scales.laptop.steps` is 10.5", "expected integer ≥ 1"]),
    ((*PRESET, "steps"), 0, ["`scales.laptop.steps` is 0", "expected integer ≥ 1"]),
    ((*PRESET, "replicas"), 0, ["`scales.laptop.replicas` is 0", "expected integer ≥ 1"]),
    ((*PRESET, "learning_rate"), 0, ["`scales.laptop.learning_rate` is 0", "expected number > 0 and ≤ 10"]),
    ((*PRESET, "learning_rate"), float("nan"), ["`scales.laptop.learning_rate` is nan", "expected"]),
    ((*PRESET, "learning_rate"), float("inf"), ["`scales.laptop.learning_rate` is inf", "expected"]),
    ((*PRESET, "initial_accumulator"), float("inf"), ["accumulator` is inf", "expected a finite number"]),
    ((*PRESET, "grid"), "thick", ["`scales.laptop.grid` is 'thick'", "one of the names under `grids`: full, thin"]),
    ((*SWEEP, "betas"), [], ["`scales.laptop.sweep.betas` is []", "a list", "1"]),
    ((*SWEEP, "betas"), [1, 4, 1.0], ["`scales.laptop.sweep.betas` is [1, 4, 1.0]", "a list without duplicates"]),
    ((*SWEEP, "betas"), [1, 0], ["`scales.laptop.sweep.betas.1` is 0", "expected number > 0"]),
    ((*SWEEP, "betas"), [-1], ["`scales.laptop.sweep.betas.0` is -1", "expected number > 0"]),
    ((*SWEEP, "betas"), [float("nan")], ["`scales.laptop.sweep.betas.0` is nan", "expected a finite number"]),
    ((*SWEEP, "betas"), [float("inf")], ["`scales.laptop.sweep.betas.0` is inf", "expected a finite number"]),
    ((*SWEEP, "betas"), 4, ["`scales.laptop.sweep.betas` is 4", "expected array"]),
    ((*SWEEP, "latents"), [10, 10], ["`scales.laptop.sweep.latents` is [10, 10]", "a list without duplicates"]),
    ((*PRESET, "continuity", "stride"), [1], ["continuity.stride.0` is 1", "expected integer ≥ 2 and ≤ 31"]),
    ((*PRESET, "continuity", "noise", "levels"), [0.6], ["noise.levels.0` is 0.6", "number ≥ 0 and ≤ 0.5"]),
    ((*PRESET, "continuity", "noise", "strides"), {"posZ": 2}, ["unknown key `posZ`", "orientation, posX, posY"]),
    (("scale",), "huge", ["`scale` is 'huge'", "expected one of smoke, laptop, paper, strict"]),
    (("scales", "figures"), {}, ["`figures`", "results/figures is used for something else"]),
    (("original_dataset",), "/no/such/file.npz", ["`original_dataset` is '/no/such/file.npz'", "(.npz, .hdf5 or .h5)"]),
    (("original_dataset",), 7, ["`original_dataset` is 7", "expected string or null"]),
    (("measures", "dead"), 2, ["`measures.dead` is 2", "expected number ≥ 0 and ≤ 1"]),
    (("measures", "mig", "bin"), 2, ["unknown key `bin`", "`measures.mig`", "did you mean `bins`?"]),
    (("measures", "dci", "trees"), 0, ["`measures.dci.trees` is 0", "expected integer ≥ 1"]),
    (("measures", "factors"), ["posX"], ["`measures.factors` is ['posX']", "a list with 2 or more values"]),
    (("measures", "explicitness", "penalty"), 0, ["`measures.explicitness.penalty` is 0", "expected number > 0"]),
    (("calibration", "pairs"), [], ["`calibration.pairs` is []", "a list", "1"]),
    (("choose_beta", "points"), [2], ["`choose_beta.points.0` is 2", "expected integer ≥ 3"]),
    (("choose_beta", "factors"), [["posX"]], ["`choose_beta.factors.0` is ['posX']", "a list with 2 or more values"]),
    (("choose_beta", "factors"), [["posX", "hue"]], ["`choose_beta.factors.0.1` is 'hue'", "one of shape, scale"]),
    ((*PRESET, "early_beta", "gone"), 0.1, ["`scales.laptop.early_beta.gone` is 0.1", "expected 0.2 or more"]),
    (
        (*PRESET, "dcign", "curriculum", "posX", "to"),
        500,
        ["`scales.laptop.dcign.curriculum.posX.to` is 500", "expected 600 or more"],
    ),
    (("representations", "no_rotation"), "x.h5", ["`representations` is 'no_rotation'", "no model of this workflow"]),
    (("pictures", "hold_out", "width"), 9, ["`pictures.hold_out.width` is 9", "a class below 3", "the scale smoke"]),
    (("pictures", "standin_chairs", "arms"), 1, ["`pictures.hold_out.arms` is 1", "a class below 1"]),
    (("choose_beta", "one_factor"), 1.5, ["`choose_beta.one_factor` is 1.5", "expected number > 0 and ≤ 1"]),
]


@pytest.mark.parametrize(("path", "value", "named"), REFUSED, ids=lambda x: ".".join(x) if type(x) is tuple else "")
def test_a_mistake_is_refused_in_one_line_that_names_key_value_and_what_is_allowed(config, path, value, named):
    put(config, path, value)
    with pytest.raises(UserError) as refusal:
        check(config)
    message = str(refusal.value)
    assert message.startswith("config: ")
    assert "\n" not in message
    for part in named:
        assert part in message


@pytest.mark.parametrize("key", ["scales", "metrics"])
def test_a_missing_part_is_named(config, key):
    del config[key]
    with pytest.raises(UserError, match=f"lacks the key `{key}`"):
        check(config)


def test_a_preset_without_sweep_or_factors_has_the_defaults(config):
    config["scales"]["mine"] = {"sweep": {"betas": [3]}}
    checked = check(config)
    assert checked["scales"]["mine"]["sweep"] == {"betas": [3], "latents": [5, 10, 15, 20, 40, 80], "replicas": 3}


def test_an_almost_empty_config_is_the_papers_protocol(config):
    almost = {
        "scale": "mine",
        "scales": {"mine": {}},
        "metrics": {name: {"classifier": {}} for name in config["metrics"]},
    }
    almost["metrics"]["zdiff"]["classifier"]["kind"] = "adagrad"
    almost["metrics"]["disentanglement_lib"]["classifier"]["kind"] = "converged"
    checked = check(almost)
    preset, metric = checked["scales"]["mine"], checked["metrics"]["zdiff"]
    full = check(config)["scales"]
    assert preset == full["strict"]
    ours = {key: value for key, value in full["paper"].items() if preset[key] != value}
    assert ours == {"early_beta": {"times": 10, "hold": 0.002, "gone": 0.0025}, "initial_logit": -3.2}
    # Table 1 and section 3 (paper.md)
    expected = {"grid": "full", "width": 1200, "latents": 10, "optimiser": "adagrad", "learning_rate": 0.01}
    assert expected.items() <= preset.items()
    assert preset["replicas"] == 10
    # None of what a smaller scale may do otherwise (ours).
    assert {"anneal": 0, "initial_logvar": 0, "initial_logit": 0, "precision": "float32"}.items() <= preset.items()
    assert preset["early_beta"]["times"] == 1
    assert preset["pixel_rate"] == {"reading": 1, "drawing": 1}
    ours = {
        "initial_logvar": 0,
        "initial_logit": 0,
        "anneal": 0,
        "curriculum": {},
        "clamp": "mean",
        "invariance_times": {},
    }
    assert ours.items() <= preset["dcign"].items()
    assert (metric["test_points"], metric["classifier_seeds"], metric["keep"]) == (5000, 3, 0.5)
    assert set(metric["factors"]) == {"posX", "posY", "scale", "orientation"}
    assert metric["classifier"]["learning_rate"] == 0.01
    assert metric == config["metrics"]["zdiff"]
    assert checked["choose_beta"] == config["choose_beta"]
    assert (checked["device"], checked["seed"], checked["original_dataset"]) == ("auto", 0, None)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        (("threads",), "5", 5),
        (("seed",), "12", 12),
        ((*PRESET, "learning_rate"), "0.001", 0.001),
        ((*PRESET, "learning_rate"), "1e-3", 0.001),
        ((*SWEEP, "betas"), ["1", "4"], [1, 4]),
        ((*SWEEP, "betas"), "[0.5, 4]", [0.5, 4]),
        ((*SWEEP, "latents"), ["10"], [10]),
        (("metrics", "zdiff", "pairs"), "28", 28),
        (("metrics", "zdiff", "classifier", "steps"), "500", 500),
    ],
    ids=str,
)
def test_strings_of_the_command_line_are_read_as_the_numbers_they_are(config, path, text, value):
    put(config, path, text)
    found = check(config)
    for key in path:
        found = found[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "allowed"), [("5.5", "integer"), ("", "integer"), ("nan", "integer"), ("true", "integer")]
)
def test_a_string_that_is_no_whole_number_is_refused_for_one(config, text, allowed):
    config["threads"] = text
    with pytest.raises(UserError, match=f"`threads` is .* expected {allowed}"):
        check(config)


def test_an_original_that_exists_is_accepted(config, tmp_path):
    path = tmp_path / "dsprites.npz"
    path.touch()
    assert check(config | {"original_dataset": str(path)})["original_dataset"] == str(path)


# Documentation ----------------------------------------------------------------------------------------


def settings_of(node, path=()):
    """(path, line) of every key of config.yaml whose value is no mapping; names that users choose count as one."""
    for key, value in node.value:
        own = (*path, "*" if path in [("scales",), ("grids",), ("metrics",)] else key.value)
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from settings_of(value, own)
        else:
            yield own, key.start_mark.line


def test_every_setting_of_the_config_is_explained_where_it_first_stands():
    text = CONFIG_FILE.read_text(encoding="utf-8")
    lines, seen, bare = text.splitlines(), set(), []
    for path, line in settings_of(yaml.compose(text)):
        if path not in seen and not re.search(r"# \w", lines[line]):
            bare.append(".".join(path))
        seen.add(path)
    assert len(seen) > 40
    assert bare == []


def properties(schema, root, place=""):
    """(place, schema) of every property in a schema, the two branches of an if merged into what stands beside it."""
    branches = [schema.get(branch, {}).get("properties", {}) for branch in ("then", "else")]
    own = schema.get("properties", {})
    for name in {**own, **branches[0], **branches[1]}:
        for found in [b[name] for b in branches if name in b] or [own[name]]:
            yield f"{place}.{name}", resolve(found, root) | {k: v for k, v in found.items() if k != "$ref"}
            yield from properties(resolve(found, root), root, f"{place}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from properties(resolve(schema["additionalProperties"], root), root, f"{place}.*")


def test_every_property_of_the_schema_is_described_and_typed():
    schema = load_schema()
    found = list(properties(schema, schema))
    assert len(found) > 40
    assert [place for place, own in found if len(own.get("description", "")) < 4] == []
    assert [place for place, own in found if not {"type", "enum", "const"} & own.keys()] == []
