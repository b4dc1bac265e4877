"""A folder of shards: plan, run, resume.

One bad shard stops nothing. What is done is noted in a manifest in the destination, so that a
run that was cut off goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from l2cli.errors import DestinationError, NoArrayError, is_disk_full
from l2cli.filesystem.siblings import TOOL_PREFIX, remove_abandoned
from l2cli.formats.registry import full_suffix
from l2cli.io.families import families_of, sampled
from l2cli.io.store_state import has_manifest
from l2cli.io.survey import choose
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.report import Counts, short_rows
from l2cli.store.manifest import Manifest, make_header, peek, recorded_choice
from l2cli.store.plan import make_plan
from l2cli.store.runners import find_runner
from l2cli.store.settled import Settled
from l2cli.store.task import ShardReport, failed
from l2cli.text import brief, suffixes_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from l2cli.io.store_choice import StoreChoice
    from l2cli.store.manifest import Record
    from l2cli.store.plan import Plan
    from l2cli.store.runners.base import Runner
    from l2cli.store.task import ShardTask

    OnEvent = Callable[["ShardReport | StoreProgress"], None]

_STATUSES = (
    "done",
    "copied",
    "rewritten",
    "bystander",
    "left out",
    "skipped",
    "failed",
    "not read",
)
_TEXTS = {
    "bystander": ("bystander", "bystanders"),
    "not read": ("file not read", "files not read"),
}


@dataclass(frozen=True, slots=True)
class StoreProgress:
    """How far a run is.

    Attributes
    ----------
    name
        The shard that the news is of.
    done, total
        Bytes of source files.
    read
        Of the bytes that are done, those that this run dealt with.
    num_done, num_shards, num_failed
        How many shards are done, with or without success, are there in all, and failed.
    """

    name: str
    done: int
    total: int
    read: int = 0
    num_done: int = 0
    num_shards: int = 0
    num_failed: int = 0


@dataclass
class StoreReport:
    """What became of a store.

    Attributes
    ----------
    source : str
        The folder, or the files and folders, that were normalized.
    destination : str
        The folder that was written to, or where each file went.
    shards : dict of str to int
        How many files there are of each status of :class:`~l2cli.store.task.ShardReport`.
    not_read : dict of str to int
        How many files there are of each suffix that stands for no format that is read.
    choice : StoreChoice or None
        What is normalized in the store; ``None`` where each file was named.
    counts : Counts
        The rows that were normalized by this run.
    num_bytes : int
        Bytes of the source files that this run dealt with.
    seconds : float
        Wall time of the whole call.
    dry_run : bool
        Whether nothing was written, because that was asked for.
    disk_full : bool
        Whether the run stopped early, because there was no room left.
    notes : list of str
        What the user should know but needn't act on.
    warnings : list of str
        Those of the notes that say what did not become unit, earlier runs included.

    Examples
    --------
    >>> import l2cli
    >>> from pathlib import Path
    >>> l2cli.normalize_store([Path("embeddings")]).shards["failed"]  # doctest: +SKIP
    0
    """

    source: str
    destination: str
    shards: dict[str, int] = field(default_factory=dict)
    not_read: dict[str, int] = field(default_factory=dict)
    choice: StoreChoice | None = None
    counts: Counts = field(default_factory=Counts)
    num_bytes: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    disk_full: bool = False
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """3 where the run stopped early, else 4 where a shard failed, else 0."""
        if self.disk_full:
            return 3
        return 4 if self.shards.get("failed") else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it. On a dry run no rows are counted."""
        choice = None if self.choice is None else self.choice.as_dict()
        counts = {"counts": None} if self.dry_run else {}
        return asdict(replace(self, choice=None)) | {"choice": choice} | counts

    def __str__(self) -> str:
        done = [f"{n:,} {_status_text(status, n)}" for status, n in self.shards.items() if n]
        if self.shards.get("not read"):  # It comes last.
            done[-1] += f": {suffixes_text(self.not_read)}"
        would = "would be: " if self.dry_run else ""
        counts = f" ({self.counts})" if str(self.counts) else ""
        rows = f"; {self.counts.num_rows:,} rows{counts}" if self.counts.num_rows else ""
        return (
            f"{self.source} → {self.destination}: {would}{', '.join(done)}{rows}; "
            f"{self.num_bytes / 1e6:,.1f} MB, {self.seconds:.1f} s"
        )


