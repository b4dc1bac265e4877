"""By what a store knows that a file is as it was: size and time of change, or its content.

The plan, the shards and the manifest use it. It knows nothing of tasks and of formats.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Fingerprint = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""

_FINE_TICK, _COARSE_TICK = 20_000_000, 2_000_000_000
"""How far, in nanoseconds, a file system's clock may lag: by the tick, or on FAT by 2 s."""


def fingerprint(path: str | Path, *, follow_links: bool = False) -> Fingerprint | None:
    """Return size and time of change of the file at ``path``.

    Parameters
    ----------
    path : str or Path
        The file.
    follow_links : bool
        Whether a symbolic link stands for the file that it leads to, not for itself.

    Returns
    -------
    tuple of int or None
        ``None`` where there is no file.
    """
    try:
        status = os.stat(path, follow_symlinks=follow_links)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def digest(path: str) -> str:
    """Return the content hash of the file at ``path``."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_young(source: Fingerprint) -> bool:
    """Whether the source may change again without a new time of change."""
    tick = _FINE_TICK if source[1] % 1_000_000_000 else _COARSE_TICK
    return time.time_ns() - source[1] < tick
