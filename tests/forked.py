"""Python scripts in processes of their own that are forks of one process, which has imported the large libraries.

To import torch, transformers and alphabase takes as long as a small search. Everything that reads the home folder is
imported by each process anew: alphaDIA, peptdeep and this package.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import sys

from compiled import keep_compiled_functions

LARGE_LIBRARIES = [
    "alphabase.constants.modification",
    "matplotlib.backends.backend_pdf",
    "pyarrow.parquet",
    "rocket_fft",
    "scipy.stats",
    "sklearn.metrics",
    "torch",
    "transformers.models.bert.modeling_bert",
]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(LARGE_LIBRARIES)


def run_script(script, arguments, home, *, kill_at=()):
    """Run a script with ``home`` as the home folder; return its exit code and all that it said.

    ``kill_at``: it and its children are killed when it has logged all these texts in turn.
    """
    reader, writer = _FORKS.Pipe(duplex=False)
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    process = _FORKS.Process(target=_run, args=(str(script), [*map(str, arguments)], environment, writer))
    process.start()
    writer.close()
    lines, waited_for = [], list(kill_at)
    with os.fdopen(os.dup(reader.fileno()), encoding="utf-8", errors="replace") as output:
        for line in output:
            lines.append(line)
            if waited_for and waited_for[0] in line:
                waited_for.pop(0)
                if not waited_for:
                    os.killpg(process.pid, signal.SIGKILL)
    reader.close()
    process.join()
    return process.exitcode, "".join(lines)


def _run(script, arguments, environment, writer):
    os.setsid()
    for number in (1, 2):
        os.dup2(writer.fileno(), number)
    writer.close()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    keep_compiled_functions()
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        atexit._run_exitfuncs()
