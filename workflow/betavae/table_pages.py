"""Tables as pages of the report: their Markdown, caption included, in HTML; the head of a column sorts by it."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

from betavae.page import fill, write_page


def page(markdown: str, title: str) -> str:
    """The page of a table."""
    return fill("table_pages.html", title=title, body=MarkdownIt("js-default").render(markdown))


def main(*, md: list[Path], html: list[Path]) -> None:
    """Write a page for each table, in the same order."""
    for source, path in zip(md, html, strict=True):
        write_page(path, page(source.read_text(encoding="utf-8"), source.stem))