def normalize_store(
    sources: Sequence[Path],
    destination: Path | None = None,
    options: NormalizeOptions | None = None,
    files: StoreOptions | None = None,
    *,
    runner: str | Runner = "local",
    on_event: OnEvent | None = None,
) -> StoreReport:
    """Normalize the vectors in every file of a folder, or in several files.

    Run again after it was cut off, it does what is left to do. The result does not depend on
    how often that happened, nor on how many processes did the work.

    Parameters
    ----------
    sources : sequence of Path
        One folder, or several files and folders.
    destination : Path, optional
        The folder to write to. By default ``FOLDER.normalized`` beside a folder, and
        ``NAME.normalized.SUFFIX`` beside each file.
    options : NormalizeOptions, optional
        How vectors are normalized.
    files : StoreOptions, optional
        What may happen to files, and which are taken.
    runner : str or Runner, default 'local'
        What runs the tasks: a name in :data:`~l2cli.store.runners.RUNNERS`, or a runner.
    on_event : callable, optional
        Called with a ``ShardReport`` for each file, and with ``StoreProgress`` between them.

    Returns
    -------
    StoreReport
        How many files became what, and the rows that were counted.

    Raises
    ------
    OptionError
        Where the options contradict each other, or those of an earlier run.
    SourceError
        Where a source isn't there, or no shard holds what was to be selected.
    DestinationError
        Where the destination can't be written to, or another run is at work in it.

    Examples
    --------
    >>> import l2cli
    >>> from pathlib import Path
    >>> stores = l2cli.StoreOptions(include=("train/*",), jobs=4)
    >>> report = l2cli.normalize_store([Path("embeddings")], files=stores)  # doctest: +SKIP
    """
    started = time.perf_counter()
    options, files = options or NormalizeOptions(), files or StoreOptions()
    plan = make_plan(sources, destination, options, files)
    header = make_header(
        options,
        map(str, sources),
        {
            "only_arrays": files.only_arrays,
            "from": files.source_format,
            "to": files.destination_format,
            "norms": files.norms and str(files.norms),
        },
    )
    choice = _decide(plan, options, files, runner)
    header["choice"] = choice and choice.as_dict()
    report = StoreReport(
        plan.source,
        plan.root or "beside the sources" if not files.in_place else "in place",
        dict.fromkeys(_STATUSES, 0),
        dict(Counter(map(full_suffix, plan.not_read))),
        choice,
        dry_run=files.dry_run,
        notes=plan.notes,
    )
    if files.in_place or files.only_arrays:
        report.shards["not read"] = len(plan.not_read)  # They are no tasks.
    with contextlib.ExitStack() as stack:
        manifest, records = _begin(stack, plan, header, files)
        _note_gone(plan, records)
        run = _Run(plan, records, manifest, report, on_event)
        lock = [manifest.fileno()] if manifest else []
        run.run(find_runner(runner, files.jobs, lock), files)
        run.warn_of_short_rows(options.epsilon)
        if manifest is not None:
            manifest.finish(report.shards["failed"])
    if not (run.num_normalized or report.shards["failed"]):
        raise NoArrayError(_nothing(report.source, options, list(run.bystanders.values())))
    report.seconds = time.perf_counter() - started
    return report


def _begin(
    stack: contextlib.ExitStack, plan: Plan, header: dict[str, Any], files: StoreOptions
) -> tuple[Manifest | None, dict[str, Record]]:
    """Take possession of the destination, and return its manifest and what is done."""
    if not plan.root:
        _check_norms(plan, files)
        return None, {}
    _check_root(plan.root, files)
    if files.dry_run:
        if files.overwrite:
            return None, {}
        return None, peek(plan.root, header)
    try:
        os.makedirs(plan.root, exist_ok=True)
        manifest = stack.enter_context(Manifest(plan.root, header))
        manifest.lock()
        if files.overwrite or not manifest.load():
            _check_norms(plan, files)
            manifest.start()
        for folder, _, _ in os.walk(plan.root):
            remove_abandoned(folder, is_exclusive=True)
    except OSError as exc:
        raise DestinationError(
            f"{plan.root} can't be written to: {exc.strerror or exc}; name another with "
            "`destination`"
        ) from exc
    _make_folders(plan)
    return manifest, manifest.records


def _check_norms(plan: Plan, files: StoreOptions) -> None:
    """Refuse to replace norms, or whatever stands in their place, that no run of ours wrote."""
    for task in plan.tasks:
        if task.norms and not files.overwrite and os.path.lexists(task.norms):
            raise DestinationError(
                f"{task.norms} exists; replace it with `overwrite=True`, or name another folder"
            )


def _note_gone(plan: Plan, records: dict[str, Record]) -> None:
    gone = list(records.keys() - {task.name for task in plan.tasks})
    if gone:
        names = f"{min(gone)} and {len(gone) - 1:,} more" if len(gone) > 1 else gone[0]
        plan.notes.append(f"what became of {names} stays, though the source is gone or left out")


