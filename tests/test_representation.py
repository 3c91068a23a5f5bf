"""A user's own representation: what is refused, and that a good file goes through the workflow as any model does."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from betavae.__main__ import run
from betavae.codes import StoredCodes
from betavae.config import check
from betavae.errors import UserError
from betavae.factors import FactorGrid
from test_workflow import TINY, last_line, snakemake

SETTINGS = '{"scale": "tiny", "grid": "small"}'


def step(data: Path, folder: Path, file: Path) -> int:
    """The exit status of the step that reads the user's file."""
    options = {"representation": file, "dataset": data / "dsprites.h5", "codes": folder / "codes.h5"}
    arguments = [word for name, path in options.items() for word in (f"--{name}", str(path))]
    return run(["representation", *arguments, "--settings", SETTINGS])


def holding(array, name="mean", **options):
    """Write an HDF5 file with this array."""

    def write(path, images):
        with h5py.File(path, "w") as file:
            file.create_dataset(name, data=array(images), **options)

    return write


def noise(*shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def with_one(value, dtype=np.float32):
    def array(images):
        codes = noise(2, images, 3, dtype=dtype)
        codes[1, 5, 2] = value
        return codes

    return array


def text(path, images):
    path.write_text("0.1 0.2 0.3")


def numpy_file(path, images):
    with path.open("wb") as file:
        np.save(file, noise(images, 3))


def empty(path, images):
    path.write_bytes(b"")


def cut_short(path, images):
    holding(lambda images: noise(images, 3))(path, images)
    path.write_bytes(path.read_bytes()[:3000])


def damaged(path, images):
    holding(lambda images: noise(images, 3), compression="gzip")(path, images)
    whole = bytearray(path.read_bytes())
    whole[-4000:-100] = bytes(3900)
    path.write_bytes(whole)


def nothing_in_it(path, images):
    h5py.File(path, "w").close()


def a_link_to_nowhere(path, images):
    with h5py.File(path, "w") as file:
        file["mean"] = h5py.ExternalLink("gone.h5", "/mean")


def no_numbers(path, images):
    with h5py.File(path, "w") as file:
        file["mean"] = h5py.Empty(np.float32)


REFUSED = {
    "text": (text, ["not readable (", "), expected an HDF5 file with a float32 array /mean"]),
    "npy": (numpy_file, ["not readable (", "), expected an HDF5 file with a float32 array /mean"]),
    "empty": (empty, ["not readable (", "), expected an HDF5 file with a float32 array /mean"]),
    "cut short": (cut_short, ["not readable (", "), expected an HDF5 file with a float32 array /mean"]),
    "damaged": (damaged, ["not readable (", "), expected an HDF5 file with a float32 array /mean"]),
    "a folder": (
        lambda path, images: path.mkdir(),
        ["not readable (", "), expected an HDF5 file with a float32 array /mean"],
    ),
    "link to nowhere": (a_link_to_nowhere, ["mean", "expected an"]),
    "nothing in it": (nothing_in_it, ["holds nothing, expected an array /mean"]),
    "no /mean": (holding(lambda images: noise(images, 3), "codes"), ["holds 'codes', expected an array /mean"]),
    "a group": (holding(lambda images: noise(images, 3), "mean/all"), ["/mean is a group, expected (images, M)"]),
    "no numbers": (no_numbers, ["/mean has shape ()", "expected (images, M)"]),
    "whole numbers": (holding(lambda images: np.ones((images, 3), int)), ["/mean holds int64, expected float32"]),
    "words": (holding(lambda images: np.full((images, 3), b"a")), ["/mean holds |S1, expected float32"]),
    "one axis": (holding(lambda images: noise(images)), ["/mean has shape (1344,), expected (images, M)"]),
    "four axes": (holding(lambda images: noise(1, 1, images, 3)), ["/mean has shape (1, 1, 1344, 3), expected"]),
    "no latents": (holding(lambda images: noise(images, 0)), ["/mean has shape (1344, 0), expected"]),
    "no replicas": (holding(lambda images: noise(0, images, 3)), ["/mean has shape (0, 1344, 3), expected"]),
    "other images": (holding(lambda images: noise(99, 3)), ["so 99 images", "expected", "with 1344 images"]),
    "transposed": (holding(lambda images: noise(3, images)), ["so 3 images", "expected", "with 1344 images"]),
    "NaN": (holding(with_one(np.nan)), ["is nan at replica 1, image 5, latent 2, expected finite"]),
    "infinite": (holding(with_one(-np.inf)), ["is -inf at replica 1, image 5, latent 2, expected finite"]),
    "too large": (holding(with_one(1e300, np.float64)), ["is inf at replica 1, image 5, latent 2, expected finite"]),
    "constant": (holding(lambda images: np.ones((images, 3), np.float32)), ["zero variance: replica 0", "expected"]),
}


@pytest.mark.parametrize(("make", "said"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_file_is_refused_with_file_what_was_found_and_what_was_expected(
    data, grid, tmp_path, capfd, make, said
):
    file = tmp_path / "mine.h5"
    make(file, grid.images)
    assert step(data, tmp_path, file) == 1
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"betavae representation: {file}: ")
    assert line.endswith("(scale tiny, grid small)")
    for part in said:
        assert part in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine.h5"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("replicas", [(), (2,)])
def test_a_good_file_becomes_a_codes_file(data, grid, tmp_path, monkeypatch, dtype, replicas):
    monkeypatch.setattr("betavae.representation.CHUNK", 1000)  # in several parts
    codes = noise(*replicas, grid.images, 3, dtype=dtype)
    holding(lambda images: codes)(tmp_path / "mine.h5", grid.images)
    assert step(data, tmp_path, tmp_path / "mine.h5") == 0
    stored = StoredCodes(tmp_path / "codes.h5", grid.images)
    assert stored.replicas == (replicas or (1,))[0]
    for replica in range(stored.replicas):
        expected = codes[replica] if replicas else codes
        np.testing.assert_array_equal(stored.codes(replica), expected.astype(np.float32))
    assert stored.attributes["scale"] == "tiny"


def test_a_latent_that_says_nothing_beside_others_is_let_through(data, grid, tmp_path):
    codes = noise(grid.images, 3) * np.float32([1, 0, 1])
    holding(lambda images: codes)(tmp_path / "mine.h5", grid.images)
    assert step(data, tmp_path, tmp_path / "mine.h5") == 0


# The config -------------------------------------------------------------------------------------------

NAMES = {
    "beta4": "'beta4', expected one that no model of this workflow has",
    "beta7.5": "small letters, digits and _",
    "beta7_z3": "'beta7_z3', expected one that no model",
    "pca": "'pca', expected one that no model",
    "raw_pixels": "'raw_pixels', expected one that no model",
    "dcign": "'dcign', expected one that no model",
    "Mine": "'Mine', expected a name of small letters, digits and _, a letter first",
    "my-codes": "'my-codes', expected a name of small letters",
    "../mine": "'../mine', expected a name of small letters",
    "a b": "'a b', expected a name of small letters",
    "$(touch pwned)": "'$(touch pwned)', expected a name of small letters",
    "mine\n": "expected a name of small letters",
    "": "'', expected a name of small letters",
    7: "7, expected string",
}


@pytest.mark.parametrize(("name", "said"), NAMES.items())
def test_a_name_that_is_taken_or_no_plain_word_is_refused(config, tmp_path, name, said):
    (tmp_path / "codes.h5").touch()
    config["representations"] = {name: str(tmp_path / "codes.h5")}
    with pytest.raises(UserError, match=r"^config: .*`representations`") as refusal:
        check(config)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("path", ["gone.h5", "", "."])
def test_a_path_without_a_file_is_refused(config, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    config["representations"] = {"mine": path}
    with pytest.raises(
        UserError, match=rf"`representations.mine` is '{path}' and no such file exists, seen from {tmp_path}"
    ):
        check(config)


@pytest.mark.parametrize("path", ["{model}.h5", "a}b.h5", "a\nb.h5"])
def test_a_path_that_snakemake_would_read_as_something_else_is_refused(config, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path(path).touch()
    config["representations"] = {"mine": path}
    with pytest.raises(
        UserError, match=r"^config: `representations.mine` is .*expected a path without braces"
    ) as refusal:
        check(config)
    assert "\n" not in str(refusal.value)


# The workflow -----------------------------------------------------------------------------------------

# Such a name must come through as it is, not read by the shell.
FILE = "own codes/mine $(touch pwned) 'x'; \"y\".h5"


def overlay(folder: Path, **settings) -> list[str]:
    """Arguments for a run with these settings over those of the tests' scale."""
    (folder / "mine.yaml").write_text(yaml.safe_dump(settings))
    return ["--configfile", str(TINY), str(folder / "mine.yaml")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where snakemake runs, with a file of the true factors and one with a NaN."""
    folder = tmp_path_factory.mktemp("own")
    (folder / FILE).parent.mkdir()
    values = FactorGrid.thinned(yaml.safe_load(TINY.read_text())["grids"]["tiny"]).factor_values().astype(np.float32)
    holding(lambda _: values / values.max(0))(folder / FILE, len(values))
    values[3, 1] = np.nan
    holding(lambda _: values)(folder / "nan.h5", len(values))
    return folder


def test_the_true_factors_score_one_through_the_workflow_and_stand_in_table_2(folder):
    # Few points, but a classifier that is left to converge.
    metric = {"pairs": 20, "classifier": {"steps": 3000, "learning_rate": 0.5}}
    only = {"scales": {"tiny": {"replicas": 1}}, "metrics": {"zdiff": metric}}
    arguments = overlay(folder, representations={"mine": FILE}, **only)
    run = snakemake(folder, "--cores", "1", "results/metric_mine.json", "results/tiny/readout/mine.json", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    score = json.loads((folder / "results/metric_mine.json").read_text())
    assert (score["model"], score["score_mean"], score["paper"]) == ("mine", 1.0, None)
    assert score["settings"]["representation"] == {"file": FILE}
    assert json.loads((folder / "results/tiny/readout/mine.json").read_text())["mean"]["posX"] > 0.9
    assert not list(folder.rglob("pwned"))


def test_the_users_own_stand_in_all_tables(folder):
    arguments = overlay(folder, representations={"mine": FILE})
    run = snakemake(folder, "--cores", "1", "--dry-run", "--printshellcmds", "all", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    commands = (run.stdout + run.stderr).splitlines()
    for step, part in (("figure6_left", "metrics/zdiff/mine.json"), ("table2", "readout/mine.json")):
        assert any(f"-m betavae {step} " in line and part in line for line in commands), step


def test_a_file_with_nan_ends_the_run_with_a_line_and_without_a_score(folder):
    arguments = overlay(folder, representations={"broken": "nan.h5"})
    run = snakemake(folder, "--cores", "1", "results/metric_broken.json", *arguments)
    assert run.returncode != 0
    said = (
        "betavae representation: nan.h5: /mean is nan at replica 0, image 3, latent 1, expected finite float32 numbers"
    )
    assert said in run.stdout + run.stderr
    assert not (folder / "results/metric_broken.json").exists()
    assert not (folder / "results/tiny/codes/broken.h5").exists()


@pytest.mark.parametrize(
    ("representations", "said"),
    [
        ({"mine": "gone.h5"}, ["representations.mine", "'gone.h5'", "expected the path of a codes file"]),
        ({"pca": "nan.h5"}, ["representations", "'pca'", "expected one that no model"]),
        ({"a;b": "nan.h5"}, ["representations", "'a;b'", "small letters"]),
    ],
)
def test_a_wrong_entry_in_the_config_stops_before_any_job_in_the_last_line(folder, representations, said):
    run = snakemake(folder, "--cores", "1", "--dry-run", "all", *overlay(folder, representations=representations))
    assert run.returncode != 0
    assert all(word in last_line(run) for word in said), last_line(run)


def test_figure_6_has_the_users_own_below_the_papers_rows(tmp_path):
    from betavae.figure6_left import table_rows

    score = {"score_mean": 0.5, "score_std": 0.01, "scores": [[0, 0, 0.5]], "diverged": []}
    rows = table_rows({"mine": score, "pca": score})
    assert [row["model"] for row in rows][-2:] == ["β-VAE", "mine"]
    assert rows[-1]["ours (%)"] == "50.00 ± 1"
    assert (rows[-1]["paper (%)"], rows[-1]["grade"]) == ("", "")
    assert len({tuple(row) for row in rows}) == 1  # the same columns, for the CSV
