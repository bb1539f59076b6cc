"""A file system of 8 MB that only the command behind it sees."""

import subprocess
import tempfile

import pytest

SMALL_DISK = ["unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$@"']


def _may_mount():
    try:
        return subprocess.run([*SMALL_DISK, tempfile.gettempdir(), "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


may_mount = pytest.mark.skipif(not _may_mount(), reason="no file system can be mounted here")
