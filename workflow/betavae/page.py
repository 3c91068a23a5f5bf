"""Pages of HTML that stand alone: a template of this package, filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from betavae import job
from betavae.digest import TEMPLATES


def fill(template: str, **content: Any) -> str:
    """The template of this name, filled; what is filled in is escaped unless the template says that it is safe."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(content)


def write_page(path: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    with job.atomic(path) as part:
        part.write_text(html, encoding="utf-8")
