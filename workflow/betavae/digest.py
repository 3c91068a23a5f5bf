"""A digest of a step's code, so that an edit reruns what it touches and a comment reruns nothing.

A module's templates, templates/{module}.*, are part of its code.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
TEMPLATES = PACKAGE / "templates"


@cache
def _syntax_tree(module: str) -> ast.Module:
    """The module's syntax tree, docstrings taken out (comments are not part of it)."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body[0:1] = [] if len(node.body) > 1 else [ast.Pass()]
    return tree


@cache
def _code(module: str) -> str:
    """The module's syntax tree as text, which some fifty digests share."""
    return ast.dump(_syntax_tree(module))


@cache
def _imports(module: str) -> frozenset[str]:
    """The modules of this package that `module` itself imports."""
    names: set[str] = set()
    for node in ast.walk(_syntax_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "betavae":
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("betavae."):
            names.add(str(node.module).removeprefix("betavae."))
    return frozenset(name for name in names if (PACKAGE / f"{name}.py").exists())


def modules_of(*steps: str) -> list[str]:
    """The steps' modules and all that they import from this package, sorted."""
    found: set[str] = set()
    waiting = list(steps)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_imports(module))
    return sorted(found)


@cache
def code_digest(*steps: str) -> str:
    """Twelve hexadecimal digits over the syntax trees of `steps` and all that they import from this package.

    Templates of these modules count as they are, byte by byte.
    """
    digest = hashlib.sha256()
    for module in modules_of(*steps):
        digest.update(f"{module}\n{_code(module)}\n".encode())
        for template in sorted(TEMPLATES.glob(f"{module}.*")):
            digest.update(template.read_bytes())
    return digest.hexdigest()[:12]
