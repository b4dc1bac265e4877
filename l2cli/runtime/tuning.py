"""Settings of the whole process: glibc's memory allocation and XLA's threads.

The command and the workers of a store call :func:`tune_process`, for they own their process. The
library never does: the process is its caller's.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""From glibc's ``malloc.h``."""


def tune_process() -> None:
    """Set up memory and threads. To be called before NumPy and a backend are imported."""
    _reuse_freed_memory()
    _compute_in_one_thread()


def _reuse_freed_memory() -> None:
    """Let the C library keep what is freed for the next batch, where it is glibc.

    It would give each freed batch back to the system, and every page of the next one would be
    a page fault.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)  # What one thread frees another can have.
        mallopt(_MMAP_THRESHOLD, 2**25)
        mallopt(_TRIM_THRESHOLD, 2**26)


def _compute_in_one_thread() -> None:
    """Have XLA on CPU compute a batch in one thread, and not look for work with the others.

    One computes faster than files are written, and reading and writing want the rest.
    """
    os.environ.setdefault("PJRT_NPROC", "1")
    os.environ.setdefault("JAX_CPU_ENABLE_ASYNC_DISPATCH", "false")
