"""Compilation of the serial CPU kernels of the synth layer.

A kernel module (``*_kernel.py``) needs numba and is imported by the first call that uses it, not before.
"""

from collections.abc import Callable
from importlib.util import find_spec

AVAILABLE = find_spec("numba") is not None
QUIET = 1e-18  # kernels set what is softer to zero, before it becomes denormal and slow


def kernel(function: Callable) -> Callable:
    """Compiles a function with numba on first use and caches it on disk beside the source (or in the user's cache).

    It is serial and runs without the interpreter's lock: safe in threads and forked workers, and bitwise
    repeatable. Sums may be reordered and multiply-adds fused, but NaN and infinity keep their meaning.
    """
    from numba import njit

    return njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})(
        function
    )
