"""What the user sees while a command runs, and what the user is spared."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from l2cli.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def silence_libraries() -> None:
    """Send what C libraries write to file descriptor 2 nowhere; ``sys.stderr`` still works.

    TensorFlow's and XLA's first lines come before any of their settings is read.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    with contextlib.suppress(OSError):
        terminal = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = os.fdopen(terminal, "w", buffering=1, encoding="utf-8", errors="replace")


def say(text: str) -> None:
    """Write a line to standard error. Where nobody can read it, that is no error."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        discard_output()


def answer(held: dict[str, Any]) -> None:
    """Write a line of JSON to standard output. Where nobody reads it, that is no error."""
    try:
        print(json.dumps(held), flush=True)
    except OSError:
        discard_output()


_closed: set[int] = set()


def open_streams() -> None:
    """Open on nothing what the caller closed, so that no file is mistaken for a stream."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        _closed.add(descriptor)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def is_closed(descriptor: int) -> bool:
    """Whether the caller had closed a standard stream."""
    return descriptor in _closed


def discard_output() -> None:
    """Send what is still held for standard output and standard error nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


@contextlib.contextmanager
def progress_bar(
    show: bool | None, title: str, unit: str = "B"
) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback that draws a progress bar, over bytes if nothing is said, or does nothing.

    Parameters
    ----------
    show
        ``None`` shows it if standard error is a terminal.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, unit_scale=unit == "B", leave=False) as bar:

        def advance(done: int, total: int) -> None:
            if not done:
                bar.reset(total or None)
            bar.total = total or None
            bar.update(done - bar.n)

        yield advance
