"""Table of cost: what share of a run each rule takes, from the benchmark files that Snakemake writes."""

from __future__ import annotations

import csv as csv_module
import json
import math
import re
from pathlib import Path
from typing import Any

from betavae.errors import UserError
from betavae.page import write_page
from betavae.table_pages import page
from betavae.tables import write_table

WILDCARD = re.compile(r"\{(\w+)[^}]*\}")


def rule_of(path: str, patterns: dict[str, str]) -> str:
    """The rule whose benchmark pattern a path fits; of several the one with the most fixed characters, of rules that
    share theirs (a sweep's trainings are trainings) the one with the shortest name.
    """
    fitting = []
    for rule, pattern in patterns.items():
        fixed = WILDCARD.split(pattern)[::2]
        if re.fullmatch("[^/]+".join(map(re.escape, fixed)), path):
            fitting.append((sum(map(len, fixed)), -len(rule), rule))
    if not fitting:
        raise UserError(f"{path}: no rule writes such a benchmark; delete it and run again")
    return max(fitting)[-1]


def measured(path: Path) -> dict[str, float]:
    """Seconds of CPU and on the wall, and the largest resident memory in MB, of the job behind a benchmark file.

    A job that ended before Snakemake first looked has no figures but its duration; it counts as zero.
    """
    try:
        with path.open(encoding="utf-8") as file:
            (row,) = csv_module.DictReader(file, delimiter="\t")
        found = {name: row[key] for name, key in (("cpu", "cpu_time"), ("wall", "s"), ("memory", "max_rss"))}
        return {name: 0.0 if text in ("NA", "-") else float(text) for name, text in found.items()}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: no benchmark file of Snakemake's ({error}); delete it and run again") from error


def rows_of(jobs: list[tuple[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """A row for each rule, the dearest first, and one for all, of (rule, what `measured` says) for each job."""

    def row(rule: str, own: list[dict[str, float]]) -> dict[str, Any]:
        cpu = sum(job["cpu"] for job in own)
        return {
            "rule": rule,
            "jobs": len(own),
            "CPU time (s)": round(cpu, 1),
            "share of CPU time (%)": round(100 * cpu / total, 1),
            "wall time (s)": round(sum(job["wall"] for job in own), 1),
            "largest memory (MB)": math.ceil(max(job["memory"] for job in own)),
        }

    total = sum(job["cpu"] for _, job in jobs) or 1.0
    rules = sorted({rule for rule, _ in jobs})
    rows = [row(rule, [job for name, job in jobs if name == rule]) for rule in rules]
    rows.sort(key=lambda row: -row["CPU time (s)"])
    return [*rows, row("all", [job for _, job in jobs])]


def main(*, csv: Path, md: Path, html: Path, settings: str) -> None:
    """Write the table, and its page of the report: here, for what it says is known only once all else is done.

    settings: JSON; scale, folders of benchmark files, and patterns: {rule: path of its benchmark}.
    """
    chosen = json.loads(settings)
    paths = [path for folder in chosen["folders"] for path in sorted(Path(folder).glob("*.tsv"))]
    if not paths:
        raise UserError(
            f"no benchmark files in {', '.join(chosen['folders'])}; expected those that the jobs leave there"
        )
    jobs = [(rule_of(path.as_posix(), chosen["patterns"]), measured(path)) for path in paths]
    caption = (
        f"# What each rule costs, scale `{chosen['scale']}`\n\n"
        "Sums over the last run of each job whose benchmark file is there. Wall times of jobs side by side add "
        "up to more than the run's."
    )
    write_table(csv, md, rows_of(jobs), caption)
    write_page(html, page(md.read_text(encoding="utf-8"), md.stem))
