"""What became of the shards of a store, and so of the files that describe them.

:mod:`l2cli.store.execution` keeps one of these in a run. It reads and writes no file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from l2cli.store.companions import describes
from l2cli.store.task import ShardReport, failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from l2cli.store.manifest import Record
    from l2cli.store.task import ShardTask, Status


class Settled:
    """The files of a store that are done, by this run or an earlier one."""

    def __init__(self) -> None:
        self._statuses: dict[str, Status] = {}
        self._by_this_run: set[str] = set()

    def add_earlier(self, name: str, status: Status) -> None:
        """Take in what an earlier run did with a file."""
        self._statuses[name] = status

    def add(self, report: ShardReport) -> None:
        """Take in what this run did with a file, if that wasn't to skip it or to fail."""
        if report.status not in ("skipped", "failed"):
            self._statuses[report.name] = report.status
            self._by_this_run.add(report.name)

    def companions(
        self, tasks: Sequence[ShardTask], records: Mapping[str, Record]
    ) -> Iterator[tuple[ShardTask, ShardReport | None]]:
        """Yield the files that are written anew after the shards, with what became of them already.

        One that describes a file that isn't done has failed: it would be false. One that
        describes none that was normalized is copied as it is.
        """
        others = [task.name for task in tasks if task.action != "rewrite"]
        ages = {name: number for number, name in enumerate(records)}
        for task in tasks:
            if task.action == "rewrite":
                shards = [name for name in others if describes(task.name, name)]
                record = records.get(task.name)
                # A run that was cut off, or in which a shard failed, may have left it behind.
                is_last = all(ages.get(name, -1) <= ages.get(task.name, -1) for name in shards)
                is_held = is_last and record is not None and record.holds(task)
                yield self._companion(task, shards, is_held=is_held)

    def _companion(
        self, task: ShardTask, shards: Sequence[str], *, is_held: bool
    ) -> tuple[ShardTask, ShardReport | None]:
        num_missing = sum(name not in self._statuses for name in shards)
        if num_missing:
            error = f"{task.source} is not written anew: {num_missing:,} of its files are not done"
            return task, failed(task, f"{error}; run again when they can be")
        if is_held and self._by_this_run.isdisjoint(shards):
            return task, ShardReport(task.name, "skipped", task.num_bytes)
        if not any(self._statuses[name] == "done" for name in shards):
            return replace(task, action="copy"), None
        return task, None
