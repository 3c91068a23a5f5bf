"""Plot a training history: loss, reconstruction and KL in nats an image, a line a replica, and KL per latent."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from betavae import style


def main(*, history: Path, png: Path, pdf: Path, scale: str) -> None:
    """Write the figure from {model}.history.h5."""
    with h5py.File(history) as file:
        settings = json.loads(file.attrs["settings"])
        arrays = {name: file[name][:] for name in file}
    kl = arrays["kl"]
    panels = {
        "loss (nats)": arrays["loss"],
        "reconstruction (nats)": arrays["reconstruction"],
        "KL (nats)": kl.sum(-1),
    }
    figure, axes = style.plt.subplots(1, 4, figsize=(7.2, 2.3))
    for axis, (label, values) in zip(axes, panels.items(), strict=False):
        for replica, seed in enumerate(settings["seeds"]):
            axis.plot(arrays["step"], values[:, replica], label=f"seed {seed}", lw=0.9)
        finite = values[np.isfinite(values)]
        if len(finite):
            axis.set_ylim(0.97 * finite.min(), 1.03 * np.quantile(finite, 0.97))
        axis.set_ylabel(label)
    if len(settings["seeds"]) <= 6:
        axes[0].legend()
    ordered = -np.sort(-kl, axis=-1)  # latents change places between replicas; their order by KL does not
    for latent in range(kl.shape[-1]):
        low, middle, high = np.nanquantile(ordered[:, :, latent], (0, 0.5, 1), axis=1)
        axes[3].plot(arrays["step"], middle, lw=0.9)
        axes[3].fill_between(arrays["step"], low, high, alpha=0.2, lw=0)
    axes[3].set_ylabel("KL of each latent (nats)")
    for axis in axes:
        axis.set_xlabel("step")
    name = history.name.removesuffix(".history.h5")
    beta = f"β = {settings['beta']:g}, " if "beta" in settings else ""
    figure.suptitle(f"Training of {name}: {beta}{kl.shape[-1]} latents")
    style.save(figure, png, pdf, scale, "means over an image; right: latents by rank, line: median replica, band: all")
