"""Targets that nothing makes: the one line that says what there is."""

import re
import sys

import pytest

from betavae.targets import on_command_line, refusal, refuse_unknown

RULES = {
    "all": [],
    "figure9": ["results/figures/figure9.png", "results/figures/figure9.pdf"],
    "history": ["results/figures/history_{model,beta[0-9]+|dcign}.png"],
    "pictures": ["results/figures/{figure,figure1|figure2}.pdf"],
    "publish_score": ["results/metric_{model}.json"],
    "publish_library": ["results/library/metric_{model}.json"],
    "train": ["results/{scale,smoke|laptop}/models/{model}.safetensors"],
}
MADE = r"results/(figures/figure9\.(png|pdf)|figures/history_(beta[0-9]+|dcign)\.png|(library/)?metric_\w+\.json)"


def made(path):
    return re.fullmatch(MADE, path) is not None


def refused(target):
    return refusal(target, RULES, made)


@pytest.mark.parametrize("target", ["all", "figure9", "results/figures/figure9.png", "results/metric_pca.json"])
def test_a_rule_and_a_file_that_one_makes_are_taken(target):
    assert refused(target) is None


def test_a_model_that_has_no_such_file_is_named_and_those_that_have():
    assert refused("results/figures/history_pca.png") == (
        "results/figures/history_pca.png: there is no results/figures/history_{model}.png of 'pca'; "
        "allowed: beta<number>, dcign"
    )


def test_a_rule_that_makes_files_by_name_is_refused_with_such_a_name():
    assert refused("history") == (
        "history: makes files by name; expected a file's name, as in results/figures/history_{model}.png"
    )


@pytest.mark.parametrize(
    ("target", "nearest"),
    [
        ("results/figures/figure8.png", "results/figures/figure9.png, results/figures/figure9.pdf"),
        ("figure9.png", "results/figures/figure9.png, "),
        ("figur9", "figure9"),
        (
            "results/figures/figure3.pdf",
            "results/figures/figure9.pdf, results/figures/figure2.pdf, results/figures/figure1.pdf",
        ),
        ("results/metric_beta7", "results/metric_{model}.json"),
        ("metric_beta4", "results/metric_{model}.json"),
        ("resutls/metric_beta7.json", "results/metric_{model}.json"),
    ],
)
def test_what_is_nearest_is_named(target, nearest):
    assert f"{target}: no rule is called so or makes such a file; nearest: {nearest}" in refused(target)


def test_where_nothing_is_near_the_list_is_named():
    assert refused("blah") == "blah: no rule is called so or makes such a file; README.md lists what there is"


def test_an_unknown_target_ends_the_run_unless_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^here\.txt: no rule"):
        refuse_unknown(["all", "here.txt"], RULES, made)
    (tmp_path / "here.txt").touch()
    refuse_unknown(["./here.txt", "./results/metric_pca.json", "all"], RULES, made)  # refuses by raising


@pytest.mark.parametrize("called", ["/bin/snakemake", "/lib/snakemake/__main__.py"])
def test_targets_are_what_is_no_option_on_snakemakes_command_line(monkeypatch, called):
    words = ["--cores", "2", "figure6", "results/metric_pca.json", "--config", "scale=smoke", "seed=1", "-n"]
    monkeypatch.setattr(sys, "argv", [called, *words])
    assert on_command_line() == ["figure6", "results/metric_pca.json"]


def test_another_programs_command_line_has_none(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/other", "figure6"])
    assert on_command_line() == []
