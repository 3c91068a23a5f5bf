"""Nothing from elsewhere runs as code: no file that is read, no name, no path."""

import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml

from running import ROOT, TINY, last_line, snakemake

PACKAGE = ROOT / "workflow" / "betavae"
# What runs what it reads.
FORBIDDEN = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}


def calls(path):
    """Every call in a module: its name as written, and its keyword arguments."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_no_module_runs_what_it_reads(path):
    imported = re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not FORBIDDEN_MODULES & set(imported)
    for name, words in calls(path):
        assert name not in FORBIDDEN
        assert words.get("shell", "False") == "False"
        if name == "torch.load":
            assert words.get("weights_only") == "True"
        if name.endswith(("np.load", "open_memmap", "read_array")):
            assert words.get("allow_pickle", "False") == "False"
        if name == "np.load":
            assert words["allow_pickle"] == "False"


def rules():
    """(rule, its text) of all rule files."""
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        parts = re.split(
            r"^(?:use )?rule (?:\w+ as )?(\w+)(?: with)?:", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        yield from zip(parts[1::2], parts[2::2], strict=True)


RULES = dict(rules())
# Inputs that lie where a user says, and settings that hold whatever a config says: quoted in every shell text.
FOREIGN = {"representation": ["input.representation"], "import_pictures": ["input.source"]}
# Parts of a command line, quoted where they are put together.
ASSEMBLED = {
    *("params.original", "params.decoder", "params.representation", "params.crop", "params.checkpoints"),
    *("params.score", "params.scores"),
}
# One word each, by schema.
WORDS = {"params.scale", "params.device", "params.broken", "params.name", "threads"}


@pytest.mark.parametrize("rule", RULES)
def test_what_comes_from_elsewhere_is_quoted_in_the_shell(rule):
    shell = RULES[rule].partition("shell:")[2].partition("\n\n\n")[0]  # the last directive of a rule
    for name in re.findall(r"\{([^{}:]+)\}", shell):
        assert name not in FOREIGN.get(rule, [])
        assert name in ASSEMBLED | WORDS or re.match(r"(input|output|log|resources|wildcards)\b", name), name
    assert all(f"{{{name}:q}}" in shell for name in FOREIGN.get(rule, []))


def test_names_of_models_are_words_for_a_shell_unless_a_rule_refuses_them_itself():
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    for wildcard in ("model", "point"):
        assert f'{wildcard}="[A-Za-z0-9_.]+"' in text
    free = {rule for rule, body in RULES.items() if '"[^/]+"' in body}
    # Each of them asks `plan.known`, `plan.pictured` or the parsers of `names` before it has inputs.
    assert free == {"publish_score", "publish_sweep", "publish_continuity", "figure7", "traversal"}


INJECTIONS = [
    "results/metric_$(touch pwned).json",
    "results/metric_`touch pwned`.json",
    "results/metric_beta4;touch pwned;.json",
    "results/metric_beta4 && touch pwned.json",
    "results/metric_it's.json",
    'results/metric_"x".json',
    "results/metric_{model}.json",
    "results/sweep/metric_$(touch pwned)_z5.json",
    "results/continuity/metric_stride4;touch pwned.json",
    "results/figures/figure7_$(touch pwned).png",
    "results/figures/traversal_| touch pwned.gif",
    "results/figures/compare_beta1-$(touch pwned).png",
    "results/tiny/metrics/zdiff/$(touch pwned).json",
    "results/tiny/measures/a b.json",
    "results/tiny/continuity/distance_$(touch pwned).json",
    "results/../../metric_beta4.json",
    "../results/metric_beta4.json",
]


@pytest.mark.parametrize("target", INJECTIONS)
def test_a_target_that_is_meant_for_a_shell_is_refused_and_named(tmp_path, target):
    # Codes of that name are there, so that a rule that took it would run.
    codes = tmp_path / "results" / "tiny" / "codes"
    codes.mkdir(parents=True)
    for name in ("$(touch pwned).h5", "a b.h5"):
        (codes / name).touch()
    run = snakemake(tmp_path, "--cores", "1", "--configfile", str(TINY), target)
    assert run.returncode != 0
    assert Path(target).stem.partition("_")[2].split("-")[-1] in last_line(run), last_line(run)
    assert not list(tmp_path.rglob("*pwned")) + list(ROOT.glob("pwned"))


CONFIGS = [
    (
        ["--config", "scale=$(touch pwned)"],
        ["`scale` is '$(touch pwned)'", "expected one of smoke, laptop, paper, strict"],
    ),
    (["--config", "scale=../data"], ["`scale` is '../data'", "expected one of"]),
    (["--config", "device=cpu;touch pwned"], ["`device` is 'cpu;touch pwned'", "expected one of auto, cpu, cuda"]),
    (["--config", "original_dataset=$(touch pwned).h5"], ["`original_dataset` is '$(touch pwned).h5'", "no such file"]),
    (["--config", "original_dataset=x{grid}.h5"], ["`original_dataset` is 'x{grid}.h5'", "without braces"]),
    (["--config", "original_dataset=x.txt"], ["`original_dataset` is 'x.txt'", "(.npz, .hdf5 or .h5)"]),
    ({"scales": {"x;touch pwned": {}}}, ["`scales` is 'x;touch pwned'", "a name of small letters"]),
    ({"scales": {"x\n": {}}}, ["`scales` is 'x\\n'", "a name of small letters"]),
    ({"grids": {"../x": {}}}, ["`grids` is '../x'", "a name of small letters"]),
    ({"representations": {"$(touch pwned)": "x.h5"}}, ["'$(touch pwned)'", "a name of small letters"]),
    ({"representations": {"mine": "$(touch pwned)/x.h5"}}, ["`representations.mine`", "no such file"]),
    ({7: "x"}, ["unknown key `7`", "allowed: calibration"]),
    ({"scales": {"laptop": {"sweep": {"betas": [1, "$(touch pwned)"]}}}}, ["betas.1` is '$(touch pwned)'", "number"]),
]


@pytest.mark.parametrize(("settings", "said"), CONFIGS, ids=lambda value: str(value)[:40])
def test_a_config_that_is_meant_for_a_shell_is_refused_before_any_job(tmp_path, settings, said):
    (tmp_path / "x{grid}.h5").touch()
    (tmp_path / "x.txt").touch()
    earlier = tmp_path / "results" / "metric_pca.json"
    earlier.parent.mkdir()
    earlier.write_text("an earlier result")
    if isinstance(settings, dict):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
        settings = ["--configfile", str(tmp_path / "mine.yaml")]
    run = snakemake(tmp_path, "--cores", "1", "results/metric_pca.json", *settings)
    assert run.returncode != 0
    assert last_line(run).startswith("config: ")
    assert all(part in last_line(run) for part in said), last_line(run)
    assert earlier.read_text() == "an earlier result"
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["metric_pca.json"]
    assert not list(tmp_path.rglob("*pwned*"))


def test_a_config_file_with_a_python_object_is_not_obeyed(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"scale: !!python/object/apply:os.system ['touch {tmp_path}/pwned']\n")
    run = snakemake(tmp_path, "--cores", "1", "results/metric_pca.json", "--configfile", str(tmp_path / "mine.yaml"))
    assert run.returncode != 0
    assert "not valid JSON or YAML" in last_line(run)
    assert not (tmp_path / "pwned").exists()


def test_a_checkout_and_a_folder_for_results_may_be_called_anything(tmp_path):
    odd = 'it\'s a "place" $(touch pwned); & co'
    checkout, folder = tmp_path / odd / "checkout", tmp_path / odd / "work"
    folder.mkdir(parents=True)
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, checkout / name)
    for path in (ROOT / "Snakefile", ROOT / "config.yaml", TINY):
        shutil.copy(path, checkout)
    arguments = [
        "--cores",
        "1",
        "--snakefile",
        str(checkout / "Snakefile"),
        "--configfile",
        str(checkout / "tiny.yaml"),
    ]
    run = snakemake(folder, "results/metric_ground_truth.json", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (folder / "results" / "metric_ground_truth.json").exists()
    assert not list(tmp_path.rglob("pwned"))
