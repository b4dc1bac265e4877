"""The work of a command on one source, in a child process that prints nothing of libraries.

HDF5 and Arrow have crashed on malformed files, XLA on flags that it doesn't know: in a child, a
crash becomes a message. The commands call :func:`in_child`; how a child is started, supervised
and ended is the business of :mod:`l2cli.runtime.child`.
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from l2cli.cli.terminal import silence_libraries
from l2cli.errors import FormatError, L2NormError, OptionError, message_of, missing_module
from l2cli.runtime.child import ChildCrashedError, call_in_fork, crash_message
from l2cli.runtime.interruption import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.cli.options import Output

    T = TypeVar("T")


def set_up(output: Output) -> None:
    """Set up a process of the command's own for work: quiet, and with much room to allocate."""
    from l2cli.runtime.tuning import tune_process

    if not output.debug:
        silence_libraries()
    tune_process()


def in_child(
    work: Callable[[], T],
    subject: str,
    output: Output,
    folder: Path | None = None,
    consequence: str = "nothing was written",
    *,
    repeatable: bool = True,
) -> T:
    """Return what ``work`` returns, or raise what it raises, in a child process.

    Where an executable of an earlier run ended the child, it is removed from the cache, and the
    work is done once more without it.

    Parameters
    ----------
    work : callable
        What the child does.
    subject : str
        What is read, for the message about a crash.
    output : Output
        What the command prints; with ``--debug``, what libraries print too.
    folder : Path, optional
        Where temporary files may be left that a dead child would have removed.
    consequence : str
        What a crash means for the destination.
    repeatable : bool
        Whether the work can be done twice: not where it reads or writes a stream.

    Raises
    ------
    FormatError
        Where the child was killed by a signal.
    """
    from l2cli.filesystem.siblings import remove_siblings

    def quiet_work() -> T:
        set_up(output)
        return work()

    clean_up = (lambda pid: None) if folder is None else partial(remove_siblings, folder)
    try:
        return call_in_fork(quiet_work, _as_error, clean_up)
    except ChildCrashedError as exc:
        check()  # A library that is interrupted may crash: that is no fault of the file.
        if _remove_crashed() and repeatable:
            return in_child(work, subject, output, folder, consequence, repeatable=False)
        raise FormatError(crash_message(subject, exc.exit_code, consequence)) from None
    except L2NormError:
        check()  # Nor is what others make of an interrupt in the midst of their import.
        raise


def _remove_crashed() -> bool:
    from l2cli.graph.trials import remove_crashed

    return remove_crashed()


def _as_error(error: BaseException) -> BaseException:
    """Return what the parent is to raise, with the child's traceback as a note."""
    if isinstance(error, BrokenPipeError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return OptionError(missing_module(error))
    raised = error if isinstance(error, L2NormError) else L2NormError(message_of(error))
    raised.add_note("".join(traceback.format_exception(error)))
    return raised
