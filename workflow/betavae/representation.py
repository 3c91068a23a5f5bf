"""A representation of the user's own: their file, checked, as a codes file like any other model's.

Everything downstream reads the copy, so a file that is wrong in any way ends here, before any score or table.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from betavae import job
from betavae.codes import CHUNK, write_codes
from betavae.errors import UserError
from betavae.images import UNREADABLE, open_grid


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Whatever h5py raises on files that are broken in some way, as a UserError."""
    try:
        yield
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise UserError(f"not readable ({reason}), expected an HDF5 file with a float32 array /mean") from error


def check_layout(mean: object, images: int) -> tuple[int, int, int]:
    """The shape (replicas, images, M) of what stands at /mean; UserError where it is no array of codes."""
    expected = f"expected (images, M) or (replicas, images, M) with {images} images"
    if not isinstance(mean, h5py.Dataset):
        raise UserError(f"/mean is a group, {expected}, float32")
    if mean.dtype.kind != "f":
        raise UserError(f"/mean holds {mean.dtype}, expected float32")
    shape = mean.shape or ()
    if len(shape) not in (2, 3) or not all(shape):
        raise UserError(f"/mean has shape {shape}, {expected}")
    if shape[-2] != images:
        raise UserError(f"/mean has shape {shape}, so {shape[-2]} images, {expected}")
    return shape if len(shape) == 3 else (1, *shape)


def finite_parts(mean: h5py.Dataset) -> Iterator[tuple[int, slice, np.ndarray]]:
    """The codes in parts: replica, which images, codes (n, M) float32.

    UserError at the first number that is not finite, and for a replica whose codes are the same for all images.
    """
    replicas = mean.shape[0] if mean.ndim == 3 else 1
    images, latents = mean.shape[-2:]
    size = max(1, CHUNK // latents)
    for replica in range(replicas):
        varies, first = False, None
        for start in range(0, images, size):
            part = slice(start, min(start + size, images))
            with reading(), np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
                codes = (mean[replica, part] if mean.ndim == 3 else mean[part]).astype(np.float32)
            wrong = np.argwhere(~np.isfinite(codes))
            if len(wrong):
                image, latent = wrong[0]
                raise UserError(
                    f"/mean is {codes[image, latent]} at replica {replica}, image {start + image}, latent {latent}, "
                    "expected finite float32 numbers"
                )
            first = codes[0] if first is None else first
            varies = varies or bool((codes != first).any())
            yield replica, part, codes
        if not varies:
            raise UserError(
                f"/mean has zero variance: replica {replica} has the same codes for all images, expected codes that "
                "tell images apart"
            )


def main(*, representation: Path, dataset: Path, codes: Path, settings: str) -> None:
    """Write the codes file from the user's; UserError says what is wrong with it. settings: JSON; scale and grid."""
    chosen = json.loads(settings)
    images = open_grid(dataset).images
    try:
        with contextlib.ExitStack() as stack:
            with reading():
                file = stack.enter_context(h5py.File(representation))
                if "mean" not in file:
                    raise UserError(f"holds {', '.join(map(repr, file)) or 'nothing'}, expected an array /mean")
                mean = file["mean"]
            shape = check_layout(mean, images)
            about = {"scale": chosen["scale"], "dataset": dataset.parent.name, "origin": representation.name}
            about |= {"settings": {"file": str(representation)}, "provenance": lambda: job.provenance("representation")}
            with write_codes(codes, shape, **about) as arrays:
                for replica, part, found in finite_parts(mean):
                    arrays["mean"][replica, part] = found
    except UserError as error:
        raise UserError(f"{representation}: {error} (scale {chosen['scale']}, grid {chosen['grid']})") from error
