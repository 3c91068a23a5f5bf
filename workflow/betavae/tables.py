"""Write a table twice: as CSV for programs and as Markdown for people."""

from __future__ import annotations

import csv as csv_module
from pathlib import Path
from typing import Any

from tabulate import tabulate

from betavae import job

NOT_YET_RUN = "not yet run"  # in the row of a system that there are no results of


def write_table(csv: Path, md: Path, rows: list[dict[str, Any]], caption: str, digits: int = 4) -> None:
    """Write rows that share their keys; `caption` stands above the Markdown, where numbers have so many `digits`."""
    with job.atomic(csv) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv_module.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    body = tabulate(rows, headers="keys", tablefmt="github", floatfmt=f".{digits}g")
    with job.atomic(md) as part:
        part.write_text(f"{caption}\n\n{body}\n", encoding="utf-8")


def images_a_step(settings: dict[str, Any]) -> str:
    """The images of a training step: `64`, or `13 × 3` where it has several mini-batches."""
    groups = settings.get("groups", 1)
    return f"{groups} × {settings['batch']}" if groups > 1 else str(settings["batch"])
