"""Compilation of the serial CPU kernels of the synth layer.

A kernel module (``*_kernel.py``) needs numba and is imported by the first call that uses it, not before.
"""

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

AVAILABLE = find_spec("numba") is not None
QUIET = 1e-18  # kernels set what is softer to zero, before it becomes denormal and slow
NOT_KEPT = (
    "compiled code cannot be kept here, so every start takes longer: name a folder that can be written to in "
    "NUMBA_CACHE_DIR."
)


def kernel(function: Callable) -> Callable:
    """Compiles a function with numba on first use and caches it on disk beside the source (or in the user's cache).

    Where neither can be written to, it is compiled anew in each process, and a warning says so once. It is serial and
    runs without the interpreter's lock: safe in threads and forked workers, and bitwise repeatable. Sums may be
    reordered and multiply-adds fused, but NaN and infinity keep their meaning.
    """
    from numba import njit

    compiled = partial(njit, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
    try:
        return compiled(cache=True)(function)
    except RuntimeError:  # numba has found no folder to keep it in
        warnings.warn(NOT_KEPT, stacklevel=1)
        return compiled()(function)
