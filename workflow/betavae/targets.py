"""Targets that no rule makes, refused before anything is planned: what was asked for, and what there is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from os.path import isabs, relpath
from pathlib import Path

from snakemake.cli import get_argument_parser

from betavae.names import NAMED_MODELS, beta_name, subset_name, sweep_name

NEAREST = 4  # how many of what there is are named
# What may stand for {model} in a file's name: what stands for all of a kind, and one of them.
MODELS = {
    "beta<number>": beta_name(4),
    **{name: name for name in NAMED_MODELS},
    "beta<number>_z<latents>": sweep_name(4, 5),
    "beta4_<subset>": subset_name("stride", 4),
}


def on_command_line() -> list[str]:
    """The targets that this process's command names, if it is Snakemake's: while it reads the Snakefile it does not
    tell them yet.
    """
    called = Path(sys.argv[0])
    if "snakemake" not in (called.name, called.parent.name):
        return []
    return sorted(get_argument_parser().parse_known_args(sys.argv[1:])[0].targets)


def allowed_models(pattern: str, made: Callable[[str], bool]) -> list[str]:
    """The models for which a rule makes files of this pattern, by kind."""
    return [kind for kind, one in MODELS.items() if made(pattern.replace("{model}", one))]


def asked_of(target: str, pattern: str) -> str | None:
    """What stands for {model} in a target that is of this pattern."""
    before, _, after = map(re.escape, pattern.partition("{model}"))
    found = re.fullmatch(f"{before}([^/]+){after}", target)
    return found[1] if found else None


def spelt_out(pattern: str) -> list[str]:
    """A pattern without what its wildcards may be; one that is any of a few words, as each of these."""
    if (found := re.search(r"\{(\w+),([\w|]+)\}", pattern)) and found[1] not in ("scale", "model"):
        return [one for word in found[2].split("|") for one in spelt_out(pattern.replace(found[0], word))]
    return [re.sub(r"\{(\w+),[^}]*\}", r"{\1}", pattern)]


def nearest(target: str, there: Iterable[str]) -> list[str]:
    """Those of what there is, names and patterns, that are most like a target."""
    examples = {pattern.replace("{model}", MODELS["beta<number>"]): pattern for pattern in there}
    # By the last part as well, of those that share one the shortest: a folder or an ending is easily left out.
    ends = {Path(example).name: example for example in sorted(examples, key=len, reverse=True)}
    found = [ends[end] for end in ends if end.startswith(Path(target).stem)]
    found += get_close_matches(target, examples, NEAREST, 0.8)
    found += [ends[end] for end in get_close_matches(Path(target).name, ends, NEAREST, 0.75)]
    return [examples[example] for example in dict.fromkeys(found)][:NEAREST]


def refusal(target: str, rules: Mapping[str, Iterable[str]], made: Callable[[str], bool]) -> str | None:
    """Why a target is refused, in one line; none where a rule is called so or makes such a file.

    rules: of each its outputs, wildcards in braces; made: whether any rule makes a file.
    """
    outputs = {name: [one for own in patterns for one in spelt_out(own)] for name, patterns in rules.items()}
    if target in rules:
        varying = [pattern for pattern in outputs[target] if "{" in pattern]
        return f"{target}: makes files by name; expected a file's name, as in {varying[0]}" if varying else None
    if made(target):
        return None
    patterns = [pattern for own in outputs.values() for pattern in own]
    for pattern in patterns:
        if pattern.count("{") == 1 and (model := asked_of(target, pattern)):
            allowed = ", ".join(allowed_models(pattern, made))
            return f"{target}: there is no {pattern} of {model!r}; allowed: {allowed}"
    public = [name for name, own in outputs.items() if not any("{" in pattern for pattern in own)]
    near = nearest(target, [*public, *(pattern for pattern in patterns if "{scale}" not in pattern)])
    like = f"nearest: {', '.join(near)}; " if near else ""
    return f"{target}: no rule is called so or makes such a file; {like}README.md lists what there is"


def refuse_unknown(targets: Iterable[str], rules: Mapping[str, Iterable[str]], made: Callable[[str], bool]) -> None:
    """End, with one line, where a target is neither a rule's name, nor a file that one makes or that is there."""
    for target in targets:
        named = target if isabs(target) or target in rules else relpath(target)
        if (why := refusal(named, rules, made)) and not Path(named).exists():
            sys.exit(why)
