import os
import signal
import socket
import subprocess
import sys
import time

import filelock
import pytest
from stand_in import put_in_place

from alphadia_tl.commands.workflow import LOCKS, SNAKEFILE, driving, run_snakemake, snakemake_command
from alphadia_tl.errors import OutputError
from alphadia_tl.search.done import LOCK_NAME


@pytest.mark.parametrize(
    ("flags", "cores"),
    [
        ([], True),
        (["--dry-run"], True),
        (["--cores", "4"], False),
        (["-j", "9", "--executor", "slurm"], False),
        (["--profile=p"], False),
        (["--executor=slurm"], False),
    ],
)
def test_all_cores_are_used_unless_the_user_says_how_many(tmp_path, flags, cores):
    found = snakemake_command(tmp_path, flags)
    assert ("all" in found) == cores
    assert found[-len(flags) :] == flags if flags else found[-1] == "all"
    assert found[found.index("--snakefile") + 1] == str(SNAKEFILE)
    assert found[found.index("--directory") + 1] == str(tmp_path)
    assert "--rerun-incomplete" in found


def lock_of_snakemake(folder):
    (folder / LOCKS).mkdir(parents=True)
    lock = folder / LOCKS / "0.input.lock"
    lock.write_text("run_1.raw")
    return lock


def held_by_another(folder):
    return filelock.FileLock(folder / LOCK_NAME)


def test_the_lock_of_a_killed_workflow_is_removed(tmp_path):
    with driving(tmp_path) as alone:
        assert alone
    lock = lock_of_snakemake(tmp_path)
    with driving(tmp_path) as alone:
        assert alone
        assert not lock.exists()


def test_a_workflow_that_runs_keeps_its_lock_and_snakemake_says_so(tmp_path):
    lock = lock_of_snakemake(tmp_path)
    with held_by_another(tmp_path), driving(tmp_path) as alone:
        assert not alone
        assert lock.exists()


def test_a_lock_of_another_machine_is_left_to_the_user(tmp_path, caplog):
    with driving(tmp_path):
        pass
    lock = lock_of_snakemake(tmp_path)
    (tmp_path / "jobs" / "driver.txt").write_text("node7." + socket.gethostname())
    with driving(tmp_path):
        assert lock.exists()
    assert "node7" in caplog.text
    assert "--unlock" in caplog.text


def test_a_search_on_one_machine_keeps_a_workflow_out(tmp_path):
    with (
        held_by_another(tmp_path),
        pytest.raises(OutputError, match="Another search is running"),
        driving(tmp_path),
    ):
        pass


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_signal_to_stop_reaches_snakemake(tmp_path, monkeypatch):
    child = (
        "import signal, time, pathlib\n"
        f"heard = pathlib.Path({str(tmp_path)!r}, 'heard')\n"
        "signal.signal(signal.SIGTERM, lambda *_: (heard.write_text('TERM'), sys.exit(3)))\n"
        "heard.with_name('ready').write_text('')\n"
        "time.sleep(60)\n"
    )
    put_in_place(monkeypatch, tmp_path, "snakemake", child)
    sender = (
        "import os, pathlib, signal, time\n"
        f"ready = pathlib.Path({str(tmp_path)!r}, 'ready')\n"
        "while not ready.exists(): time.sleep(0.02)\n"
        f"os.kill({os.getpid()}, signal.SIGTERM)\n"
    )
    with subprocess.Popen([sys.executable, "-c", sender]):
        started = time.monotonic()
        assert run_snakemake(tmp_path, []) == 3
    assert (tmp_path / "heard").read_text() == "TERM"
    assert time.monotonic() - started < 50
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
