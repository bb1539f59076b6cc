"""The workflow through a real Slurm on this machine: ``make cluster-test``.

Needs Debian's packages slurmctld, slurmd, slurm-client and munge, and root. Starts a cluster of one node, runs the
workflow of the demo's experiment on it, kills one of its jobs on the way, and compares the tables with those of one
search by one process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import DEMO, SMALL, Experiment, make_experiment

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel")
# Where Slurm's commands look in a job: the executor does not hand SLURM_CONF on to it.
INSTALLED_CONFIG = Path("/etc/slurm/slurm.conf")
TABLES = ("precursors.parquet", "precursor.matrix.parquet", "peptide.matrix.parquet", "pg.matrix.parquet")
CONFIG = """
ClusterName=alphadia
SlurmctldHost={host}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CryptoType=crypto/munge
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MinJobAge=3600
NodeName={host} CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run a cluster of this machine; gives the environment in which Slurm's commands find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2 - 1000
    config = folder / "slurm.conf"
    if INSTALLED_CONFIG.exists():
        sys.exit(f"This machine has a Slurm of its own ({INSTALLED_CONFIG}).")
    config.write_text(CONFIG.format(host=socket.gethostname(), folder=folder, cpus=os.cpu_count(), memory=memory))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    environment = {**os.environ, "SLURM_CONF": str(config)}
    munge = ["munged", "--foreground", f"--key-file={key}", f"--socket={folder}/munge.socket", "--force"]
    munge += [f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    started: list[subprocess.Popen[bytes]] = []
    INSTALLED_CONFIG.symlink_to(config)
    try:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            with (folder / f"{command[0]}.out").open("wb") as out:
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            time.sleep(3)
            if started[-1].poll() is not None:
                sys.exit(f"{command[0]} ended at once: {(folder / f'{command[0]}.out').read_text()}")
        for _ in range(30):
            state = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
            if state.stdout.strip() == "idle":
                break
            time.sleep(1)
        else:
            sys.exit(f"The node did not come up: {state.stdout}{state.stderr}")
        yield environment
    finally:
        subprocess.run(["scancel", "--user", "root"], env=environment, check=False)
        for process in reversed(started):
            process.terminate()
            process.wait()
        INSTALLED_CONFIG.unlink()


def kill_one_job(environment: dict[str, str], name: str, seconds: float) -> bool:
    """Kill the first job of a rule as the loss of its node would, once it runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown = subprocess.run(
            ["squeue", "-h", "-t", "R", "-o", "%i %k"], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for line in shown.splitlines():
            job, comment = line.split(maxsplit=1)
            if name in comment:
                time.sleep(15)  # it has begun to search
                subprocess.run(["scancel", "--signal=KILL", "--full", job], env=environment, check=True)
                print(f"killed Slurm job {job} ({comment.strip()})", flush=True)
                return True
        time.sleep(1)
    return False


def same_tables(ours: Path, theirs: Path) -> bool:
    """Print and return whether two searches have the same tables, whatever the order of their rows and columns."""
    same = True
    for name in TABLES:
        a, b = (pd.read_parquet(folder / name) for folder in (ours, theirs))
        keys = [c for c in a.columns if not pd.api.types.is_float_dtype(a[c])]
        a, b = (t.sort_values(keys).reset_index(drop=True)[sorted(t.columns)] for t in (a, b))
        equal = a.equals(b)
        same &= equal
        print(f"{name}: {len(a):,} rows against {len(b):,}: {'equal' if equal else 'NOT equal'}")
    return same


def run(experiment: Experiment, folder: Path) -> int:
    """Search an experiment by Slurm and by one process, and compare."""
    config = deep_merge(experiment.config(), {"alphadia_tl": {"enabled": True}})
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [str(Path(sys.executable).with_name("alphadia-tl"))]
    arguments = ["--config", str(path), "-o"]
    profile = Path(__file__).parents[2] / "config" / "profiles" / "slurm"
    flags = ["--profile", str(profile), "--default-resources", "slurm_partition=cpu", "--slurm-no-account"]
    flags += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"]
    with slurm(folder / "slurm") as environment:
        environment |= experiment.environment()
        started = time.monotonic()
        workflow = [*command, "workflow", *arguments, str(folder / "workflow"), *flags]
        with subprocess.Popen(workflow, env=environment) as process:
            killed = kill_one_job(environment, "search", 900)
            code = process.wait()
        print(f"workflow through Slurm: exit code {code}, {time.monotonic() - started:.0f} s, one job killed: {killed}")
    started = time.monotonic()
    one = subprocess.run(
        [*command, *arguments, str(folder / "one_process")], env=experiment.environment(), check=False
    ).returncode
    print(f"one process: exit code {one}, {time.monotonic() - started:.0f} s")
    same = code == one == 0 and same_tables(folder / "workflow", folder / "one_process")
    return 0 if same and killed else 1


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("cluster_output"))
    parser.add_argument("--small", action="store_true", help="Three small runs instead of the demo's one.")
    options = parser.parse_args()
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        sys.exit(f"Not installed: {', '.join(missing)}. Run: apt-get install slurmctld slurmd slurm-client munge")
    folder: Path = options.work.resolve()
    for old in ("slurm", "workflow", "one_process"):
        shutil.rmtree(folder / old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    preset = replace(SMALL, n_runs=3) if options.small else DEMO
    return run(make_experiment(folder / "experiment", preset), folder)


if __name__ == "__main__":
    sys.exit(main())
