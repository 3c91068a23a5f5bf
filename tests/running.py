"""Run the workflow as a user does, and compare what came of two runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from safetensors import safe_open

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "tiny.yaml"


class Wildcards(SimpleNamespace):
    """A job's wildcards, as Snakemake gives them."""

    def get(self, name: str, default: Any = None) -> Any:
        """One of them, or `default` where the job has none of that name."""
        return getattr(self, name, default)


def command(folder: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile") -> list[str]:
    """The command that runs the workflow, or another that calls it, with its results in `folder`."""
    return [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(snakefile),
        "--directory",
        str(folder),
        *arguments,
    ]


def environment() -> dict[str, str]:
    """The tests' environment without what finds the package for them: the workflow must find it by itself."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def snakemake(
    folder: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile", timeout: int = 1200
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(folder, *arguments, snakefile=snakefile),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start it, to be watched; what it says on either stream comes on one."""
    return subprocess.Popen(
        command(folder, *arguments),
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def planned(folder: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile") -> Counter:
    """How many jobs of each rule a dry run would run."""
    run = snakemake(folder, "--dry-run", "--quiet", "rules", *arguments, snakefile=snakefile)
    assert run.returncode == 0, run.stdout + run.stderr
    table = (run.stdout + run.stderr).split("Job stats:")
    if len(table) == 1:
        return Counter()
    lines = re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)
    return Counter({rule: int(count) for rule, count in lines if rule != "total"})


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    """The last line that a run printed."""
    return (run.stdout + run.stderr).strip().splitlines()[-1]


def outcome(folder: Path) -> dict[str, Any]:
    """What came of a run in `folder`, by path, but for provenance and cost: tables, all JSON files, models, histories.

    Of arrays a digest of their bytes: two outcomes are equal where the runs are the same to the bit.
    """
    results, found = folder / "results", {}

    def digest(array: np.ndarray) -> str:
        return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"

    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.suffix == ".json":
            found[name] = json.loads(path.read_text(encoding="utf-8"))
            found[name].pop("provenance", None)
        elif path.parent.name == "tables" and path.stem != "cost":
            found[name] = path.read_text(encoding="utf-8")
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                said = {key: value for key, value in file.metadata().items() if key != "provenance"}
                found[name] = said | {key: digest(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118
        elif path.name.endswith(".history.h5"):
            with h5py.File(path) as file:
                said = {key: value for key, value in file.attrs.items() if key != "provenance"}
                found[name] = said | {key: digest(file[key][:]) for key in file}
    return found


def half_written(folder: Path) -> list[str]:
    """Files under a final name in `folder`/results that do not read back: there must be none, ever."""
    torn = []
    for path in sorted((folder / "results").rglob("*")):
        if path.name.startswith(".") or "checkpoints" in path.parts:
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".h5":
                with h5py.File(path) as file:
                    file.visititems(lambda name, item: item[...] if isinstance(item, h5py.Dataset) else None)
            elif path.suffix == ".npy":
                np.load(path, mmap_mode="r", allow_pickle=False)
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="np") as file:
                    file.keys()
            elif path.suffix == ".png":
                assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
            elif path.suffix == ".pdf":
                assert path.read_bytes().rstrip().endswith(b"%%EOF")
            elif path.suffix in (".csv", ".md"):
                assert path.read_text(encoding="utf-8").endswith("\n")
        except Exception as error:
            torn.append(f"{path}: {error}")
    return torn
