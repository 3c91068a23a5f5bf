"""Disks that are full and folders that are read-only: one clear line, and nothing half-written."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from betavae import codes, job
from betavae.digest import PACKAGE
from betavae.errors import UserError
from running import TINY, command, environment

STRIDES = {"scale": 5, "orientation": 10, "posX": 4, "posY": 5}  # 0.7 MB of bits


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, mounted; disk(options) changes how."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)

    if os.geteuid() != 0 or mount("-t", "tmpfs", "-o", "size=200k", "tmpfs").returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield folder, lambda options: mount("-o", f"remount,{options}")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_dataset(folder):
    """The data set's step, its outputs and log in `folder`."""
    outputs = [f"--{name}={folder / file}" for name, file in (("h5", "dsprites.h5"), ("bits", "dsprites_bits.npy"))]
    return subprocess.run(
        [
            *(sys.executable, "-m", "betavae", "dataset", "--log", str(folder / "logs" / "dataset.log")),
            *(*outputs, f"--strides={json.dumps(STRIDES)}"),
        ],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_is_one_line_and_leaves_nothing(disk):
    folder, _ = disk
    run = run_dataset(folder)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("betavae dataset: ")
    assert "dsprites" in line
    assert "cannot be written (No space left on device); expected a folder" in line
    assert files(folder) == ["logs/dataset.log"]


def test_a_disk_so_full_that_there_is_no_log_is_one_line(disk):
    folder, _ = disk
    (folder / "logs").mkdir()
    (folder / "filler").write_bytes(bytes(4096 * 48))
    with pytest.raises(OSError, match="No space"):
        (folder / "rest").write_bytes(bytes(4096 * 10))
    run = run_dataset(folder)
    assert run.returncode != 0
    assert "No space left on device" in run.stderr
    assert not [name for name in files(folder) if "dsprites" in name]


def test_a_read_only_folder_is_one_line(disk):
    folder, remount = disk
    assert remount("ro").returncode == 0
    run = run_dataset(folder)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "Read-only file system" in line
    assert str(folder) in line
    assert files(folder) == []


def test_codes_that_find_no_room_are_refused_before_they_are_mapped(disk):
    """Written through a mapped file, a disk that fills up would kill the process without a word."""
    folder, _ = disk
    refused = pytest.raises(UserError, match=r"beta4\.h5: cannot be written \(No space left on device\)")
    with refused, codes.write_codes(folder / "beta4.h5", (1, 100_000, 2)) as arrays:
        arrays["mean"][:] = 1.0
    assert files(folder) == []


def test_a_whole_run_in_a_read_only_folder_ends_in_one_line(disk):
    folder, remount = disk
    (folder / "results").mkdir()
    assert remount("ro").returncode == 0
    run = subprocess.run(
        command(folder, "--cores", "1", "results/data/tiny/dsprites.h5", "--configfile", str(TINY)),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    said = run.stdout + run.stderr
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"{folder}: cannot be written to; expected a folder for results")
    assert "Traceback" not in said


# Without a disk of their own --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (OSError("Can't write data (file write failed: time = Tue, errno = 28, error message = 'No'"), "No space left"),
        (RuntimeError("I/O error: Disk quota exceeded (os error 122)"), "Disk quota exceeded"),
        (ValueError("28"), None),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (OSError("errno = 5"), None),
    ],
    ids=repr,
)
def test_what_the_system_says_of_a_disk_is_recognised(error, reason):
    assert (job.refusal(error) or "None").startswith(str(reason))


def half_write(path, error):
    with job.atomic(path) as part:
        part.write_text("half")
        raise error


def test_an_output_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with pytest.raises(KeyError):
        half_write(path, KeyError())
    assert files(tmp_path) == []
    path.write_text("old")
    with pytest.raises(UserError, match=r"table\.csv: cannot be written \(No space left"):
        half_write(path, OSError(errno.ENOSPC, "No space left on device"))
    assert path.read_text() == "old"
    with job.atomic(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert files(tmp_path) == ["new/table.csv"]


def test_weights_may_be_read_by_whoever_may_read_the_other_results(tmp_path):
    before = os.umask(0o027)
    try:
        with job.atomic(tmp_path / "beta4.safetensors") as part:
            save_file({"a": np.zeros(2, np.float32)}, part)
    finally:
        os.umask(before)
    assert (tmp_path / "beta4.safetensors").stat().st_mode & 0o777 == 0o640


def test_an_input_that_may_not_be_read_is_not_taken_for_the_output(tmp_path):
    with pytest.raises(PermissionError):
        half_write(tmp_path / "table.csv", PermissionError(errno.EACCES, "Permission denied", "/data/codes.h5"))


def test_codes_are_read_back_as_they_were_written(tmp_path):
    shape = (2, 30, 3)
    with codes.write_codes(tmp_path / "beta4.h5", shape, ("mean", "logvar"), scale="tiny") as arrays:
        for number, array in enumerate(arrays.values()):
            array[:] = np.arange(180).reshape(shape) + number
    stored = codes.StoredCodes(tmp_path / "beta4.h5", 30)
    np.testing.assert_array_equal(stored.codes(1), np.arange(90, 180).reshape(30, 3))
    np.testing.assert_array_equal(stored.logvar(0), np.arange(90).reshape(30, 3) + 1)
