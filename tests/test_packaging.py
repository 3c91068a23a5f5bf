import itertools
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CALLED_IN_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def normalised(name):
    """A distribution's name as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def listed(project):
    """The direct dependencies, the optional ones among them."""
    return [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]


@pytest.fixture(scope="module")
def pins(listed):
    """Name and version of each direct dependency."""
    return {normalised(name): version for name, _, version in (line.partition("==") for line in listed)}


def test_every_dependency_is_pinned_to_one_version(listed):
    assert [line for line in listed if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []


def test_the_conda_environment_has_the_versions_of_pyproject(pins):
    listed = yaml.safe_load((ROOT / "envs" / "betavae.yaml").read_text(encoding="utf-8"))["dependencies"]
    in_conda = dict(line.split(maxsplit=1) for line in listed if not line.startswith("python "))
    in_pip = {normalised(conda): pip for pip, conda in CALLED_IN_CONDA.items()}
    assert len(in_conda) > 5
    assert in_conda == {name: f"={pins[in_pip.get(normalised(name), normalised(name))]}" for name in in_conda}


def test_the_conda_environment_has_all_that_the_jobs_import(pins):
    # The steps run in it; Snakemake itself, and what checks the config, run outside.
    outside = {"snakemake", "jsonschema", "pyyaml"}
    text = (ROOT / "envs" / "betavae.yaml").read_text(encoding="utf-8")
    imported = set()
    for path in (ROOT / "workflow" / "betavae").glob("*.py"):
        imported |= set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    distributions = {"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "markdown_it": "markdown-it-py"}
    used = {distributions.get(name, name) for name in imported} & pins.keys() - outside
    assert {"torch", "numpy", "h5py", "scikit-learn"} <= used
    assert [name for name in sorted(used) if f"- {CALLED_IN_CONDA.get(name, name)} " not in text] == []


def test_every_direct_dependency_stands_in_the_lock_file(pins):
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))
    locked = {normalised(name): version.partition("+")[0] for name, version in locked.items()}
    assert {name: locked.get(name) for name in pins} == pins
