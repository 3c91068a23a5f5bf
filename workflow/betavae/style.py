"""How all figures look: legible at column width, safe for colour-blind eyes, the scale on the face."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from betavae import job

# Okabe and Ito's palette: told apart by colour-blind eyes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vP*X"
GREY = "#6b6b6b"

plt.rcParams.update(
    {
        "figure.dpi": 200,
        "savefig.dpi": 200,
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        # Once more, dashed, where there are more lines than colours.
        "axes.prop_cycle": matplotlib.cycler(linestyle=["-", "--"]) * matplotlib.cycler(color=COLOURS),
        "legend.frameon": False,
        "legend.fontsize": 7,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
    }
)


def frameless(axis: plt.Axes) -> None:
    """An image's axes without ticks and without lines, which would stand out at its corners; labels stay."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def save(figure: Figure, png: Path, pdf: Path, scale: str, note: str = "") -> None:
    """Write the figure twice, the scale (and a note) named on its face; files do not carry the hour."""
    told = f"scale: {scale}" + (f" — {note}" if note else "")
    figure.supxlabel(told, fontsize=7, color=GREY, x=0.99, ha="right")
    for path, metadata in ((png, {"Software": None}), (pdf, {"CreationDate": None})):
        with job.atomic(path) as part:
            figure.savefig(part, metadata=metadata)
        with plt.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)  # what was laid out stays where it is, and is drawn once
    plt.close(figure)
