"""A worker process: does the shards that its parent sends, one at a time, until told to end.

It prints nothing, ignores Ctrl-C (the parent decides), and does not outlive its parent.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
import warnings
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NoReturn

from l2cli.errors import BackendError
from l2cli.runtime.tuning import tune_process
from l2cli.store.task import run_shard

if TYPE_CHECKING:
    from types import FrameType

    from l2cli.store.task import ShardTask

_SECONDS_BETWEEN_REPORTS = 0.1
_SECONDS_TO_TIDY_UP = 2.0


def main(descriptor: int) -> None:
    """Serve the parent at the other end of the socket ``descriptor``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    warnings.simplefilter("ignore")
    tune_process()
    connection: Connection[Any, Any] = Connection(descriptor)
    tasks: queue.SimpleQueue[ShardTask] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    try:
        connection.send("ready")
        while True:
            connection.send(_run(tasks.get(), connection))
    except (KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        os._exit(1)


def _run(task: ShardTask, connection: Connection[Any, Any]) -> object:
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


def _receive(connection: Connection[Any, Any], tasks: queue.SimpleQueue[ShardTask]) -> None:
    """Queue what the parent sends. When it is gone, end: with tidying up, if that is quick."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_SECONDS_TO_TIDY_UP)
        os.kill(os.getpid(), signal.SIGKILL)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
