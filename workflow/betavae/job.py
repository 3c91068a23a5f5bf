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
from betavae.errors import UserError

# What the system says where there is no room, or no right to write, or something else in the place.
REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
)
LIBRARIES = ("numpy", "torch", "h5py", "scikit-learn", "snakemake")

_started = time.time()
_terminal: IO[str] = sys.stderr


def refusal(error: Exception) -> str | None:
    """Why nothing can be written, in the system's words, if that is what an error means: a full disk, a read-only
    folder. HDF5 and safetensors say it in their message only.
    """
    said = [error.errno] if isinstance(error, OSError) and error.errno else []
    said += map(int, re.findall(r"\b(?:errno = |os error )(\d+)", str(error)))
    return next((os.strerror(number) for number in said if number in REFUSALS), None)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block an error that means that `path` cannot be written is a UserError that says so."""
    try:
        yield
    except UserError:
        raise  # it says already what is wrong, perhaps of a file that was read
    except Exception as error:
        named = Path(str(getattr(error, "filename", None) or path))
        ours = path.is_relative_to(named) or named.parent == path.parent
        if ours and (reason := refusal(error)):
            raise UserError(
                f"{path}: cannot be written ({reason}); expected a folder that can be written to, with room: see to "
                "that and run the same command again"
            ) from error
        raise


def redirect_to_log(path: Path) -> None:
    """From here on everything written to stdout and stderr, crashes included, goes to the log at `path`.

    Progress, and the one line about a failure, go on to the terminal.
    """
    global _terminal
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("w", encoding="utf-8")
    _terminal = os.fdopen(os.dup(2), "w", buffering=1)
    with log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def tell(line: str) -> None:
    """One line to the terminal, and to the log where there is one."""
    for stream in {_terminal, sys.stderr}:
        with contextlib.suppress(OSError):  # a log that cannot be written must not keep the line from the terminal
            print(line, file=stream, flush=True)


class _Lines:
    """A stream for tqdm that starts a new line where tqdm would go back to the start of the old one."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n\x1b[A "):
            _terminal.write(line + "\n")

    def flush(self) -> None:
        _terminal.flush()


def progress(total: int, label: str, unit: str = "step", done: int = 0) -> tqdm:
    """A progress bar with the time left: a line on the terminal every quarter of a minute (many jobs share it).

    done: units that an earlier process has done.
    """
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        file=_Lines(),
        mininterval=15,
        miniters=1,
        maxinterval=1e9,
        delay=5,
        bar_format=label + ": {percentage:.0f} % of {total_fmt} {unit}s, {elapsed} gone, {remaining} left",
    )


def _flush_folder(path: Path) -> None:
    """Let a new name reach the disk, where the file system can do that for a folder."""
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _as_any_output(path: Path) -> None:
    """Give a file the rights of any other output: what safetensors writes, its owner alone may read."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that takes its name, flushed, once the block ends without error.

    UserError where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            _as_any_output(temporary)
            temporary.replace(path)
            _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Let a file have all its room on the disk before it is mapped: a disk that fills up later kills the writer."""
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


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


def seconds() -> float:
    """Seconds since this process started."""
    return time.time() - _started


def provenance(*steps: str, device: str = "cpu", seconds_before: float = 0.0) -> dict[str, Any]:
    """What made a file: commit, code digest, versions, device and the seconds since the job started.

    seconds_before: those of processes whose work this one has gone on with.
    """
    return {
        "git_commit": git_commit(),
        "code_digest": code_digest(*steps),
        "versions": versions(),
        "device": device,
        "seconds": round(seconds_before + seconds(), 2),
    }


def settled(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a file that is complete: those that are functions asked now, as a `provenance` whose seconds are to
    be all of the job's.
    """
    return {name: value() if callable(value) else value for name, value in attributes.items()}


def log_header(step: str, arguments: list[str]) -> None:
    """Open the log: what runs, with which code, versions and settings, and where, unless the step itself finds out."""
    print(f"betavae {step}, code {code_digest(step)}, {versions()}", file=sys.stderr)
    print(f"arguments: {arguments}", file=sys.stderr)
    if "--device" not in arguments:
        print("device: cpu", file=sys.stderr)
    sys.stderr.flush()


def run_logged(step: str, log: Path | None, arguments: list[str], main: Callable[[], None]) -> int:
    """Run `main` with its log open; returns the exit status. A failure is one line on the terminal."""
    import traceback

    try:
        if log is not None:
            redirect_to_log(log)
        log_header(step, arguments)
        main()
    except UserError as error:
        tell(f"betavae {step}: {' '.join(str(error).split())}")
        return 1
    except Exception as error:
        with contextlib.suppress(OSError):
            traceback.print_exc()
            sys.stderr.flush()
        said = " ".join(f"{type(error).__name__}: {error}".split())
        tell(f"betavae {step}: {said}" + (f" (see {log})" if log else ""))
        return 1
    return 0
