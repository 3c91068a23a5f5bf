"""A Slurm of one node on loopback, for tests: two partitions, two pretended GPUs, no accounting, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
# Debian keeps daemons where only root looks.
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# Where the plugin's inner srun looks: it drops SLURM_CONF.
ETC = Path("/etc/slurm")

SLURM_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=200000,bf_interval=1
ReturnToService=2
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MinJobAge=3600
KillWait=5
TaskProlog={folder}/task_prolog
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:toy:2
PartitionName=cpu Nodes={host} Default=YES MaxTime=UNLIMITED
PartitionName=gpu Nodes={host} MaxTime=UNLIMITED
"""
# Runs before each task, with its environment: keeps which GPU each job was given.
TASK_PROLOG = """\
#!/bin/sh
echo "$SLURM_JOB_ID $CUDA_VISIBLE_DEVICES" >> {folder}/devices
"""
GRES_CONF = """\
Name=gpu Type=toy File=/dev/null
Name=gpu Type=toy File=/dev/zero
"""


def missing() -> str | None:
    """Why no Slurm can be started here; None where it can."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=SEARCHED)]
    if absent:
        return f"no {', '.join(absent)}: needs Debian's slurm-wlm and munge"
    if os.geteuid() != 0:
        return "starting a Slurm needs root"
    if (ETC / "slurm.conf").exists():
        return f"{ETC}/slurm.conf exists: this machine has a Slurm of its own"
    return None


@contextmanager
def running(folder: Path, cpus: int = 8, memory: int = 60000) -> Iterator[None]:
    """Start munged, slurmctld and slurmd with all that they keep in this folder, and stop them at the end.

    More CPUs and memory may be claimed than there are. Raises RuntimeError if the node is not up in half a minute.
    """
    ETC.mkdir(exist_ok=True)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    settings = {"host": socket.gethostname().partition(".")[0], "folder": folder, "cpus": cpus, "memory": memory}
    links = []
    try:
        for name, text in (("slurm.conf", SLURM_CONF.format(**settings)), ("gres.conf", GRES_CONF)):
            (folder / name).write_text(text, encoding="utf-8")
            (ETC / name).unlink(missing_ok=True)  # a link to nowhere that a killed run left
            (ETC / name).symlink_to(folder / name)
            links.append(ETC / name)
        prolog = folder / "task_prolog"
        prolog.write_text(TASK_PROLOG.format(**settings), encoding="utf-8")
        prolog.chmod(0o700)
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        munge = [f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "log", "seed")]
        # --force: pytest's folders are its user's alone, and so are all who ask.
        for name, *options in (
            ("munged", "--force", *munge, f"--socket={folder}/munge.socket"),
            ["slurmctld"],
            ["slurmd"],
        ):
            subprocess.run([str(shutil.which(name, path=SEARCHED)), *options], check=True)
        _wait_until_idle(folder)
        yield
    finally:
        for name in ("slurmd", "slurmctld", "munge"):
            _stop(folder / f"{name}.pid")
        for link in links:
            link.unlink(missing_ok=True)


def _wait_until_idle(folder: Path) -> None:
    """Return once the node takes jobs."""
    for _ in range(120):
        state = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
        if "idle" in state.stdout:
            return
        time.sleep(0.25)
    raise RuntimeError(f"Slurm's node does not come up: {state.stdout}{state.stderr}; see {folder}/*.log")


def _stop(pid_file: Path) -> None:
    """End the process that a pid file names, and wait for it."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    for attempt in range(40):
        try:
            os.kill(pid, signal.SIGTERM if attempt == 0 else 0)
        except ProcessLookupError:
            return
        time.sleep(0.25)
    os.kill(pid, signal.SIGKILL)
