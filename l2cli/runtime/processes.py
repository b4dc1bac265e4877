"""The processes of this machine: whether one is alive, and when it was started.

The names of temporary files tell by this whether their process is gone. This module knows
nothing of files, of child processes, or of what a process computes.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

_STATE, _START_TIME = 0, 19
"""Fields of ``/proc/PID/stat``, counted behind the name of the program."""


def host_name() -> str:
    """Return the name of this machine, as the network knows it."""
    return os.uname().nodename


def start_time(pid: int) -> int:
    """Return when a process was started, in clock ticks since boot; 0 where it can't be known."""
    fields = _stat_fields(pid)
    return int(fields[_START_TIME]) if fields else 0


def own_start_time() -> int:
    """Return when this process was started, as :func:`start_time` does."""
    return _cached_start_time(os.getpid())


def is_running(pid: int, started: int = 0) -> bool:
    """Whether a process is alive on this machine. A zombie is not.

    Parameters
    ----------
    started : int
        When it was started, as :func:`start_time` has it: a process of the same id that was
        started at another time is another process. 0 where that is not known.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # It is alive, and another user's.
    fields = _stat_fields(pid)
    if not fields:
        return not os.path.isdir("/proc/self")
    is_same = not started or int(fields[_START_TIME]) == started
    return is_same and fields[_STATE] not in "ZX"


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` behind the program's name; empty for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@functools.lru_cache(1)
def _cached_start_time(pid: int) -> int:
    return start_time(pid)
