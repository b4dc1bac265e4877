"""The work of a command on one source, in a child process that prints nothing of libraries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from l2cli.cli.guard import run_guarded
from l2cli.cli.terminal import silence_libraries

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
) -> T:
    """Return what ``work`` returns, or raise what it raises, in a child process.

    Parameters
    ----------
    subject : str
        What is read, for the message about a crash.
    folder : Path, optional
        Where temporary files may be left that a dead child would have removed.
    consequence : str
        What a crash means for the destination.
    """
    from l2cli.filesystem.siblings import remove_siblings

    def quiet_work() -> T:
        set_up(output)
        return work()

    clean_up = (lambda pid: None) if folder is None else partial(remove_siblings, folder)
    return run_guarded(quiet_work, subject, clean_up, consequence)
