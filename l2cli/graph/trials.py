"""Executables on their first call in a process, and those that ended it.

Code that an earlier run kept might crash, and no exception tells of that. So a process leaves a
mark beside an executable before it loads it, and removes the mark when the first call has come
back. The mark of a process that is gone stands for a crash: the executable is removed, and made
anew. :mod:`l2cli.graph.backends.jax` sets the marks, and whoever sees a child crash asks whether
there are any. Where the folder can't be written there are none.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from l2cli.graph.cache import EXECUTABLE, cache_folder, graph_path
from l2cli.runtime.processes import host_name, is_running, own_start_time

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".trial"
_LONGEST_SECONDS = 60.0
"""A first call on another machine that takes longer has crashed."""


def begin_trial(key: str) -> bool:
    """Note that the executable of ``key`` is about to be run; ``False`` where that crashed."""
    mark = graph_path(key, _SUFFIX)
    if _has_crashed(mark):
        _remove(mark)
        return False
    with contextlib.suppress(OSError):
        mark.write_text(f"{os.getpid()} {own_start_time()} {host_name()}")
    return True


def end_trial(key: str) -> None:
    """Note that it came back."""
    with contextlib.suppress(OSError):
        graph_path(key, _SUFFIX).unlink()


def remove_crashed() -> bool:
    """Remove the executables that ended their process, and return whether there were any."""
    crashed = [mark for mark in cache_folder().glob(f"*{_SUFFIX}") if _has_crashed(mark)]
    for mark in crashed:
        _remove(mark)
    return bool(crashed)


def _has_crashed(mark: Path) -> bool:
    """Whether a mark is there whose process is gone."""
    try:
        process, started, host = mark.read_text().split(" ", 2)
        age = time.time() - mark.stat().st_mtime
        is_here = host == host_name()
        return not is_running(int(process), int(started)) if is_here else age > _LONGEST_SECONDS
    except ValueError:  # It was cut off when it was written.
        return True
    except OSError:
        return False


def _remove(mark: Path) -> None:
    for path in (mark.with_suffix(EXECUTABLE), mark):
        with contextlib.suppress(OSError):
            path.unlink()
