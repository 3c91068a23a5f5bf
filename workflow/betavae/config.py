"""Check the config against its schema, with messages that name the key, what it is and what it may be."""

from __future__ import annotations

import contextlib
import copy
import difflib
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from betavae.errors import UserError
from betavae.names import BLIND_SPOT, NAMED_MODELS
from betavae.paper import FIGURE6_LEFT
from betavae.picture_plan import PICTURE, SETS, check_sets

SCHEMA = Path(__file__).parent.parent / "schemas" / "config.schema.yaml"
# Folders of results/ that no scale may be called.
RESERVED = (
    "data",
    "figures",
    "tables",
    "sweep",
    "continuity",
    "logs",
    "benchmarks",
    "disentanglement_lib",
    "reproduce_paper",
    *SETS,
)

ORIGINALS = (".npz", ".hdf5", ".h5")  # how the name of the original dSprites file may end
ORIGINAL = "the original dSprites file (.npz, .hdf5 or .h5)"


@cache
def load_schema() -> dict[str, Any]:
    """The JSON schema of the config, read once; not to be changed."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def subschemas(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The keys or indices of `value` with the schema of what stands there ($ref and if/then/else resolved)."""
    if isinstance(value, dict):
        properties = dict(schema.get("properties", {}))
        if "if" in schema:
            branch = "then" if Draft202012Validator(schema["if"]).is_valid(value) else "else"
            properties |= schema[branch]["properties"]
        others = schema.get("additionalProperties")
        for key in dict.fromkeys([*value, *properties]):  # in order: the order of keys stands in the jobs' params
            found = properties.get(key, others)
            if isinstance(found, dict):
                yield key, resolve(found, root)
    elif isinstance(value, list) and "items" in schema:
        for index in range(len(value)):
            yield index, resolve(schema["items"], root)


def resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema that a $ref points to, under what stands beside the $ref; or the schema itself."""
    if "$ref" not in schema:
        return schema
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}


def complete(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """`value` with the schema's defaults filled in, and the strings of `--config` read as the numbers that they are."""
    kinds = schema.get("type", [])
    if isinstance(value, str) and kinds != "string" and "string" not in kinds:
        read = value
        if value:
            with contextlib.suppress(yaml.YAMLError):
                read = yaml.safe_load(value)
        if isinstance(read, str) and kinds == "number":
            with contextlib.suppress(ValueError):
                read = float(read)  # YAML takes 1e-3 for a word
        value = read if isinstance(read, int | float | list | dict) else value
    for key, found in subschemas(value, schema, root):
        if isinstance(value, dict) and key not in value:
            if "default" not in found:
                continue
            value[key] = copy.deepcopy(found["default"])
        value[key] = complete(value[key], found, root)
    return value


def expectation(error: ValidationError) -> str:
    """What the schema allows where `error` was found, in words."""
    schema = error.schema
    if error.validator == "minItems":
        return f"a list with {error.validator_value} or more values"
    if error.validator == "maxItems":
        return f"a list with {error.validator_value} or fewer values"
    if error.validator == "uniqueItems":
        return "a list without duplicates"
    if error.validator == "pattern":
        return "a name of small letters, digits and _, a letter first"
    return valid_range(schema)


def valid_range(schema: dict[str, Any]) -> str:
    """What a setting may be, in words: its kind and its limits, `integer ≥ 1`."""
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    kinds = schema.get("type", "a value")
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds["multipleOf"] = "a multiple of"
    limits = " and ".join(f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema)
    return f"{words} {limits}".strip()


def places(key: str, schema: dict[str, Any], root: dict[str, Any], above: str = "") -> Iterator[str]:
    """Where the schema has a key of this name, with the keys above it: `scales.<name>.steps`."""
    schema = resolve(schema, root)
    for name, inner in schema.get("properties", {}).items():
        if name == key:
            yield above + name
        yield from places(key, inner, root, f"{above}{name}.")
    if isinstance(others := schema.get("additionalProperties"), dict):
        yield from places(key, others, root, f"{above}<name>.")


