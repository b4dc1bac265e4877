"""What a runner is: the one interface between a store and whatever runs its tasks.

Its implementations lie beside this module, one row each in :data:`l2cli.store.runners.RUNNERS`.
A runner knows tasks and reports; it knows nothing of manifests, plans and what users see.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from l2cli.store.task import ShardReport, ShardTask

Results = Generator[tuple[ShardTask, ShardReport], None, None]
OnProgress = Callable[[ShardTask, int, int], None]


class Runner(Protocol):
    """Runs the tasks of a store, wherever that is."""

    def run(self, tasks: Sequence[ShardTask], on_progress: OnProgress) -> Results:
        """Yield each task with its report as it is done, in any order.

        A task is small and can be pickled; :func:`~l2cli.store.shard.run_shard` does it in any
        process that sees the files. A shard that fails, or whose process crashes, costs its own
        report alone. When the iterator is closed before its end, all work has ended and left no
        temporary file behind.

        Parameters
        ----------
        tasks : sequence of ShardTask
            What is to be done.
        on_progress : callable
            Called with a task, the bytes of it that are done, and its bytes in all.

        Raises
        ------
        BackendError
            Where the backend or the device isn't there: no shard would fare better.
        """
