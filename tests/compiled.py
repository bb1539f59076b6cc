"""Compiled functions of alphabase are kept on disk, as alphaDIA's are with its own switch."""

import os
from functools import partial


def keep_compiled_functions():
    """Call it before alphabase's functions are imported: they take a fifth of a small search to compile."""
    os.environ.setdefault("USE_NUMBA_CACHING", "1")
    import alphabase.numba_wrapper
    import numba

    alphabase.numba_wrapper.numba_njit = partial(numba.njit, cache=True)
