"""Snakemake as a user starts it, for the tests that run the workflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "tiny.yaml"


def invocation(folder: Path, *arguments: str) -> dict[str, Any]:
    """What `subprocess` needs to run the workflow in a folder."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {"args": [*command, *arguments], "cwd": ROOT, "env": environment, "text": True}


def snakemake(folder: Path, *arguments: str, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    """Run the workflow in a folder, to its end."""
    return subprocess.run(**invocation(folder, *arguments), capture_output=True, timeout=timeout, check=False)
