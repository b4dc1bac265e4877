"""A folder of shards: plan, run, resume.

One bad shard stops nothing. What is done is noted in a manifest in the destination, so that a
run that was cut off goes on where it was. The library's callers and the command start here; this
module puts the steps in order, and knows none of their insides.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import NoArrayError, OptionError
from l2cli.formats.unread import full_suffix
from l2cli.io.source import as_path, as_sources
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.decision import decide, nothing_message
from l2cli.store.execution import Execution
from l2cli.store.manifest import make_header
from l2cli.store.ownership import take_destination
from l2cli.store.plan import make_plan
from l2cli.store.report import STATUSES, StoreReport
from l2cli.store.runners import find_runner

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from l2cli.io.store_choice import StoreChoice
    from l2cli.store.execution import OnEvent
    from l2cli.store.plan import Plan
    from l2cli.store.runners.base import Runner


def normalize_store(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    destination: str | os.PathLike[str] | None = None,
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
    sources : path or iterable of path
        One folder, or several files and folders.
    destination : path, optional
        The folder to write to; by default :func:`~l2cli.store.plan.default_store` of a folder,
        and each file's own default of files.
    options : NormalizeOptions, optional
        What is computed.
    files : StoreOptions, optional
        What is read and written.
    runner : str or Runner
        What runs the tasks: a name in :data:`~l2cli.store.runners.RUNNERS`, or a runner.
    on_event : callable, optional
        Called with a ``ShardReport`` for each file, and with ``StoreProgress`` between them.

    Returns
    -------
    StoreReport
        What became of the store.

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
    >>> stores = l2cli.StoreOptions(include=("train/*",), jobs=4)
    >>> report = l2cli.normalize_store("embeddings", files=stores)  # doctest: +SKIP
    """
    started = time.perf_counter()
    options, files = options or NormalizeOptions(), files or StoreOptions()
    paths = _paths(sources)
    plan = make_plan(paths, _folder(destination), options, files)
    choice = decide(plan, options, files, runner)
    report = _empty_report(plan, choice, files)
    with contextlib.ExitStack() as stack:
        header = make_header(options, files, paths, choice)
        manifest, records = take_destination(stack, plan, header, files)
        execution = Execution(plan, records, manifest, report, on_event)
        lock = [manifest.fileno()] if manifest else []
        execution.run(find_runner(runner, files.jobs, lock), files)
        execution.warn_of_short_rows(options.epsilon)
        if manifest is not None:
            manifest.finish(report.shards["failed"])
    if not (execution.num_normalized or report.shards["failed"]):
        reasons = list(execution.bystanders.values())
        raise NoArrayError(nothing_message(report.source, options, reasons))
    report.seconds = time.perf_counter() - started
    return report


def _paths(sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    paths = []
    for source in as_sources(sources):
        if not isinstance(source, Path):
            raise OptionError("a store is of files and folders; give a stream to `normalize_file`")
        paths.append(source)
    return paths


def _folder(destination: str | os.PathLike[str] | None) -> Path | None:
    if destination == "":
        raise OptionError("`destination` is empty; name a folder")
    return None if destination is None else as_path(destination)


def _empty_report(plan: Plan, choice: StoreChoice | None, files: StoreOptions) -> StoreReport:
    """Return the report of a run that has done nothing yet."""
    report = StoreReport(
        plan.source,
        plan.root or "beside the sources" if not files.in_place else "in place",
        dict.fromkeys(STATUSES, 0),
        dict(Counter(map(full_suffix, plan.not_read))),
        choice,
        dry_run=files.dry_run,
        notes=plan.notes,
    )
    if files.in_place or files.only_arrays:
        report.shards["not read"] = len(plan.not_read)  # They are no tasks.
    return report
