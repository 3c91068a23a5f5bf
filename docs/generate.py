"""Write what the docs say of the config, the outputs and the rules from the schemas, config.yaml and the workflow.

`python docs/generate.py` after a change of any of them; tests/test_docs.py fails where they have parted.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx
import yaml
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from betavae.config import check, load_schema, subschemas, valid_range  # noqa: E402

CONFIG_DOC, README = ROOT / "docs" / "config.md", ROOT / "README.md"
OUTPUTS = ROOT / "workflow" / "schemas" / "outputs.yaml"
SIDE_BY_SIDE = ("scales", "metrics")  # sections that hold several settings of one kind: a column each
HEAD = """# Settings

Every key of [config.yaml](../config.yaml): what it is, what it may be, and what it is set to there. Written by
`python docs/generate.py` from [the schema](../workflow/schemas/config.schema.yaml). Change one for a run with
`--config key=value` (numbers and words at the top level), or write the keys into a file of your own and add
`--configfile mine.yaml`.
"""


def leaves(value: Any, schema: dict[str, Any], root: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Key (with the keys above it), schema and value of every setting in a section of the config."""
    for key, found in subschemas(value, schema, root):
        inner = value.get(key) if isinstance(value, dict) else None
        if isinstance(inner, dict) and inner:
            yield from leaves(inner, found, root, f"{above}{key}.")
        elif inner is not None or isinstance(value, dict):
            yield f"{above}{key}", found, inner


def shown(value: Any) -> str:
    """A value as it stands in a table."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def may_be(schema: dict[str, Any]) -> str:
    """What a setting may be, in words."""
    return f"list of {may_be(schema['items'])}" if "items" in schema else valid_range(schema)


def table(sections: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> str:
    """The settings of one section, or of several of one kind beside one another, {heading of the column: section}."""
    rows: dict[str, dict[str, str]] = {}
    for heading, section in sections.items():
        for key, found, value in leaves(section, schema, root):
            row = rows.setdefault(key, {"key": f"`{key}`", "what it is": found["description"]})
            row |= {"may be": may_be(found), heading: shown(value)}
    order = ["key", "what it is", "may be", *sections]
    body = [[row.get(column, "") for column in order] for row in rows.values()]
    return tabulate(body, order, "github", disable_numparse=True)


def config_document() -> str:
    """docs/config.md."""
    root = load_schema()
    config = check(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    plain = {key: value for key, value in config.items() if not isinstance(value, dict) or not value}
    parts = [HEAD, table({"config.yaml": plain}, root | {"properties": _only(root, plain)}, root)]
    for key, found in subschemas(config, root, root):
        if key in plain:
            continue
        parts.append(f"## {key}\n\n{found['description']}.")
        if key in SIDE_BY_SIDE:
            one = next(inner for _, inner in subschemas(config[key], found, root))
            parts.append(table(config[key], one, root))
        else:
            parts.append(table({"config.yaml": config[key]}, found, root))
    return "\n\n".join(parts) + "\n"


def _only(root: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    return {key: root["properties"][key] for key in keys}


def outputs_table() -> str:
    """What a run leaves: files and what they are."""
    rows = yaml.safe_load(OUTPUTS.read_text(encoding="utf-8"))
    return tabulate([[row["files"], row["are"]] for row in rows], ["file", "what it is"], "github")


def rule_graph() -> str:
    """The rules behind `all` and what each needs, as a Mermaid graph: arrows that others imply left out."""
    asked = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--rulegraph", "mermaid-js", "all"]
    told = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = dict(re.findall(r"(id\d+)\[\"?([\w ]+?)\"?\]", told))
    arrows = [(names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", told)]
    graph = networkx.transitive_reduction(networkx.DiGraph(arrows))
    graph.remove_node("all")
    lines = [*(f"{start} --> {end}" for start, end in graph.edges), *networkx.isolates(graph)]
    lines = [f"  {line}" for line in sorted(lines)]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


def with_part(document: str, name: str, part: str) -> str:
    """The document with what stands between the marks of this name replaced."""
    begin, end = f"<!-- {name}: written by docs/generate.py -->", f"<!-- end of {name} -->"
    before, _, rest = document.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{name}: the document lacks the marks {begin!r} and {end!r}")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def documents() -> dict[Path, str]:
    """What each document should say."""
    readme = README.read_text(encoding="utf-8")
    for name, part in {"outputs": outputs_table(), "rules": rule_graph()}.items():
        readme = with_part(readme, name, part)
    return {CONFIG_DOC: config_document(), README: readme}


if __name__ == "__main__":
    for path, content in documents().items():
        path.write_text(content, encoding="utf-8")
