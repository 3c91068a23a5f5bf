"""One run at a time in a results folder."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from betavae import run_lock
from betavae.digest import PACKAGE
from betavae.errors import UserError
from running import TINY, last_line, snakemake

# Holds the folder, then starts a child that outlives it.
HOLD = """
import subprocess, sys, time
from pathlib import Path
from betavae import run_lock
run_lock.begin(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _released(monkeypatch):
    monkeypatch.setattr(run_lock, "_held", [])


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds, the process, and the process that it has started in turn."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "results")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    yield tmp_path / "results", process, child
    process.kill()
    process.wait()
    process.stdout.close()
    os.kill(child, signal.SIGKILL)


def test_the_second_run_is_told_who_holds_the_folder_and_ends(held):
    folder, process, _ = held
    with pytest.raises(SystemExit) as ended:
        run_lock.begin(folder)
    said = str(ended.value.code)
    assert len(said.splitlines()) == 1
    assert f"another run is at work there (process {process.pid} on " in said
    assert "since 2" in said
    run_lock.begin(folder.parent / "elsewhere")


def test_a_second_snakemake_is_told_who_holds_the_folder_and_ends_before_any_job(held):
    folder, process, _ = held
    target = ("results/tables/table1.csv", "--cores", "1", "--configfile", str(TINY))
    run = snakemake(folder.parent, *target)
    assert run.returncode != 0
    assert f"results: another run is at work there (process {process.pid} on " in last_line(run)
    assert "Traceback" not in run.stdout + run.stderr
    assert [path.name for path in folder.iterdir()] == [run_lock.NAME]
    assert snakemake(folder.parent, *target, "--dry-run").returncode == 0


def test_the_lock_dies_with_its_process_and_not_with_what_that_started(held):
    folder, process, child = held
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.kill(child, 0)  # still there
    run_lock.begin(folder)
    assert f"process {os.getpid()} on " in (folder / run_lock.NAME).read_text()


def test_what_a_killed_process_had_half_written_is_removed(tmp_path):
    half = tmp_path / "tiny" / "codes" / ".beta4.h5.123.part.h5"
    half.parent.mkdir(parents=True)
    half.write_text("half")
    whole = [tmp_path / "tiny" / "codes" / "beta4.h5", tmp_path / "tiny" / ".hidden.part", tmp_path / "a.1.part.h5"]
    for path in whole:
        path.write_text("whole")
    run_lock.begin(tmp_path)
    assert not half.exists()
    assert all(path.exists() for path in whole)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path, monkeypatch, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(run_lock.fcntl, "flock", refuse)
    with pytest.raises(UserError) as refused:
        run_lock.hold(tmp_path / "results")
    assert f"results/.run.lock: cannot be written ({os.strerror(number)}); expected a folder" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_lock.fcntl, "flock", refuse)
    run_lock.hold(tmp_path)
    assert "has no locks; do not start a second run there" in capsys.readouterr().err


def test_what_was_half_written_is_removed_but_not_where_another_run_is_at_work(tmp_path):
    stale, alive = tmp_path / "codes/.beta4.h5.12.part.h5", tmp_path / "other/results/codes/.beta4.h5.34.part.h5"
    for part in (stale, alive):
        part.parent.mkdir(parents=True)
        part.touch()
    (tmp_path / "other/results" / run_lock.NAME).touch()
    run_lock.sweep(tmp_path)
    assert not stale.exists()
    assert alive.exists()
