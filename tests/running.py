"""The workflow as a user runs it, for the tests: `snakemake` in a folder of their own."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "tiny.yaml"


def snakemake(folder: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile") -> subprocess.CompletedProcess[str]:
    """A run of the workflow (or of another that calls it) in a folder."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(folder), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
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
