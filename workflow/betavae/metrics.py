"""All metrics beside each other: tables/metrics and its picture, from the files that the scores are kept in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from betavae import style
from betavae.measures import MEASURES
from betavae.metric_file import replica_means
from betavae.names import BLIND_SPOT
from betavae.paper import FIGURE6_LEFT, label
from betavae.tables import write_table

BLIND_SPOT_LABEL = "Ground truth without rotation"
BETA_VAE = "β-VAE score"
LIBRARY = "β-VAE score (disentanglement_lib)"
UNKNOWN = "–"  # not measured
DIVERGED = "all replicas diverged"

CAPTION = """# Metrics beyond the paper, scale `{scale}`

In %, larger is better; {unknown}: not measured. The mean ± standard deviation over all replicas (of the β-VAE score, by
the paper's protocol, over the best half of the scores); no ± where there is one set of codes. All factors that the
config names for each, shape among them but for the β-VAE score, which the paper takes of the other four.

- **β-VAE score** (Higgins et al. 2017): from the metric files, as in Figure 6. Chance: 100 over the number
  of factors; 25 for the paper's four, 20 for disentanglement_lib's five.
- **FactorVAE** (Kim & Mnih 2018): while one factor is held fixed, is the latent that varies least always the same, and
  its own? Chance: 20.
- **MIG** (Chen et al. 2018): what the best latent says of a factor beyond the second best. Clean codes stay below 100
  where a factor has more values than there are bins.
- **SAP** (Kumar et al. 2018): how much better the best latent predicts a factor than the second best, linearly. Clean
  codes stay below 100: of shape, a latent that says nothing predicts a third.
- **DCI** (Eastwood & Williams 2018), by boosted trees: does a latent matter to one factor only (disentanglement), does
  one latent only matter to a factor (completeness), how well are the factors predicted from all latents
  (informativeness, R²)? Trees regress the factors' values; disentanglement_lib's classify them, which comes out lower.
- **Modularity** (Ridgeway & Mozer 2018): does a latent say something of one factor only? Noise may look modular.
- **Explicitness** (Ridgeway & Mozer 2018): can a linear classifier read the factors' values (area under the ROC
  curve)? Nothing to be read: 50.

Latents that vary less than a share `measures.dead` of the most varying one are taken for constant. No encoder reaches
100 in what concerns orientation: a square and an ellipse look the same after part of a turn. Raw pixels have no codes
file, and with 4096 latents these measures mean little: they have the β-VAE score only.

{blind_spot}"""


class Number(NamedTuple):
    """A number of the table, with the replicas' values behind it (None: diverged)."""

    mean: float | None
    std: float | None
    values: list[float | None]


def read_score(score: dict[str, Any]) -> Number:
    """The number of a metric file: its protocol's mean and deviation, and each replica's mean over classifiers."""
    return Number(score["score_mean"], score["score_std"], list(replica_means(score).values()))


def headings() -> list[str]:
    """The columns that hold numbers, in the table's order."""
    return [BETA_VAE, LIBRARY, *(heading for each in MEASURES.values() for heading in each.columns.values())]


def numbers(score: dict | None, library: dict | None, measures: dict | None) -> dict[str, Number]:
    """A row's numbers by heading, from the files that there are."""
    found = {BETA_VAE: read_score(score)} if score else {}
    if library:
        found[LIBRARY] = read_score(library)
    for name, measure in MEASURES.items():
        for key, heading in measure.columns.items():
            if measures:
                found[heading] = Number(**measures["measures"][name][key])
    return found


def ordered(models: set[str]) -> list[str]:
    """Models in Figure 6's order, others after them, the made-up codes last."""
    known = [model for model in FIGURE6_LEFT if model in models]
    return [*known, *sorted(models - {*known, BLIND_SPOT}), *({BLIND_SPOT} & models)]


def label_of(model: str) -> str:
    """What the table calls a model."""
    return BLIND_SPOT_LABEL if model == BLIND_SPOT else label(model)


def percent(number: Number | None) -> str:
    """A number as the table prints it."""
    if number is None:
        return UNKNOWN
    if number.mean is None:
        return DIVERGED
    several = sum(value is not None for value in number.values) > 1
    return f"{100 * number.mean:.1f}" + (f" ± {100 * number.std:.1f}" if several else "")


