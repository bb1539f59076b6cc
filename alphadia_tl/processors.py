"""How many processors this process may use."""

from __future__ import annotations

from joblib import cpu_count

__all__ = ["usable_processors"]


def usable_processors() -> int:
    """Return the number of processors that the scheduler leaves to this process, at least 1.

    Fewer than the machine has, where a cluster's job, a container or ``taskset`` allows less. More threads than that
    wait for each other: ten times slower than one.
    """
    return max(1, int(cpu_count()))