def message(error: ValidationError, root: dict[str, Any]) -> str:
    """One line for a person about one violation of the schema `root`."""
    place = ".".join(map(str, error.absolute_path))
    where = f"`{place}`" if place else "the config"
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in allowed)
        near = difflib.get_close_matches(str(unknown), allowed, n=1)
        if not near and not place and (elsewhere := [place for place in places(unknown, root, root) if "." in place]):
            return (
                f"config: unknown key `{unknown}` in {where}; there is `{elsewhere[0]}`: write it, with the keys above "
                "it, into a file of your own and run with --configfile that-file.yaml"
            )
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        return f"config: unknown key `{unknown}` in {where}{hint}; allowed: {', '.join(allowed)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"config: {where} lacks the key `{missing}`"
    return f"config: {where} is {error.instance!r}, expected {expectation(error)}"


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """All floating-point numbers in a nested value, with the places where they stand."""
    if isinstance(value, float):
        yield place, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from numbers(inner, f"{place}.{key}".lstrip("."))


def check_path(key: str, path: str, expected: str) -> None:
    """UserError where there is no file at the path that stands under `key`, or where Snakemake would misread it."""
    if set(path) & set("{}\n\r\0"):
        raise UserError(
            f"config: `{key}` is {path!r}, expected a path without braces and line breaks, which Snakemake takes for "
            "its own: rename the file, or link to it"
        )
    if not Path(path).is_file():
        raise UserError(
            f"config: `{key}` is {path!r} and no such file exists, seen from {Path.cwd()}; expected {expected}"
        )


def check(config: dict[str, Any]) -> dict[str, Any]:
    """The config, complete; UserError where it breaks the schema or contradicts itself."""
    schema = load_schema()
    config = complete(copy.deepcopy(config), schema, schema)
    errors = sorted(
        Draft202012Validator(schema).iter_errors(config),
        # A wrong value before the keys that are unknown only because of it.
        key=lambda error: error.validator == "additionalProperties" and len(error.absolute_path) > 0,
    )
    if errors:
        raise UserError(message(errors[0], schema))
    for place, number in numbers(config):
        if not math.isfinite(number):
            raise UserError(f"config: `{place}` is {number}, expected a finite number")
    scales, grids = config["scales"], config["grids"]
    if config["scale"] not in scales:
        raise UserError(f"config: `scale` is {config['scale']!r}, expected one of {', '.join(scales)}")
    for name, preset in scales.items():
        if name in RESERVED:
            raise UserError(f"config: no scale may be called `{name}`; results/{name} is used for something else")
        if preset["grid"] not in grids:
            raise UserError(
                f"config: `scales.{name}.grid` is {preset['grid']!r}, expected one of the names under `grids`: "
                f"{', '.join(grids)}"
            )
        early = preset["early_beta"]
        ends = [("early_beta.gone", early["hold"], early["gone"], "β comes down after it was held so long")]
        for factor, own in preset["dcign"]["curriculum"].items():
            ends.append((f"dcign.curriculum.{factor}.to", own["from"], own["to"], "its values come in from then on"))
        for key, begin, end, why in ends:
            if end < begin:
                raise UserError(f"config: `scales.{name}.{key}` is {end}, expected {begin} or more, for {why}")
    check_sets(config)
    if original := config["original_dataset"]:
        check_path("original_dataset", original, f"the path of {ORIGINAL}, or null for our synthesis")
        if Path(original).suffix not in ORIGINALS:
            raise UserError(f"config: `original_dataset` is {original!r}, expected {ORIGINAL}")
    taken = dict.fromkeys((*FIGURE6_LEFT, *NAMED_MODELS, BLIND_SPOT))
    for name, path in config["representations"].items():
        if name in taken or re.match("beta[0-9]", name) or re.fullmatch(PICTURE, name):
            raise UserError(
                f"config: a name under `representations` is {name!r}, expected one that no model of this workflow has: "
                f"not beta<number>, {', '.join(taken)}"
            )
        check_path(f"representations.{name}", path, "the path of a codes file (docs/representations.md)")
    return config
