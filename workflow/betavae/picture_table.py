"""Models on one picture set in a table: a row a seed, and for each factor the latent that carries it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from betavae.metric_file import replica_means
from betavae.pictures import beside, picture_title
from betavae.tables import write_table

BESIDE = 0.05  # what else a latent follows is told from this share of its variance on


def follows(own: dict[str, Any], factor: str) -> str:
    """The latent that carries a factor, its share of that latent's variance, and what else the latent follows."""
    latent = own["carriers"][factor]
    if latent is None:
        return "no live latent"
    other, share = beside(own["shares"] | own["joint"], factor, latent)
    said = f", {other.replace('_', ' ')} {share:.2f}" if share >= BESIDE else ""
    return f"z{latent}: {own['shares'][factor][latent]:.2f}{said}"


def rows_of(said: dict[str, Any], score: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A model's rows, from its shares and its metric file."""
    name, rows = picture_title(said["model"]).partition(": ")[2], []
    means = replica_means(score) if score else {}
    for replica, own in enumerate(said["replicas"]):
        row: dict[str, Any] = {"model": name, "replica": f"{replica}{' (shown)' if replica == said['best'] else ''}"}
        mean = means.get(replica)
        row["score (%)"] = "–" if mean is None else f"{100 * mean:.1f}"
        if own is None:
            rows.append(row | {"reconstruction (nats)": "diverged"})
            continue
        if said["posterior"]:
            row["reconstruction (nats)"] = f"{said['reconstruction'][replica]:.1f}"
            row["KL (nats)"] = f"{sum(own['said']):.2f}"
        row["live latents"] = f"{len(own['live'])} of {len(own['said'])}"
        if "shares" in own:
            row["factors found"] = f"{len(own['found'])} of {len(own['shares'])}"
            row |= {factor.replace("_", " "): follows(own, factor) for factor in own["shares"]}
        rows.append(row)
    return rows


def main(*, shares: list[Path], csv: Path, md: Path, settings: str, scores: list[Path] | None = None) -> None:
    """Write the table. settings: JSON; scale and set."""
    chosen = json.loads(settings)
    read = [json.loads(path.read_text(encoding="utf-8")) for path in shares]
    scored = [json.loads(path.read_text(encoding="utf-8")) for path in scores or []] or [None] * len(read)
    rows = [row for said, score in zip(read, scored, strict=True) for row in rows_of(said, score)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    told = "Live: KL > 0.1 nats; of InfoGAN, by variance."
    if any(own and "shares" in own for said in read for own in said["replicas"]):
        told = (
            "Under each factor: the live latent (KL > 0.1 nats; of InfoGAN, by variance) of whose variance it explains "
            f"most, that share, and what else explains most of the same latent (from {BESIDE:g} on; a × b: the two "
            "together, beyond what each does alone). A factor is found where it explains more than two thirds of a "
            "latent."
        )
    if scores:
        told = f"Score: the paper's metric on all factors of the set, mean over the classifier seeds. {told}"
    caption = f"# Models on `{chosen['set']}`, scale `{chosen['scale']}`\n\n{told}"
    write_table(csv, md, [{column: row.get(column, "") for column in columns} for row in rows], caption, digits=6)
