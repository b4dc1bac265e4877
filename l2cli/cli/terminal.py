"""What the user sees while a command runs, and what the user is spared."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def silence_libraries() -> None:
    """Send what C libraries write to file descriptor 2 nowhere; ``sys.stderr`` still works.

    TensorFlow's and XLA's first lines come before any of their settings is read.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    warnings.simplefilter("ignore")
    with contextlib.suppress(OSError):
        terminal = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = os.fdopen(terminal, "w", buffering=1, encoding="utf-8", errors="replace")


@contextlib.contextmanager
def progress_bar(show: bool | None, title: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback that draws a progress bar over bytes, or ``None`` where none is wanted.

    Parameters
    ----------
    show
        ``None`` shows it if standard error is a terminal.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit="B", unit_scale=True, unit_divisor=1000, leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        yield advance
