"""Work in a child process, so that a crash of a C library ends in a message and not in silence.

HDF5 and Arrow have crashed on malformed files, XLA on flags that it doesn't know. A fork before
anything heavy is imported costs about a millisecond. The child does everything; the parent
waits, passes signals on, and says what happened.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from l2cli.cli.interruption import SIGNALS, Interrupted, check, note
from l2cli.errors import (
    FormatError,
    L2NormError,
    OptionError,
    crash_message,
    message_of,
    missing_module,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    T = TypeVar("T")


def run_guarded(
    work: Callable[[], T],
    subject: str,
    clean_up: Callable[[int], None],
    consequence: str = "nothing was written",
) -> T:
    """Return ``work()``, which runs in a child process; raise what it raises.

    Parameters
    ----------
    subject
        What is being read, for the message about a crash.
    clean_up
        Called with the child's process id if it did not end well.
    consequence
        What a crash means for the destination.

    Raises
    ------
    FormatError
        Where the child was killed by a signal.
    """
    if not hasattr(os, "fork"):
        return work()
    check()
    results, outbox = os.pipe()
    lifeline, alive = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # Until each of the two is ready for them.
    child = os.fork()
    if child == 0:
        os.close(results)
        os.close(alive)
        _be_child(work, outbox, lifeline)
    os.close(outbox)
    os.close(lifeline)
    with _forwarding(child), os.fdopen(results, "rb") as stream:
        answer = stream.read()
        status = os.waitpid(child, 0)[1]
    os.close(alive)
    try:
        result: T = _unpack(answer, subject, status, consequence)
    except BaseException as exc:
        clean_up(child)  # A signal may have come just before it would have done so itself.
        if isinstance(exc, L2NormError):
            # A library that is interrupted may crash, and what others make of an interrupt in the
            # midst of their import is no fault of the file either.
            check()
        raise
    return result


def _be_child(work: Callable[[], Any], outbox: int, lifeline: int) -> NoReturn:
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    try:
        answer = _answer(work)
    except KeyboardInterrupt:
        answer = ("interrupted", None)
    with contextlib.suppress(BrokenPipeError), os.fdopen(outbox, "wb") as stream:
        stream.write(pickle.dumps(answer))
    sys.stderr.flush()
    os._exit(0)


def _answer(work: Callable[[], Any]) -> tuple[str, Any]:
    """Return what ``work`` returns or raises; only an interrupt is raised, and none after it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        return "result", work()
    except KeyboardInterrupt:
        raise
    except BrokenPipeError as exc:
        return "error", exc
    except L2NormError as exc:
        exc.add_note(traceback.format_exc())
        return "error", exc
    except ModuleNotFoundError as exc:
        return "error", OptionError(missing_module(exc))
    except BaseException as exc:
        error = L2NormError(message_of(exc))
        error.add_note(traceback.format_exc())
        return "error", error
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _die_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _unpack(answer: bytes, subject: str, status: int, consequence: str) -> Any:
    if not answer:
        code = os.waitstatus_to_exitcode(status)
        raise FormatError(crash_message(subject, code, consequence))
    kind, value = pickle.loads(answer)
    if kind == "interrupted":
        raise Interrupted
    if kind == "error":
        raise value
    return value


class _forwarding:
    """Pass the signals that ask for an end on to the child while the block runs."""

    def __init__(self, child: int) -> None:
        self._child = child
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # As under nohup: nobody asks for an end.
            self._before[number] = signal.signal(number, self._forward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        note(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, number)
