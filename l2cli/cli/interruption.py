"""Ctrl-C, SIGTERM and SIGHUP: once heard, never lost.

A signal raises ``KeyboardInterrupt`` wherever the program is, and that may be inside a callback
of a library that swallows exceptions. So it is noted as well, and :func:`check` raises again.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []


def listen() -> None:
    """Take the signals that ask for an end, but for those that were to be ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


def check() -> None:
    """Raise ``KeyboardInterrupt`` where one of the signals came before."""
    if _received:
        raise KeyboardInterrupt


def note(number: int) -> None:
    """Remember that a signal came."""
    _received.append(number)


def _receive(number: int, frame: FrameType | None) -> None:
    note(number)
    if len(_received) == 1:  # A second one must not cut the cleaning up short.
        raise KeyboardInterrupt
