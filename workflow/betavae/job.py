"""What every step shares at its edge: the log, progress, provenance and outputs that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from betavae.digest import code_digest

# What the system says where a file cannot be written.
UNWRITABLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR,
    errno.EEXIST,
)  # fmt: skip
LIBRARIES = ("numpy", "torch", "h5py", "scikit-learn", "snakemake")

_started = time.time()
_terminal: IO[str] = sys.stderr


def redirect_to_log(path: Path) -> None:
    """From here on everything written to stdout and stderr, crashes included, goes to the log at `path`.

    Progress, and the one line about a failure, go on to the terminal.
    """
    global _terminal
    path.parent.mkdir(parents=True, exist_ok=True)
    _terminal = os.fdopen(os.dup(2), "w", buffering=1)
    with path.open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def tell(line: str) -> None:
    """One line to the terminal, and to the log where there is one."""
    for stream in {_terminal, sys.stderr}:
        print(line, file=stream, flush=True)


class _Lines:
    """A stream for tqdm that starts a new line where tqdm would go back to the start of the old one."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n\x1b[A "):
            _terminal.write(line + "\n")

    def flush(self) -> None:
        _terminal.flush()


def progress(total: int, label: str, unit: str = "step") -> tqdm:
    """A progress bar with the time left: a line on the terminal every quarter of a minute (many jobs share it)."""
    return tqdm(
        total=total,
        unit=unit,
        file=_Lines(),
        mininterval=15,
        miniters=1,
        maxinterval=1e9,
        delay=5,
        bar_format=label + ": {percentage:.0f} % of {total_fmt} {unit}s, {elapsed} gone, {remaining} left",
    )


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that takes its name, flushed, once the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def reserve(path: Path, size: int) -> None:
    """Take `size` bytes of disk for a file that is about to be filled through a memory map.

    A full disk is else noticed when pages are written back, and the process killed without a word.
    """
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON (arrays as lists; NaN is refused, since JSON has none)."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} has no JSON form")

    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, default=plain, allow_nan=False) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that shape results, where they are installed."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def git_commit() -> str:
    """The commit that this package is checked out at, `+` behind it where files differ; `unknown` outside git."""

    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def provenance(*steps: str, device: str = "cpu") -> dict[str, Any]:
    """What made a file: commit, code digest, versions, device and the seconds since the job started."""
    return {
        "git_commit": git_commit(),
        "code_digest": code_digest(*steps),
        "versions": versions(),
        "device": device,
        "seconds": round(time.time() - _started, 2),
    }


def log_header(step: str, arguments: list[str]) -> None:
    """Open the log: what runs, with which code, versions and settings."""
    print(f"betavae {step}, code {code_digest(step)}, {versions()}", file=sys.stderr)
    print(f"arguments: {arguments}", file=sys.stderr, flush=True)


def refused_by_system(error: BaseException) -> str | None:
    """What to tell a person where an error says that a file cannot be made or written (no room, no permission, …)."""
    # HDF5 says it in the middle of its own report, and safetensors in its own way.
    number = getattr(error, "errno", None) or next(
        map(int, re.findall(r"(?:errno = |os error )(\d+)", str(error))), None
    )
    if number not in UNWRITABLE:
        return None
    # The second: what a rename was to make.
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return (
        f"{name or 'an output'}: {os.strerror(number)}; expected a folder that can be written, with room on its disk; "
        "mend that and run the same command again"
    )


def run_logged(step: str, log: Path | None, arguments: list[str], main: Callable[[], None]) -> int:
    """Run `main` with its log open; returns the exit status. A failure is one line on the terminal."""
    import traceback

    from betavae.errors import UserError

    try:
        if log is not None:
            redirect_to_log(log)
        log_header(step, arguments)
        main()
    except UserError as error:
        tell(f"betavae {step}: {' '.join(str(error).split())}")
        return 1
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        found = refused_by_system(error) or " ".join(f"{type(error).__name__}: {error}".split())
        tell(f"betavae {step}: {found}" + (f" (see {log})" if log else ""))
        return 1
    return 0
