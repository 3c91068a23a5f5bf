"""The picture sets by name, and where the real ones come from. Read by Snakemake itself: no NumPy, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from betavae.errors import UserError

STANDINS = {"standin_chairs": 1, "standin_faces": 1, "standin_celeba": 3}  # a module each, and its colours
# What to get, and from whom; the path goes under `pictures.{set}.path` in the config.
SOURCES = {
    "celeba": (
        "CelebA's aligned images, img_align_celeba.zip or the folder unpacked from it, from its authors "
        "(Liu et al. 2015, The Chinese University of Hong Kong, mmlab.ie.cuhk.edu.hk/projects/CelebA.html)"
    ),
    "chairs": (
        "the rendered chairs, rendered_chairs.tar or the folder unpacked from it, from its authors "
        "(Aubry et al. 2014, Inria, www.di.ens.fr/willow/research/seeing3Dchairs)"
    ),
    "faces": (
        "grey renderings of the Basel Face Model, a folder of images or an HDF5 file (docs/pictures.md), made with the "
        "model that the University of Basel licenses (Paysan et al. 2009, faces.dmi.unibas.ch/bfm)"
    ),
}


def source_path(config: dict[str, Any], name: str) -> str:
    """Where the config says that the real set `name` lies; UserError, saying what to get, where it is not there."""
    path = config["pictures"][name]["path"]
    asked = f"get {SOURCES[name]} and set `pictures.{name}.path` in the config to where it lies"
    if path is None:
        raise UserError(f"{name}: `pictures.{name}.path` is not set; {asked}, or take standin_{name}")
    if set(path) & set("{}\n\r"):
        raise UserError(f"{name}: `pictures.{name}.path` is {path!r}, expected a path without braces and line breaks")
    if not Path(path).exists():
        raise UserError(f"{name}: `pictures.{name}.path` is {path!r} and nothing is there; {asked}")
    return path
