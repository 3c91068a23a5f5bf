"""One run at a time in a results folder, by a lock that dies with the process that holds it.

Snakemake's own lock stays after kill -9 and must be taken away by hand; the profile switches it off. This one is an
advisory lock (flock) of the kernel's on a file in the folder: nobody else need ever remove it.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

from betavae.errors import UserError

NAME = ".run.lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # what file systems say that have none

_held: list[IO[str]] = []  # open as long as this process lives; processes that it starts do not inherit it


def hold(folder: Path) -> None:
    """Hold the folder until this process ends; UserError where another run does, or where nothing can be written."""
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{folder}: another run is at work there ({holder}); wait for its end, or end it, and run again"
            ) from None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            print(f"{folder}: the file system has no locks; do not start a second run there", file=sys.stderr)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); expected a folder with room to write"
        ) from error
    _held.append(file)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed had half written (see `job.atomic`), but in folders within it that have a
    lock of their own: another run may be at work there.
    """
    for path, folders, names in os.walk(folder):
        folders[:] = [own for own in folders if not Path(path, own, NAME).exists()]
        for part in fnmatch.filter(names, ".*.[0-9]*.part*"):
            Path(path, part).unlink(missing_ok=True)


def expect_writable(*names: str) -> None:
    """End, with one line, where a folder of the working directory, or that itself, cannot be written to."""
    for folder in map(Path, names):
        folder = folder if folder.exists() else Path()
        if not os.access(folder, os.W_OK):
            sys.exit(
                f"{folder.resolve()}: cannot be written to; expected a folder for results that is neither read-only "
                "nor another user's: mend that, or run with --directory elsewhere"
            )


def begin(folder: Path) -> None:
    """What a run begins with: the folder is its own, and clean. Where it cannot be, one line says why and it ends."""
    try:
        hold(folder)
        sweep(folder)
    except UserError as error:
        sys.exit(str(error))