def _check_root(root: str, files: StoreOptions) -> None:
    parent = os.path.dirname(os.path.abspath(root))
    if not os.path.isdir(parent):
        raise DestinationError(f"{root}: there is no folder {parent}; make it first")
    if files.overwrite or files.in_place or not os.path.isdir(root) or has_manifest(root):
        return
    if any(not name.startswith(TOOL_PREFIX) for name in os.listdir(root)):
        raise DestinationError(
            f"{root} exists and l2norm did not make it; name another with `destination`, or say "
            "`overwrite=True` to write into it and replace files of the same names"
        )


def _make_folders(plan: Plan) -> None:
    """Make the folders. One that can't be made fails its shards, which say so."""
    barred = set()
    for name in plan.folders:
        path = os.path.join(plan.root, name)
        if os.path.islink(path) or os.path.dirname(name) in barred:
            barred.add(name)  # A link might lead out of the destination.
            continue
        try:
            os.mkdir(path)
        except OSError as exc:
            if is_disk_full(exc):
                raise DestinationError(f"{path} can't be made: {exc.strerror}") from exc


def _decide(
    plan: Plan, options: NormalizeOptions, files: StoreOptions, runner: str | Runner
) -> StoreChoice | None:
    """Decide what is normalized in the folders of ``plan``, and tell its tasks.

    A run that goes on with what another began keeps to what that one decided.

    Raises
    ------
    NoArrayError
        Where every file was looked into, and there is nothing to normalize.
    """
    candidates = [task for task in plan.tasks if task.action == "normalize"]
    shards = [task for task in candidates if not task.required]
    if not (candidates or plan.failures):
        raise NoArrayError(_nothing(plan.source, options, []))
    if not shards:
        return None
    families = families_of([task.name for task in shards])
    choice = None if files.overwrite else recorded_choice(plan.root)
    if choice is None:
        choice = _survey(plan, shards, families, options, runner)
    choice_of = {family: choice.of(family) for family in set(families)}
    with_choice = {
        task.name: replace(task, choice=choice_of[family])
        for task, family in zip(shards, families, strict=True)
    }
    plan.tasks = [with_choice.get(task.name, task) for task in plan.tasks]
    return choice


def _survey(
    plan: Plan,
    shards: list[ShardTask],
    families: list[str],
    options: NormalizeOptions,
    runner: str | Runner,
) -> StoreChoice:
    family_of = {shards[index].name: family for family, index in sampled(families)}
    looked = [replace(task, action="survey") for task in shards if task.name in family_of]
    tasks_runner = find_runner(runner)
    with contextlib.closing(tasks_runner.run(looked, lambda task, done, total: None)) as results:
        reports = [report for _, report in results]
    arrays_found = [(family_of[report.name], report.found) for report in reports]
    num_candidates = sum(task.action == "normalize" for task in plan.tasks)
    is_complete = len(looked) == num_candidates and not plan.failures
    if is_complete and all(report.status in ("copied", "bystander") for report in reports):
        reasons = [report.reason for report in reports if report.reason]
        raise NoArrayError(_nothing(plan.source, options, reasons))
    return choose(arrays_found, families, named=bool(options.select))


def _nothing(source: str, options: NormalizeOptions, reasons: list[str]) -> str:
    """Return what to say of a store in which nothing was normalized."""
    if options.select:
        names = ", ".join(f"'{name}'" for name in options.select)
        return f"{source}: no file of it holds an array {names}"
    why = f": {reasons[0]}" if reasons else "; see l2norm inspect"
    return f"{source}: no file of it holds an array to normalize{why}"


def _status_text(status: str, count: int) -> str:
    """Return a status for people: ``2 bystanders``, ``1 file not read``."""
    return _TEXTS.get(status, (status, status))[count > 1]


class _Run:
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
        self._is_read_once = Settled()
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
                "l2norm inspect lists them, and `select='NAME'`, or `select='*'` for a file that "
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
                self._is_read_once.add_earlier(task.name, record.status)
                self.num_normalized += record.status == "done"
                self._count_short(task.name, record.num_short)
                self._count(ShardReport(task.name, "skipped", task.num_bytes))
            else:
                yield task

    def _rewrite_companions(self, runner: Runner) -> None:
        """Write the files anew that describe shards, once all of those are done."""
        due = []
        for task, report in self._is_read_once.companions(self._plan.tasks, self._records):
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
        if self._manifest is None or report.status == "failed" or task.dry_run:
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
            return failed(task, f"{task.destination} can't be {what}: {exc.strerror or exc}", exc)
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
        self._is_read_once.add(report)
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
