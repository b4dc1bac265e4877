"""What runs the tasks of a store: this process, or worker processes on this machine.

The workers are plain child processes on a socket each, not a ``ProcessPoolExecutor``: one that
is killed breaks a pool and all that it had pending, where here it costs its own shard a second
try. Nor do they import the caller's ``__main__``, as ``multiprocessing`` would have them do.
"""

from __future__ import annotations

import contextlib
from collections import deque
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import L2NormError
from l2cli.filesystem.siblings import remove_siblings
from l2cli.graph.trials import remove_crashed
from l2cli.runtime.child import SpawnedChild, crash_message
from l2cli.runtime.processors import num_processors
from l2cli.store.shard import is_native, run_shard
from l2cli.store.task import ShardReport, failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from l2cli.store.runners.base import OnProgress, Results, Runner
    from l2cli.store.task import ShardTask

_LARGE_PART = 8
"""A shard is large if it is more than this part of what each worker gets."""
_MAX_JOBS = 16
_BYTES_PER_SECOND, _SECONDS_PER_SHARD = 700e6, 0.0025
_SECONDS_WORTH_A_WORKER = 5.0
"""What a worker gets through, roughly, and how much of that makes its start worth while."""


class LocalRunner:
    """Runs tasks on this machine: in this process, or in workers where those are worth while.

    Parameters
    ----------
    jobs : int, optional
        How many processes; by default by the processors and the bytes of the tasks.
    keep_open : sequence of int
        Descriptors that stay open as long as one of the processes is alive.
    """

    def __init__(self, jobs: int | None = None, keep_open: Sequence[int] = ()) -> None:
        self._jobs = jobs
        self._keep_open = keep_open

    def run(self, tasks: Sequence[ShardTask], on_progress: OnProgress) -> Results:
        """Run ``tasks``; large ones come first where several run at once."""
        jobs = self._num_jobs(tasks)
        if jobs > 1:
            runner: Runner = LocalWorkers(jobs, self._keep_open)
        else:
            runner = InProcess(self._keep_open)
        return runner.run(_in_order(tasks, jobs), on_progress)

    def _num_jobs(self, tasks: Sequence[ShardTask]) -> int:
        if any(task.action == "survey" for task in tasks):
            return 1  # A survey reads a few bytes of a file, however large that is.
        jobs = min(self._jobs or default_jobs(), len(tasks))
        if self._jobs is None:
            jobs = min(jobs, useful_jobs(len(tasks), sum(task.num_bytes for task in tasks)))
        return jobs


class InProcess:
    """Runs one task after the other in this process, and then in a worker what might crash it.

    Parameters
    ----------
    keep_open : sequence of int
        As for :class:`LocalWorkers`.
    """

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        self._keep_open = keep_open

    def run(self, tasks: Iterable[ShardTask], on_progress: OnProgress) -> Results:
        """Run ``tasks`` in order, but for those that might crash, which come last."""
        might_crash = []
        for task in tasks:
            if is_native(task):
                might_crash.append(task)
                continue

            def progress(done: int, total: int, task: ShardTask = task) -> None:
                on_progress(task, done, total)

            yield task, run_shard(task, progress)
        yield from LocalWorkers(1, self._keep_open).run(might_crash, on_progress)


class LocalWorkers:
    """Runs tasks in worker processes. Each has one backend and its graphs for all its shards.

    Parameters
    ----------
    jobs : int
        How many processes.
    keep_open : sequence of int
        Descriptors that stay open as long as one of the processes lives.
    """

    def __init__(self, jobs: int, keep_open: Sequence[int] = ()) -> None:
        self._jobs = jobs
        self._keep_open = keep_open

    def run(self, tasks: Iterable[ShardTask], on_progress: OnProgress) -> Results:
        """Run ``tasks``, each in the next worker that is idle."""
        pending, retried = deque(tasks), set[str]()
        workers: list[_Worker] = []
        try:
            while pending or any(worker.task for worker in workers):
                self._employ(workers, pending)
                speaking = wait([worker.connection for worker in workers])
                for worker in [
                    candidate for candidate in workers if candidate.connection in speaking
                ]:
                    try:
                        message = worker.connection.recv()
                    except (EOFError, OSError):
                        workers.remove(worker)
                        yield from _after_crash(worker, pending, retried)
                    else:
                        yield from _take_in(message, worker, on_progress)
        finally:
            for worker in workers:
                worker.end()

    def _employ(self, workers: list[_Worker], pending: deque[ShardTask]) -> None:
        """Give each idle worker a task, and start workers while fewer than tasks are starting."""
        for worker in workers:
            if worker.ready and worker.task is None and pending:
                worker.begin(pending.popleft())
        starting = sum(not worker.ready for worker in workers)
        while len(workers) < self._jobs and starting < len(pending):
            workers.append(_Worker(self._keep_open))
            starting += 1


def default_jobs() -> int:
    """Return how many workers serve best on this machine: one for each processor it may use."""
    return min(_MAX_JOBS, num_processors())


def useful_jobs(num_shards: int, num_bytes: int) -> int:
    """Return how many workers are worth starting for so much work, 1 or more."""
    seconds = num_bytes / _BYTES_PER_SECOND + num_shards * _SECONDS_PER_SHARD
    return max(1, min(num_shards, int(seconds / _SECONDS_WORTH_A_WORKER)))


def _in_order(tasks: Sequence[ShardTask], jobs: int) -> list[ShardTask]:
    """Return ``tasks`` in their order, but for the large ones, which come first.

    A large one begun last would leave the other workers idle at the end.
    """
    if jobs <= 1:
        return list(tasks)
    large = sum(task.num_bytes for task in tasks) / jobs / _LARGE_PART
    first = sorted(
        (task for task in tasks if task.num_bytes > large), key=lambda task: -task.num_bytes
    )
    return first + [task for task in tasks if task.num_bytes <= large]


class _Worker:
    """One worker process, seen from its parent."""

    def __init__(self, keep_open: Sequence[int]) -> None:
        self.task: ShardTask | None = None
        self.ready = False
        self._child = SpawnedChild("l2cli.store.worker", keep_open=keep_open)
        self.connection = self._child.connection

    def begin(self, task: ShardTask) -> None:
        """Have it do ``task``."""
        self.task = task
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)  # If it is gone, the next recv says so.

    def end(self) -> int:
        """End the process at once, remove what it left, and return its exit code."""
        code = self._child.end()
        if self.task is not None:
            remove_siblings(Path(self.task.destination).parent, self._child.pid)
        return code


def _take_in(message: object, worker: _Worker, on_progress: OnProgress) -> Results:
    """Deal with what a worker sent: that it is ready, how far it is, a report, or an error."""
    if isinstance(message, Exception):
        raise message
    if worker.task is None:
        worker.ready = True
    elif isinstance(message, ShardReport):
        yield worker.task, message
        worker.task = None
    elif isinstance(message, tuple):
        on_progress(worker.task, *message)


def _after_crash(worker: _Worker, pending: deque[ShardTask], retried: set[str]) -> Results:
    """Have the task of a worker that died tried again; at the second time, give it up.

    An executable of an earlier run may be why, so the second time does without it.
    """
    code, task = worker.end(), worker.task
    if not worker.ready:
        raise L2NormError(f"a worker process can't be started (it ended with {code})")
    if task is None:
        return
    if task.name in retried:
        yield task, failed(task, crash_message(task.source, code))
    else:
        retried.add(task.name)
        remove_crashed()
        pending.append(task)