def rows(found: dict[str, dict[str, Number]]) -> list[dict[str, Any]]:
    """The table: a row a model."""
    table = []
    for model, row in found.items():
        values = next((number.values for heading, number in row.items() if heading not in (BETA_VAE, LIBRARY)), None)
        table.append(
            {
                "model": label_of(model),
                **{heading: percent(row.get(heading)) for heading in headings()},
                "replicas": UNKNOWN if values is None else len(values),
                "diverged": UNKNOWN if values is None else sum(value is None for value in values),
            }
        )
    return table


def blind_spot(found: dict[str, dict[str, Number]]) -> str:
    """What the β-VAE score does not see and the others do, in the numbers of the made-up row."""
    row, truth = found.get(BLIND_SPOT), found.get("ground_truth")
    if not row or not truth:
        return ""
    told = [
        f"{heading} {100 * row[heading].mean:.1f} (with it: {100 * truth[heading].mean:.1f})"
        for heading in ("FactorVAE", "MIG", "DCI disentanglement", "DCI informativeness", "explicitness")
    ]
    return (
        f"**The β-VAE score's blind spot**: the true factors with the rotation latent taken away score "
        f"{100 * row[BETA_VAE].mean:.1f}, since the fourth factor is told by elimination. The others see that "
        f"something is missing: {', '.join(told)}. So do completeness and SAP; modularity does not."
    )


def draw(found: dict[str, dict[str, Number]], png: Path, pdf: Path, scale: str) -> None:
    """The picture: a panel a metric, a row a model; the mean, and each replica."""
    shown = [heading for heading in headings() if heading != LIBRARY]
    columns = (len(shown) + 1) // 2
    figure, axes = style.plt.subplots(2, columns, figsize=(7.2, 1.6 + 0.38 * len(found)), sharey=True)
    for axis, heading in zip(axes.flat, shown, strict=False):
        for line, row in enumerate(found.values()):
            number = row.get(heading)
            if number is None or number.mean is None:
                said = "not measured" if number is None else "diverged"
                axis.text(50, line, said, ha="center", va="center", fontsize=6, color=style.GREY)
                continue
            values = 100 * np.array([value for value in number.values if value is not None])
            if len(values) > 1:
                axis.plot(values, np.full(len(values), line), "|", color=style.COLOURS[0], ms=7, mew=0.7)
            axis.plot(100 * number.mean, line, "o", color=style.COLOURS[1], ms=3.5)
        axis.set_title(heading.replace("DCI ", "DCI\n"), fontsize=8)
        axis.set_xlim(-4, 104)
        axis.set_xticks([0, 50, 100])
        axis.grid(lw=0.3, alpha=0.5)
        axis.set_yticks(range(len(found)), [label_of(m).replace(" without", "\nwithout") for m in found])
        axis.tick_params(axis="y", labelsize=7)
        axis.set_ylim(len(found) - 0.5, -0.5)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis in axes.flat[len(shown) - columns : len(shown)]:
        axis.set_xlabel("%")
    axes.flat[0].plot([], [], "o", color=style.COLOURS[1], ms=3.5, label="mean (β-VAE score: of the best half)")
    axes.flat[0].plot([], [], "|", color=style.COLOURS[0], ms=7, label="each replica")
    figure.legend(loc="outside upper center", ncols=2)
    style.save(figure, png, pdf, scale)


def main(
    *, measures: list[Path], scores: list[Path], library: list[Path], png: Path, pdf: Path, csv: Path, md: Path,
    scale: str,
) -> None:  # fmt: skip
    """Write table and picture. measures: measures files; scores, library: metric files, by either convention."""
    read = [
        {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in each}
        for each in (scores, library, measures)
    ]
    found = {
        model: numbers(*(each.get(model) for each in read))
        for model in ordered({name for each in read for name in each})
    }
    write_table(csv, md, rows(found), CAPTION.format(scale=scale, unknown=UNKNOWN, blind_spot=blind_spot(found)))
    draw(found, png, pdf, scale)
