"""Normalize one source: open it, choose, compute, and write it back with the rest intact."""

from __future__ import annotations

import contextlib
import os
import time
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from l2cli.errors import OptionError
from l2cli.io.resolve import find_route
from l2cli.io.selection import ANN_NOTE, is_ann_benchmarks, select
from l2cli.normalization.conversion import NewFilePlan, RewritePlan, transcoded
from l2cli.options import NormalizeOptions
from l2cli.report import ArrayReport, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Thread

    from l2cli.arrays import ArraySpec
    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.formats.base import Reader
    from l2cli.io.resolve import Route
    from l2cli.io.survey import ShardChoice
    from l2cli.normalization.conversion import Plan

    Progress = Callable[[int, int], None]
    Chosen = list[tuple[ArraySpec, ArraySpec]]


_HARMLESS_EPSILON = 0.9
"""A lower bound on sums of squares that no unit row of any dtype is under."""


def normalize_file(
    source: str | os.PathLike[str] | Readable,
    destination: str | os.PathLike[str] | IO[bytes] | None = None,
    options: NormalizeOptions | None = None,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
    norms: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Normalize the vectors in one file or stream; everything else in it stays as it was.

    What ``l2norm normalize`` does. It prints nothing, and may be called from any thread and
    where an event loop runs.

    Parameters
    ----------
    source
        A file, or an unbuffered stream that is read once.
    destination
        A file, or a stream with a file descriptor; ``None`` for ``NAME.normalized.SUFFIX``
        beside the source. A suffix of another format converts.
    source_format, destination_format
        ``npy``, ``npz``, ``hdf5``, ``parquet`` or ``arrow``, where first bytes and suffix don't
        tell.
    in_place
        Replace the source, in one step.
    overwrite
        Replace a destination that exists.
    norms
        An ``.npy`` to write the norms to that the rows had, in float64.
    dry_run, progress
        As for :func:`normalize`, and so is what is raised. ``progress`` is called in the
        caller's thread.

    Returns
    -------
    Report
        What became of each array, and of how many rows of each kind.
    """
    route = find_route(
        Path(source) if isinstance(source, (str, os.PathLike)) else source,
        Path(destination) if isinstance(destination, (str, os.PathLike)) else destination,
        source_format=source_format,
        destination_format=destination_format,
        in_place=in_place,
        overwrite=overwrite,
        norms=None if norms is None else Path(norms),
    )
    return normalize(route, options, dry_run=dry_run, progress=progress)


def normalize(
    route: Route,
    options: NormalizeOptions | None = None,
    *,
    choice: ShardChoice | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Normalize the vectors of a source into a destination.

    Parameters
    ----------
    choice
        What is normalized in a shard of a store; ``None`` to choose as for a file that is alone.
    dry_run
        Choose and check only. Nothing is written and no backend loaded.
    progress
        Called after every batch, and before the destination appears, with the bytes read so
        far and the bytes to read in all. What it raises ends the run; nothing is left then.

    Raises
    ------
    OptionError
        Where the options contradict each other, or the backend or device isn't there.
    SourceError
        Where the source can't be used, or a row may not be normalized.
    DestinationError
        Where the destination can't be written. Nothing of a file is left.
    """
    started = time.perf_counter()
    options = options or NormalizeOptions()
    source = route.source
    with source.opened(options, partial(_must_seek, route, options, choice)) as reader:
        chosen = _choose(reader, options, choice)
        report = _report(route, chosen)
        _check_wishes(route, options, chosen)
        if not dry_run and options.if_needed and _stays(route, reader, chosen, options, report):
            source.check_unchanged()
        else:
            with _plan(reader, route, options, choice, dry_run=dry_run) as plan:
                if not dry_run:
                    _write(route, plan, options, report, progress)
                report.notes = [*plan.reader.notes, *report.warnings]
    report.dry_run = dry_run
    report.seconds = time.perf_counter() - started
    return report


def _check_wishes(route: Route, options: NormalizeOptions, chosen: Chosen) -> None:
    is_stream = route.destination.is_stream
    if is_stream and options.verify:
        raise OptionError("a pipe can't be read back to verify it; name a file with -o FILE")
    if is_stream and options.norms_name:
        raise OptionError("norms are added to a file, not to a pipe; name one with -o FILE")
    if options.norms_name and not route.kind.extend:
        raise OptionError(
            f"{route.kind.title} has no place for norms beside the vectors; keep them in a file "
            "of their own with --norms FILE.npy"
        )
    for array, _ in chosen:
        if options.norms_name and fnmatchcase(options.norms_name, array.name):
            raise OptionError(
                f"norms called '{options.norms_name}' would be taken for {array.label}; "
                "choose another name"
            )
    if route.norms is not None and len(chosen) > 1:
        raise OptionError(
            f"{route.norms.label} is for one array, not {len(chosen)}; choose with -s"
        )
    if options.if_needed and (options.norms_name or route.norms):
        raise OptionError("a file that is copied as it is gets no norms; leave out --if-needed")


def _stays(
    route: Route, reader: Reader, chosen: Chosen, options: NormalizeOptions, report: Report
) -> bool:
    """Copy the source, or leave it, where there is nothing to change in it."""
    from l2cli.normalization.verification import unit_counts

    if route.kind is not route.source.kind or any(old != new for old, new in chosen):
        return False
    if options.epsilon > _HARMLESS_EPSILON:
        return False
    found = unit_counts(reader, [array for array, _ in chosen], options)
    if found is None:
        return False
    if not route.in_place:
        route.destination.copy(reader.path, route.source.path)
    report.already_unit = "left" if route.in_place else "copied"
    for each in report.arrays:
        each.counts = found[each.name]
    return True


def _write(
    route: Route,
    plan: Plan,
    options: NormalizeOptions,
    report: Report,
    progress: Progress | None,
) -> None:
    from l2cli.normalization.passes import Run

    loading = _begin_loading(plan, options)
    with (
        contextlib.ExitStack() as stack,
        route.destination.opened(plan, route.source.path) as (writer, path),
    ):
        may_reserve = not route.destination.is_stream
        run = Run(plan, options, writer, progress, may_reserve=may_reserve)
        if options.norms_name or route.norms:
            run.keep_norms(stack)
        run.normalize(loading)
        run.tell(report)
        norms = run.norms(report) if options.norms_name or route.norms else {}
        if options.norms_name and path is not None:
            _add_norms(norms, path, route, plan, options.norms_name)
        if options.verify and path is not None:
            from l2cli.normalization.verification import verify

            written = [(plan.outputs[each.name], each.counts) for each in report.arrays]
            verify(path, route.kind, route.destination.label, written, options)
            report.verified = True
        route.source.check_unchanged()
        if route.norms is not None:  # Last, for they say nothing without the vectors.
            (file,) = norms.values()
            route.norms.copy(file, None)
            report.norms = route.norms.label


def _add_norms(
    norms: dict[str, Path], path: Path, route: Route, plan: Plan, norms_name: str
) -> None:
    """Add the norms that rows had to the file that was written."""
    from l2cli.formats.registry import extend

    for name, file in norms.items():
        own = f"{plan.outputs[name].name}_{norms_name}"
        extend(path, route.kind, norms_name if len(norms) == 1 else own, file)


def _begin_loading(plan: Plan, options: NormalizeOptions) -> Thread | None:
    """Have the backend imported while files are opened, unless nothing will need it."""
    from l2cli.graph.backends.load import begin_loading

    if all(0 in plan.outputs[name].shape for name in plan.normalized):
        return None
    return begin_loading(options.backend, options.device)


def _must_seek(
    route: Route, options: NormalizeOptions, choice: ShardChoice | None, reader: Reader
) -> bool:
    """Tell whether a reader of a stream has to go back, or to know how many rows will come."""
    chosen = [array for array, _ in _choose(reader, options, choice)]
    if options.if_needed or any(0 in options.axes(array) for array in chosen):
        return True
    source, kind = route.source.kind, route.kind
    to_arrays = kind is not source and not (kind.is_table and source.is_table)
    return to_arrays and any(array.shape[0] is None for array in chosen)


@contextlib.contextmanager
def _plan(
    reader: Reader,
    route: Route,
    options: NormalizeOptions,
    choice: ShardChoice | None,
    *,
    dry_run: bool,
) -> Iterator[Plan]:
    """Yield how to get from the source's format to the destination's."""
    source, kind = route.source.kind, route.kind
    chosen = _choose(reader, options, choice)
    both_tables = kind.is_table and source.is_table
    if kind is source or (both_tables and dry_run):
        yield RewritePlan(reader, chosen)
    elif both_tables:
        to_stream = route.destination.is_stream
        with transcoded(reader, kind, options, to_stream=to_stream) as table:
            yield RewritePlan(table, _choose(table, options, choice))
    else:
        yield NewFilePlan(reader, kind, chosen)


def _choose(reader: Reader, options: NormalizeOptions, choice: ShardChoice | None) -> Chosen:
    """Return each array to normalize, and what it becomes."""
    selected = choice.select(reader, options) if choice else select(reader, options.select)
    chosen = [(array, options.output(array)) for array in selected]
    for array, _ in chosen:
        options.axes(array)
    taken = {name for array, _ in chosen for name in array.names}
    is_ann = bool(taken & {"train", "test"}) and is_ann_benchmarks(reader.arrays())
    if is_ann and ANN_NOTE not in reader.notes:
        reader.notes.append(ANN_NOTE)
    return chosen


def _report(route: Route, chosen: Chosen) -> Report:
    return Report(
        route.source.label,
        route.destination.label,
        route.source.kind.title,
        [
            ArrayReport(array.name, array.shape, output.shape, array.dtype, output.dtype)
            for array, output in chosen
        ],
        num_bytes=sum(array.num_bytes for array, _ in chosen),
    )
