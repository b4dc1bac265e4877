"""What shows the progress of a command: a bar on a terminal, lines in a log.

The commands use it, and :mod:`l2cli.cli.stores`. It is handed how far the work is, and knows
nothing of what is done.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from l2cli.runtime.interruption import check
from l2cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from l2cli.store.report import StoreProgress

    Show = Callable[[StoreProgress], None]


@contextlib.contextmanager
def progress_bar(
    show: bool | None, title: str, unit: str = "B"
) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback that shows progress and raises ``Interrupted`` if a signal came.

    Parameters
    ----------
    show : bool, optional
        ``None`` shows a bar if standard error is a terminal, and lines elsewhere.
    title : str
        What is worked on.
    unit : str
        Of the numbers that the callback gets; bytes by default.
    """
    with _drawing(show, title, unit) as draw:

        def advance(done: int, total: int) -> None:
            check()
            draw(done, total)

        yield advance


@contextlib.contextmanager
def _drawing(show: bool | None, title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    if not (sys.stderr.isatty() if show is None else show):
        yield _line_writer(title) if show is None and unit == "B" else lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, unit_scale=unit == "B", leave=False) as bar:

        def draw(done: int, total: int) -> None:
            if not done:
                bar.reset(total or None)
            bar.total = total or None
            bar.update(done - bar.n)

        yield draw


def _line_writer(title: str) -> Callable[[int, int], None]:
    from l2cli.cli.log_lines import FileLines

    return FileLines(title).write


@contextlib.contextmanager
def store_progress(show: bool | None) -> Iterator[Show | None]:
    """Yield what shows the progress: a bar on a terminal, lines elsewhere."""
    if show is False:
        yield None
    elif show or sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(unit="B", unit_scale=True, unit_divisor=1000, leave=False) as bar:

            def advance(progress: StoreProgress) -> None:
                bar.total = progress.total or None
                bar.set_description_str(printable(progress.name[-40:]), refresh=False)
                bar.update(progress.done - bar.n)

            yield advance
    else:
        from l2cli.cli.log_lines import StoreLines

        yield StoreLines().write
