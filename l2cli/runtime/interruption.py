"""Ctrl-C, SIGTERM and SIGHUP: once heard, never lost.

A signal raises :class:`Interrupted` wherever the program is, and that may be inside a callback
of a library that swallows exceptions. So it is noted as well, and :func:`check` raises again.

One place it must not be raised in: Python's import system, which would then hold its lock for
ever, and a thread that imports a backend would wait for it. There it is raised a moment later.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IMPORT_SYSTEM = "<frozen importlib"
_MOMENT = 0.005
"""Seconds."""

_received: list[int] = []
_raised: list[int] = []


class Interrupted(KeyboardInterrupt):
    """One of the signals came.

    Not a plain ``KeyboardInterrupt``: where such a one has passed through ``exec``, Python kills
    itself by SIGINT at its end, whatever the exit code was to be.
    """


def listen() -> None:
    """Take the signals that ask for an end, but for those that were to be ignored."""
    signal.signal(signal.SIGALRM, _raise_when_safe)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


def check() -> None:
    """Raise ``Interrupted`` where one of the signals came before."""
    if _received:
        _raise()


def note(number: int) -> None:
    """Remember that a signal came."""
    _received.append(number)


def _receive(number: int, frame: FrameType | None) -> None:
    note(number)
    _raise_when_safe(number, frame)


def _raise_when_safe(number: int, frame: FrameType | None) -> None:
    if _raised:
        return  # Once: a second time would cut the cleaning up short.
    if frame is not None and frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)
    else:
        _raise()


def _raise() -> NoReturn:
    _raised.extend(_received)
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise Interrupted
