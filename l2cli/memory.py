"""The memory of a process that is our own."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""From glibc's ``malloc.h``."""


def reuse_freed_memory() -> None:
    """Let the C library keep what is freed for the next batch, where it is glibc.

    It would give each freed batch back to the system, and every page of the next one would be
    a page fault.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)  # What one thread frees another can have.
        mallopt(_MMAP_THRESHOLD, 2**25)
        mallopt(_TRIM_THRESHOLD, 2**26)
