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

from l2cli.cli.interruption import SIGNALS, check, note
from l2cli.errors import FormatError, L2NormError, crash_message

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
        Called with the child's process id if it crashed.
    consequence
        What a crash means for the destination.

    Raises
    ------
    FormatError
        Where the child was killed by a signal.
    """
    if not hasattr(os, "fork"):
        return work()
    results, outbox = os.pipe()
    lifeline, alive = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
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
    if not answer:
        clean_up(child)
        check()  # A library that is interrupted may crash, and that is not the file's fault.
        code = os.waitstatus_to_exitcode(status)
        raise FormatError(crash_message(subject, code, consequence))
    try:
        result: T = _unpack(answer)
    except L2NormError:
        check()  # Nor is what libraries make of a KeyboardInterrupt in the midst of their import.
        raise
    return result


def _be_child(work: Callable[[], Any], outbox: int, lifeline: int) -> NoReturn:
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    answer: tuple[str, Any]
    try:
        answer = ("result", work())
    except KeyboardInterrupt:
        answer = ("interrupted", None)
    except BrokenPipeError as exc:
        answer = ("error", exc)
    except L2NormError as exc:
        exc.add_note(traceback.format_exc())
        answer = ("error", exc)
    except BaseException as exc:
        error = L2NormError(f"unexpected {type(exc).__name__}: {exc}; --debug shows where")
        error.add_note(traceback.format_exc())
        answer = ("error", error)
    with contextlib.suppress(BrokenPipeError), os.fdopen(outbox, "wb") as stream:
        stream.write(pickle.dumps(answer))
    sys.stderr.flush()
    os._exit(0)


def _die_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _unpack(answer: bytes) -> Any:
    kind, value = pickle.loads(answer)
    if kind == "interrupted":
        raise KeyboardInterrupt
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
            self._before[number] = signal.signal(number, self._forward)

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        note(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, number)
