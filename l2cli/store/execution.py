"""One run over a plan: skip what is done, publish and note the rest, and count it all.

:func:`~l2cli.store.run.normalize_store` makes one. It hands tasks to a runner and takes reports
back; what is in a shard, and where a task runs, it does not know.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from l2cli.errors import reason
from l2cli.report import short_rows
from l2cli.store.report import StoreProgress
from l2cli.store.settled import Settled
from l2cli.store.task import ShardReport, failed
from l2cli.text import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from l2cli.options import StoreOptions
    from l2cli.store.manifest import Manifest, Record
    from l2cli.store.plan import Plan
    from l2cli.store.report import StoreReport
    from l2cli.store.runners.base import Runner
    from l2cli.store.task import ShardTask

    OnEvent = Callable[[ShardReport | StoreProgress], None]


class Execution:
    """One run over a plan: skips what is done, publishes, notes, counts and reports the rest."""

    def __init__(
        self,
        plan: Plan,
        records: dict[str, Record],
        manifest: Manifest | None,
        report: StoreReport,
        on_event: OnEvent | None,
    ) -> None:
        self._plan = plan
        self._records = records
        self._manifest = manifest
        self._report = report
        self._on_event = on_event or (lambda event: None)
        self._total = sum(task.num_bytes for task in plan.tasks)
        self._done = 0
        self._num_done = 0
        self._partial: dict[str, int] = {}
        self._notes: dict[str, list[str]] = {}
        self._settled = Settled()
        self.num_normalized = 0
        self.bystanders: dict[str, str] = {}
        self._short: dict[str, int] = {}

    def run(self, runner: Runner, files: StoreOptions) -> None:
        """Run everything that isn't done."""
        self._on_event(self._state(""))
        for report in self._plan.failures:
            self._count(report)
        tasks = list(self._skip_done())
        with contextlib.closing(runner.run(tasks, self._progress)) as reports:
            num_left = len(tasks)
            for task, outcome in reports:
                report = self._publish(task, outcome)
                self._count(report)
                num_left -= 1
                self._report.disk_full = report.disk_full
                if report.disk_full or (report.status == "failed" and files.fail_fast):
                    break
        self._rewrite_companions(runner)
        if self.bystanders:
            few = brief(list(self.bystanders))
            self._report.notes.append(
                f"{few}: other arrays than the store's vectors, which stay as they are; "
                "`inspect_file` lists them, and `select='NAME'`, or `select='*'` for a file that "
                "is one array, takes them too"
            )
        if self._report.disk_full:
            self._note_full(num_left)
        for note, names in self._notes.items():
            self._report.notes.append(f"{_first_and_more(names)}: {note}")

    def warn_of_short_rows(self, epsilon: float) -> None:
        """Warn of the rows that ``epsilon`` kept from becoming unit, in this run or before."""
        if self._short:
            note = short_rows(sum(self._short.values()), epsilon)
            self._report.warnings.append(f"{_first_and_more(list(self._short))}: {note}")
            self._report.notes += self._report.warnings

    def _note_full(self, num_left: int) -> None:
        self._report.notes.append(
            f"stopped, because there is no room left to write in, with {num_left:,} files to go; "
            "make room, and run the same again to go on from here"
        )

    def _skip_done(self) -> Iterator[ShardTask]:
        for task in self._plan.tasks:
            if task.action == "rewrite":
                continue
            record = self._records.get(task.name)
            if record is not None and record.holds(task):
                self._settled.add_earlier(task.name, record.status)
                self.num_normalized += record.status == "done"
                self._count_short(task.name, record.num_short)
                self._count(ShardReport(task.name, "skipped", task.num_bytes))
            else:
                yield task

    def _rewrite_companions(self, runner: Runner) -> None:
        """Write the files anew that describe shards, once all of those are done."""
        due = []
        for task, report in self._settled.companions(self._plan.tasks, self._records):
            if report is not None:
                self._count(report)
            else:
                due.append(task)
        with contextlib.closing(runner.run(due, self._progress)) as reports:
            for task, report in reports:
                is_copy = report.status == "not read"  # They are known, whatever their suffix.
                outcome = replace(report, status="copied") if is_copy else report
                self._count(self._publish(task, outcome))

    def _publish(self, task: ShardTask, report: ShardReport) -> ShardReport:
        """Note what is done. A staged result is noted first, then published: see ``Record``."""
        if self._manifest is None or report.status == "failed" or task.files.dry_run:
            return report
        try:
            if not report.staged:
                self._manifest.add(task, report)
                return report
            _keep_owner(task.destination, report.staged)
            self._manifest.add(task, report, flush=True)
            os.replace(report.staged, task.destination)
        except OSError as exc:
            _remove(report.staged)
            what = "replaced" if report.staged else "noted as done"
            return failed(task, f"{task.destination} can't be {what}: {reason(exc)}", exc)
        except BaseException:
            _remove(report.staged)
            raise
        return report

    def _count(self, report: ShardReport) -> None:
        self._partial.pop(report.name, None)
        self._done += report.num_bytes
        self._num_done += 1
        self._report.shards[report.status] += 1
        self.num_normalized += report.status == "done"
        if report.status == "bystander":
            self.bystanders[report.name] = report.reason
        if report.status != "skipped":
            self._report.num_bytes += report.num_bytes
        self._settled.add(report)
        if report.report is not None:
            self._count_short(report.name, report.report.num_short)
            for array in report.report.arrays:
                self._report.counts += array.counts
            for note in report.report.notes:
                if note not in report.report.warnings:
                    self._notes.setdefault(note, []).append(report.name)
        self._on_event(report)
        self._on_event(self._state(report.name))

    def _count_short(self, name: str, num_short: int) -> None:
        if num_short:
            self._short[name] = num_short

    def _progress(self, task: ShardTask, done: int, total: int) -> None:
        self._partial[task.name] = task.num_bytes * done // max(1, total)
        self._on_event(self._state(task.name))

    def _state(self, name: str) -> StoreProgress:
        partial = sum(self._partial.values())
        return StoreProgress(
            name,
            self._done + partial,
            self._total,
            self._report.num_bytes + partial,
            self._num_done,
            len(self._plan.tasks) + len(self._plan.failures),
            self._report.shards["failed"],
        )


def _first_and_more(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def _keep_owner(path: str, staged: str) -> None:
    status = os.stat(path)
    with contextlib.suppress(PermissionError):
        os.chown(staged, status.st_uid, status.st_gid)
        os.chmod(staged, status.st_mode & 0o7777)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
