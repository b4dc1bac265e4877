"""What runs the tasks of a store: a table of runners, and the module of each.

:func:`~l2cli.store.run.normalize_store` finds its runner here. To add one, write a module with a
class that follows :class:`~l2cli.store.runners.base.Runner`, and add its row.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from l2cli.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.store.runners.base import Runner

RUNNERS = {"local": "l2cli.store.runners.local:LocalRunner"}
"""Module and class of each runner, by name. A class takes ``jobs`` and ``keep_open``."""


def find_runner(
    runner: str | Runner, jobs: int | None = None, keep_open: Sequence[int] = ()
) -> Runner:
    """Return a runner by its name; one that is no name is returned as it is.

    Parameters
    ----------
    runner : str or Runner
        A name in :data:`RUNNERS`, or a runner.
    jobs : int, optional
        How many tasks run at once; the runner decides by default.
    keep_open : sequence of int
        Descriptors that stay open as long as one of the runner's processes is alive.

    Raises
    ------
    OptionError
        Where there is no runner of that name.
    """
    if not isinstance(runner, str):
        return runner
    if runner not in RUNNERS:
        raise OptionError(f"`runner={runner!r}`, expected {' or '.join(RUNNERS)}")
    module, _, name = RUNNERS[runner].partition(":")
    instance: Runner = getattr(import_module(module), name)(jobs=jobs, keep_open=keep_open)
    return instance
