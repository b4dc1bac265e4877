"""Normalize one source: open it, choose, compute, and write it back with the rest intact."""

from __future__ import annotations

import contextlib
import os
import time
from functools import cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from l2cli.conversion import FreshPlan, LikePlan, transcoded
from l2cli.options import NormalizeOptions
from l2cli.pipeline import computed_ahead, read_ahead
from l2cli.report import ArrayReport, Report
from l2cli.routes import find_route
from l2cli.selection import ANN_NOTE, is_ann_benchmarks, select
from l2cli.sources import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.conversion import Plan
    from l2cli.formats.base import Reader, Writer
    from l2cli.graph import Backend
    from l2cli.inlet import Readable
    from l2cli.routes import Route

    Progress = Callable[[int, int], None]
    Chosen = list[tuple[ArraySpec, ArraySpec]]


def normalize_file(
    source: str | os.PathLike[str] | Readable,
    destination: str | os.PathLike[str] | IO[bytes] | None = None,
    options: NormalizeOptions | None = None,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
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
    )
    return normalize(route, options, dry_run=dry_run, progress=progress)


def normalize(
    route: Route,
    options: NormalizeOptions | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Normalize the vectors of a source into a destination.

    Parameters
    ----------
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
    with source.opened(options, partial(_must_seek, route, options)) as reader:
        report = _report(route, _choose(reader, options))
        with _plan(reader, route, options, dry_run=dry_run) as plan:
            if not dry_run:
                _begin_loading(plan, options)
                with route.destination.opened(plan, source.path) as writer:
                    is_file = not route.destination.is_stream
                    _normalize(plan, options, writer, report, progress, is_file=is_file)
                    source.check_unchanged()
            report.notes = plan.reader.notes
    report.dry_run = dry_run
    report.seconds = time.perf_counter() - started
    return report


def _begin_loading(plan: Plan, options: NormalizeOptions) -> None:
    """Have the backend imported while files are opened, unless nothing will need it."""
    from l2cli.graph import begin_loading

    if any(0 not in plan.outputs[name].shape for name in plan.normalized):
        begin_loading(options.backend, options.device)


def _must_seek(route: Route, options: NormalizeOptions, reader: Reader) -> bool:
    """Tell whether a reader of a stream has to go back, or to know how many rows will come."""
    chosen = [array for array, _ in _choose(reader, options)]
    if any(0 in options.axes(array) for array in chosen):
        return True
    source, kind = route.source.kind, route.kind
    to_arrays = kind is not source and not (kind.is_table and source.is_table)
    return to_arrays and any(array.shape[0] is None for array in chosen)


@contextlib.contextmanager
def _plan(
    reader: Reader, route: Route, options: NormalizeOptions, *, dry_run: bool
) -> Iterator[Plan]:
    """Yield how to get from the source's format to the destination's."""
    source, kind = route.source.kind, route.kind
    chosen = _choose(reader, options)
    both_tables = kind.is_table and source.is_table
    if kind is source or (both_tables and dry_run):
        yield LikePlan(reader, chosen)
    elif both_tables:
        to_stream = route.destination.is_stream
        with transcoded(reader, kind, options, to_stream=to_stream) as table:
            yield LikePlan(table, _choose(table, options))
    else:
        yield FreshPlan(reader, kind, chosen)


def _choose(reader: Reader, options: NormalizeOptions) -> Chosen:
    """Return each array to normalize, and what it becomes."""
    chosen = [(array, options.output(array)) for array in select(reader, options.select)]
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
        route.source.kind.name,
        [
            ArrayReport(array.name, array.shape, output.shape, array.dtype, output.dtype)
            for array, output in chosen
        ],
        num_bytes=sum(array.num_bytes for array, _ in chosen),
    )


def _normalize(
    plan: Plan,
    options: NormalizeOptions,
    writer: Writer,
    report: Report,
    progress: Progress | None,
    *,
    is_file: bool,
) -> None:
    from l2cli.graph import load_backend
    from l2cli.normalizer import make_normalizer

    @cache
    def backend() -> Backend:
        return load_backend(options.backend, options.device)

    chosen = [array for array in plan.arrays if array.name in plan.normalized]
    normalizers = {
        array.name: make_normalizer(array, plan.outputs[array.name], options, backend)
        for array in chosen
    }
    passes = {name: normalizer.passes for name, normalizer in normalizers.items()}
    total = sum(passes.get(array.name, 1) * array.num_bytes for array in plan.arrays)
    count = _ByteCount(total, progress)

    def measured(array: ArraySpec) -> Iterator[Batch]:
        batches = read(plan.reader, [array], options.batch_size)
        with read_ahead(batches, may_wait=plan.reader.may_wait) as ready:
            yield from map(count, ready)

    def compute(batch: Batch) -> np.ndarray[Any, Any]:
        normalizer = normalizers.get(batch.array.name)
        return batch.rows if normalizer is None else normalizer.normalize(batch)

    for array in chosen:
        normalizers[array.name].measure(partial(measured, array))
    batches = plan.batches(options.batch_size)
    with computed_ahead(batches, compute, may_wait=plan.reader.may_wait) as pairs:
        while is_file and not pairs.is_ready and writer.reserve():
            pass
        for batch, rows in pairs:
            writer.write(count(batch), rows)
    writer.finish()
    count.tell()
    for array_report in report.arrays:
        normalizer = normalizers[array_report.name]
        vectors = normalizer.vectors
        array_report.add(normalizer.counts, vectors.source_shape.common, vectors.shape.common)
    if backend.cache_info().currsize:
        report.backend, report.device = backend().name, backend().device


class _ByteCount:
    """Tells ``progress`` of each batch that passes."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done = 0
        self._total = total
        self._progress = progress

    def __call__(self, batch: Batch) -> Batch:
        self._done += batch.rows.nbytes
        self.tell()
        return batch

    def tell(self) -> None:
        """Say how far it has come."""
        if self._progress is not None:
            self._progress(self._done, self._total)
