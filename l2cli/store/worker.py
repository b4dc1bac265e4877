"""A worker process: does the shards that its parent sends, one at a time, until it is ended.

The local runner starts it as a :class:`~l2cli.runtime.child.SpawnedChild`. It prints nothing and
knows nothing of the store but its task.
"""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError
from l2cli.runtime.child import receive_all
from l2cli.runtime.tuning import tune_process
from l2cli.store.shard import run_shard

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from l2cli.store.task import ShardTask

_SECONDS_BETWEEN_REPORTS = 0.1


def main(connection: Connection[Any, Any]) -> None:
    """Serve the parent at the other end of ``connection``."""
    tune_process()
    tasks: queue.SimpleQueue[ShardTask] = queue.SimpleQueue()
    receive_all(connection, tasks.put)
    connection.send("ready")
    while True:
        connection.send(_outcome(tasks.get(), connection))


def _outcome(task: ShardTask, connection: Connection[Any, Any]) -> object:
    """Do a task, report how far it is, and return its report or the error that ends the run."""
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            connection.send((done, total))

    try:
        return run_shard(task, progress)
    except BackendError as exc:
        return exc
