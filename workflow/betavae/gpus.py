"""The GPUs of this machine, and a training's own among them: counted and picked without importing torch."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

VISIBLE = "CUDA_VISIBLE_DEVICES"
PATIENCE = 1.0  # seconds between two looks whether a GPU has become free

_held: list[IO[str]] = []  # open as long as this process lives; processes that it starts do not inherit it


def gpus() -> list[str]:
    """The GPUs that a process started here may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        return [name for name in map(str.strip, visible.split(",")) if name not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.stdout.splitlines()))]


def locks() -> Path:
    """The folder of the locks: this user's, on this machine; a scheduler may number each allocation's GPUs from 0."""
    folder = Path(tempfile.gettempdir()) / f"betavae-gpus-{os.getuid()}" / os.environ.get("SLURM_JOB_ID", "local")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def free(name: str, folder: Path) -> bool:
    """Whether a GPU was free; from now on it is this process's."""
    file = (folder / name.replace("/", "_")).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True


def claim() -> str | None:
    """Take one of several GPUs for this process alone, until it ends however it ends: CUDA sees no other from here on.

    Must come before CUDA is first asked. Waits where all are taken. Where there is one GPU or none, nothing is taken.
    """
    names = gpus()
    if len(names) < 2:
        return None
    folder, told = locks(), False
    while True:
        for name in names:
            if free(name, folder):
                os.environ[VISIBLE] = name
                print(f"GPU {name} of {', '.join(names)}", flush=True)
                return name
        if not told:
            print(f"GPUs {', '.join(names)} are all taken; waiting for one", file=sys.stderr, flush=True)
            told = True
        time.sleep(PATIENCE)
