"""Encode every image (model → codes) and keep the little that later steps need of the decoder (summary)."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import torch

from betavae import job
from betavae.codes import write_codes
from betavae.device import floats, pick_device, prepare_cpu
from betavae.image_files import chunks, open_data
from betavae.models import load_model, provenance_of
from betavae.stream import stream
from betavae.systems import Network
from betavae.vae import kl_per_latent

EXAMPLES = 8  # images whose reconstructions are kept


def evaluation_sample(rng: np.random.Generator, images: int, count: int, latents: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of so many images the reconstruction is measured on, (n,) ascending, and their noise (n, M) float32."""
    sample = np.sort(rng.choice(images, min(count, images), replace=False))
    return sample, rng.standard_normal((len(sample), latents), np.float32)


@torch.inference_mode()
def reconstructions(network: Network, stored: np.ndarray, noise: np.ndarray, device: torch.device) -> np.ndarray:
    """−log p(x|z) in nats of each of n stored images, one z ~ q(z|x) each with `noise` (n, M): (R, n) float64."""
    losses = []
    for first in range(0, len(stored), 256):
        part = slice(first, first + 256)
        images = floats(torch.from_numpy(stored[part]).to(device))
        mean, logvar = network.encode_lit(images, torch.arange(images.shape[-1], device=device))
        codes = mean + (0.5 * logvar).exp() * torch.from_numpy(noise[part]).to(device)
        losses.append(network.reconstruction_loss(codes, images.expand(len(mean), -1, -1)))
    return torch.cat(losses, dim=1).double().cpu().numpy()


@torch.inference_mode()
def main(
    *, bits: Path, dataset: Path, model: Path, codes: Path, summary: Path, settings: str, device: str = "auto"
) -> None:
    """Write the codes file, and a summary: examples, and, where the codes have a variance, the reconstruction (R,)
    and kl (R, M) in nats an image.

    settings: JSON; scale, threads and evaluation_images, how many images the reconstruction is measured on.
    """
    chosen, on = json.loads(settings), pick_device(device)
    prepare_cpu(chosen["threads"])
    stored, grid = open_data(bits, dataset)
    network, trained = load_model(model, on)
    shape = (len(trained["seeds"]), grid.images, network.latents)
    kl = torch.zeros(shape[0], shape[2], dtype=torch.float64, device=on)

    def provenance() -> str:
        made_by = job.provenance("encode", trained["system"], device=str(on))
        return json.dumps(made_by | {"training": provenance_of(model)})

    about = {"scale": chosen["scale"], "dataset": dataset.parent.name, "origin": model.name}
    names = ("mean", "logvar") if network.posterior else ("mean",)
    with (
        write_codes(codes, shape, names, settings=trained, provenance=provenance, **about) as arrays,
        job.progress(grid.images, f"{model.stem}: codes", "image") as bar,
    ):
        for images, pixels, columns in chunks(stored, grid):
            mean, logvar = network.encode_lit(torch.from_numpy(pixels).to(on), torch.from_numpy(columns).to(on))
            arrays["mean"][:, images] = mean.cpu().numpy()
            if network.posterior:
                kl += kl_per_latent(mean, logvar).sum(1)
                arrays["logvar"][:, images] = logvar.cpu().numpy()
            bar.update(len(images))

    rng = stream(0, "evaluation")
    sample, noise = evaluation_sample(rng, grid.images, chosen["evaluation_images"], network.latents)
    examples = rng.choice(grid.images, EXAMPLES, replace=False)
    shown = floats(torch.from_numpy(stored[examples]).to(on))
    decoded = network.generate(network.encode_lit(shown, torch.arange(shown.shape[-1], device=on))[0])
    with job.atomic(summary) as part, h5py.File(part, "w") as file:
        if network.posterior:
            file["reconstruction"] = reconstructions(network, stored[sample], noise, on).mean(1)
            file["kl"] = (kl / grid.images).cpu().numpy()
        file["examples/image"] = examples
        file["examples/original"] = stored[examples]
        file["examples/reconstruction"] = (decoded * 255).round().byte().cpu().numpy()
        file.attrs.update(about | {"provenance": provenance(), "settings": json.dumps(trained)})
