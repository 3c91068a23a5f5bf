"""Plot a training history: what was recorded, a line a replica, and last what was recorded of each latent.

Of a VAE: loss, reconstruction and KL in nats an image; of InfoGAN: both players' losses, the discriminator's accuracy,
the information bound and the samples' lit area.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from betavae import style
from betavae.pictures import title

# What may be recorded of a replica (R,), and of each of its latents (R, M), with the axes' labels.
RECORDED = {
    "loss": "loss (nats)",
    "reconstruction": "reconstruction (nats)",
    "discriminator_loss": "discriminator's loss (nats)",
    "generator_loss": "generator's loss (nats)",
    "accuracy": "discriminator's accuracy",
    "lit_area": "lit area of samples",
}
EACH_LATENT = {
    "kl": ("KL (nats)", "KL of each latent (nats)"),
    "information": ("information bound (nats)", "bound of each code (nats)"),
}


def main(*, history: Path, png: Path, pdf: Path, scale: str) -> None:
    """Write the figure from {model}.history.h5."""
    with h5py.File(history) as file:
        settings = json.loads(file.attrs["settings"])
        arrays = {name: file[name][:] for name in file}
    each = next(name for name in EACH_LATENT if name in arrays)
    own = arrays[each]
    panels = {label: arrays[name] for name, label in RECORDED.items() if name in arrays}
    whole, part = EACH_LATENT[each]
    panels |= {whole: own.sum(-1)}
    figure, axes = style.plt.subplots(1, len(panels) + 1, figsize=(max(8.0, 0.8 + 1.6 * len(panels)), 2.3))
    for axis, (label, values) in zip(axes, panels.items(), strict=False):
        for replica, seed in enumerate(settings["seeds"]):
            axis.plot(arrays["step"], values[:, replica], label=f"seed {seed}", lw=0.9)
        finite = values[np.isfinite(values)]
        if len(finite):
            low, high = finite.min(), np.quantile(finite, 0.97)
            axis.set_ylim(low - 0.03 * abs(low), high + 0.03 * abs(high))
        axis.set_ylabel(label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    ordered = -np.sort(-own, axis=-1)  # latents change places between replicas; their order does not
    for latent in range(own.shape[-1]):
        low, middle, high = np.nanquantile(ordered[:, :, latent], (0, 0.5, 1), axis=1)
        axes[-1].plot(arrays["step"], middle, lw=0.9)
        axes[-1].fill_between(arrays["step"], low, high, alpha=0.2, lw=0)
    axes[-1].set_ylabel(part)
    for axis in axes:
        axis.set_xlabel("step")
    figure.suptitle(f"Training of {title(history.name.removesuffix('.history.h5'))}: {own.shape[-1]} latents")
    style.save(
        figure, png, pdf, scale, "means over an image, a line a seed; right: latents by rank, line: median, band: all"
    )
