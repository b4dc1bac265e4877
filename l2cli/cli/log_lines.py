"""How far a long run is, a line at a time, where there is no terminal to draw a bar on.

Used by :mod:`l2cli.cli.progress`. It counts and prints, and knows nothing of what is counted.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from l2cli.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from l2cli.store.report import StoreProgress

_MINUTE, _HOUR = 60.0, 3600.0
_SLOW = 10_000
"""Bytes a second, from which on megabytes are the unit."""
_STORE_TIMES = (0.0, 10.0, 30.0)
"""Seconds after which a line is due; from then on, each minute."""


class StoreLines:
    """The lines of a store: one at once, so that a log shows that it runs.

    Parameters
    ----------
    clock : callable
        Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._timetable = _Timetable(_STORE_TIMES, clock)

    def write(self, progress: StoreProgress) -> None:
        """Write a line if it is time for one."""
        elapsed = self._timetable.elapsed()
        if elapsed is None:
            return
        parts = [
            f"{progress.num_done:,} of {progress.num_shards:,} files",
            _amount(progress.done, progress.total),
            *_speed(progress.read, progress.total - progress.done, elapsed),
        ]
        if progress.num_failed:
            parts.append(f"{progress.num_failed:,} failed")
        if progress.name:
            parts.append(f"at {progress.name}")
        say(f"l2norm: {', '.join(parts)}")


class FileLines:
    """The lines of one file, none in the first minute.

    Parameters
    ----------
    name : str
        What messages call the file.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._timetable = _Timetable((), clock)

    def write(self, done: int, total: int) -> None:
        """Write a line if it is time for one; ``total`` is 0 where nobody knows it."""
        elapsed = self._timetable.elapsed()
        if elapsed is not None:
            parts = [_amount(done, total), *_speed(done, total - done, elapsed)]
            say(f"l2norm: {self._name}: {', '.join(parts)}")


class _Timetable:
    """Tells when a line is due: at some times after the start, and then each minute."""

    def __init__(self, times: Sequence[float], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._times = itertools.chain(times, itertools.count(_MINUTE, _MINUTE))
        self._next = next(self._times)

    def elapsed(self) -> float | None:
        """Return the seconds since the start if a line is due, once for each that is."""
        elapsed = self._clock() - self._started
        if elapsed < self._next:
            return None
        self._next = next(due for due in self._times if due > elapsed)
        return elapsed


def _amount(done: int, total: int) -> str:
    if not total:
        return f"{done / 1e6:,.0f} MB"
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB ({done / total:.0%})"


def _speed(num_bytes: int, num_left: int, seconds: float) -> list[str]:
    """Return the rate of ``num_bytes`` in ``seconds``, and what time the rest takes at that."""
    if not num_bytes or not seconds:
        return []
    rate = num_bytes / seconds
    left = [f"{_duration(num_left / rate)} left"] if num_left > 0 else []
    speed = f"{rate / 1e6:,.3g} MB/s" if rate > _SLOW else f"{rate / 1e3:,.1f} kB/s"
    return [speed, *left]


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
