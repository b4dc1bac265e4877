"""The work of a command on a single file, in a child: a crash of a C library becomes a message.

HDF5 and Arrow have crashed on malformed files, XLA on flags that it doesn't know. The commands
call :func:`run_guarded`; how a child is started, supervised and ended is the business of
:mod:`l2cli.runtime.child`.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, TypeVar

from l2cli.errors import FormatError, L2NormError, OptionError, message_of, missing_module
from l2cli.runtime.child import ChildCrashedError, call_in_fork, crash_message
from l2cli.runtime.interruption import check

if TYPE_CHECKING:
    from collections.abc import Callable

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
    work : callable
        What the child does.
    subject : str
        What is being read, for the message about a crash.
    clean_up : callable
        Called with the child's process id if it did not end well.
    consequence : str
        What a crash means for the destination.

    Raises
    ------
    FormatError
        Where the child was killed by a signal.
    """
    try:
        return call_in_fork(work, _as_error, clean_up)
    except ChildCrashedError as exc:
        check()  # A library that is interrupted may crash: that is no fault of the file.
        raise FormatError(crash_message(subject, exc.exit_code, consequence)) from None
    except L2NormError:
        check()  # Nor is what others make of an interrupt in the midst of their import.
        raise


def _as_error(error: BaseException) -> BaseException:
    """Return what the parent is to raise, with the child's traceback as a note."""
    if isinstance(error, BrokenPipeError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return OptionError(missing_module(error))
    raised = error if isinstance(error, L2NormError) else L2NormError(message_of(error))
    raised.add_note("".join(traceback.format_exception(error)))
    return raised
