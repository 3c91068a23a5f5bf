"""What the documents say of the workflow is what it does."""

import re
import sys
from fnmatch import fnmatch

import pytest
import yaml

from betavae import __version__
from running import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import generate

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def documents():
    """What each generated document should say."""
    return generate.documents()


@pytest.mark.parametrize("document", ["docs/config.md", "README.md"])
def test_what_is_written_from_schema_and_rules_is_in_step_with_them(documents, document):
    said = (ROOT / document).read_text(encoding="utf-8")
    assert said == documents[ROOT / document], "run `python docs/generate.py`"


def test_the_table_of_settings_names_each_with_its_range_and_its_value_at_each_scale():
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("| `")]
    rows = {key: others for key, *others in cells}
    assert rows["`infogan.steps`"][1:] == ["integer ≥ 1 and ≤ 100000000", "60", "2000", "100000", "100000"]
    assert rows["`grid`"][2:] == ["thin", "full", "full", "full"]
    assert rows["`device`"] == ["Where networks run; auto is cuda where there is one", "one of auto, cpu, cuda", "auto"]
    assert rows["`classifier.penalty`"][2:] == ["", "1.0"]
    assert rows["`sweep.betas`"][1] == "list of number > 0"


def test_the_table_of_outputs_has_a_row_for_whatever_a_run_leaves_and_no_row_for_anything_else(finished):
    table = README.split("## What comes out")[1].split("\n## ")[0]
    paths = re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| `.*", table, re.MULTILINE)))
    patterns = [re.sub(r"\{\w+\}|…", "*", path.rsplit("/", 1)[-1]) for path in paths if not path.endswith("/")]
    results = finished / "results"
    made = [*results.glob("figures/*"), *results.glob("tables/*"), *results.glob("[!.]*.*")]
    assert len(made) > 60
    names = {name for path in made for name in (path.name, path.stem)}
    assert [
        path.name for path in made if not any(fnmatch(path.stem, p) or fnmatch(path.name, p) for p in patterns)
    ] == []
    everywhere = names | {name for path in results.rglob("*") for name in (path.name, path.stem)} | {"report.html"}
    assert [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in everywhere)] == []


def test_citation_names_this_version_and_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == __version__
    assert {"title", "message", "authors", "license", "date-released"} <= cited.keys()
    paper = cited["preferred-citation"]
    assert (paper["type"], paper["year"], len(paper["authors"])) == ("conference-paper", 2017, 8)
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def headings(document):
    """What links to a document's headings end in."""
    heads = [line.lstrip("# ").lower() for line in document.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in heads}


def test_links_between_documents_lead_somewhere():
    for document in [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
            led = document.parent / target if target else document
            assert led.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in headings(led), f"{document.name}: {target}#{anchor}"
