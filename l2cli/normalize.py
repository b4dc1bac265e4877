"""Normalize one file: open it, choose, compute, and write it back with the rest intact."""

from __future__ import annotations

import contextlib
import time
from functools import cache, partial
from typing import TYPE_CHECKING

from l2cli.atomic import check_destination, replacing
from l2cli.errors import DestinationError, OptionError, SourceError
from l2cli.formats import by_suffix, detect, open_reader
from l2cli.options import NormalizeOptions
from l2cli.pipeline import stream
from l2cli.report import ArrayReport, Report
from l2cli.selection import ANN_NOTE, is_ann_benchmarks, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats import Format
    from l2cli.formats.base import Reader
    from l2cli.graph import Backend

    Progress = Callable[[int, int], None]
    Chosen = list[tuple[ArraySpec, ArraySpec]]


def default_destination(source: Path) -> Path:
    """Return where the result goes where nothing else is said: ``NAME.normalized.SUFFIX``."""
    return source.with_name(f"{source.stem}.normalized{source.suffix}")


def normalize_file(
    source: Path,
    destination: Path | None = None,
    options: NormalizeOptions | None = None,
    *,
    in_place: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Normalize the vectors in one file; everything else in it stays as it was.

    Parameters
    ----------
    source
        An ``.npy``, ``.npz``, HDF5 or Parquet file.
    destination
        Where to write; ``None`` for :func:`default_destination`.
    in_place
        Replace the source, in one step.
    overwrite
        Replace a destination that exists.
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
        Where the destination can't be written. Nothing of it is left.
    """
    started = time.perf_counter()
    options = options or NormalizeOptions()
    kind = detect(source)
    target = _resolve(source, destination, kind, in_place=in_place)
    overwrite = overwrite or in_place
    check_destination(target, overwrite=overwrite)
    before = _fingerprint(source)
    with open_source(source, kind, options) as reader:
        chosen = _choose(reader, options)
        report = _report(source, target, kind, chosen)
        if not dry_run:
            with (
                _writing(target),
                replacing(target, like=source, overwrite=overwrite) as sibling,
                _naming(target, sibling),
            ):
                _normalize(reader, chosen, options, sibling, report, progress)
                if _fingerprint(source) != before:
                    raise SourceError(f"{source} changed while it was read; run again")
        report.notes = reader.notes
    report.dry_run = dry_run
    report.seconds = time.perf_counter() - started
    return report


def _resolve(source: Path, destination: Path | None, kind: Format, *, in_place: bool) -> Path:
    if in_place:
        if destination is not None:
            raise OptionError("--in-place replaces the source, so it takes no -o")
        return source
    target = destination or default_destination(source)
    if target.exists() and target.samefile(source):
        raise OptionError(f"{target} is the source itself; to replace it, say --in-place")
    named = by_suffix(target)
    if named is not None and named is not kind:
        raise OptionError(
            f"{target} is named like {named.name}, but {source} is {kind.name}, and l2norm "
            f"can't convert yet; name a destination *{kind.suffixes[0]}"
        )
    return target


def _fingerprint(source: Path) -> tuple[int, int, int]:
    status = source.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def open_source(source: Path, kind: Format, options: NormalizeOptions) -> Iterator[Reader]:
    """Open the source; an error inside the block that lacks its name gets it."""
    try:
        with open_reader(
            source,
            kind,
            allow_external=options.allow_external,
            assume_bfloat16=options.dtype == "bfloat16",
        ) as reader:
            yield reader
    except SourceError as exc:
        if str(source) in str(exc):
            raise
        raise type(exc)(f"{source}: {exc}") from exc
    except MemoryError as exc:
        raise SourceError(
            f"{source} needs more memory than there is; if it is sound, try a smaller --batch-size"
        ) from exc


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Name the destination where the system refuses to write: readers name their own errors."""
    try:
        yield
    except OSError as exc:
        raise DestinationError(
            f"{target} can't be written: {exc.strerror or exc}; nothing of it was left"
        ) from exc


@contextlib.contextmanager
def _naming(target: Path, sibling: Path) -> Iterator[None]:
    """Speak of the destination where a writer speaks of the sibling that it knows."""
    try:
        yield
    except DestinationError as exc:
        raise DestinationError(str(exc).replace(str(sibling), str(target))) from exc


def _choose(reader: Reader, options: NormalizeOptions) -> Chosen:
    """Return each array to normalize, and what it becomes."""
    chosen = [(array, options.output(array)) for array in select(reader, options.select)]
    for array, _ in chosen:
        options.axes(array)
    taken = {name for array, _ in chosen for name in array.names}
    if taken & {"train", "test"} and is_ann_benchmarks(reader.arrays()):
        reader.notes.append(ANN_NOTE)
    return chosen


def _report(source: Path, target: Path, kind: Format, chosen: Chosen) -> Report:
    return Report(
        str(source),
        str(target),
        kind.name,
        [
            ArrayReport(array.name, output.shape, array.dtype, output.dtype)
            for array, output in chosen
        ],
        num_bytes=sum(array.num_bytes for array, _ in chosen),
    )


def _normalize(
    reader: Reader,
    chosen: Chosen,
    options: NormalizeOptions,
    path: Path,
    report: Report,
    progress: Progress | None,
) -> None:
    from l2cli.graph import load_backend
    from l2cli.normalizer import make_normalizer

    @cache
    def backend() -> Backend:
        return load_backend(options.backend, options.device)

    normalizers = {
        array.name: make_normalizer(array, output, options, backend) for array, output in chosen
    }
    total = sum(normalizers[array.name].passes * array.num_bytes for array, _ in chosen)
    count = _ByteCount(total, progress)

    def read(*arrays: ArraySpec) -> Iterable[Batch]:
        return map(count, reader.batches(arrays, options.batch_size))

    for array, _ in chosen:
        normalizers[array.name].measure(partial(read, array))
    outputs = {output.name: output for _, output in chosen}
    with reader.writer(path, outputs) as writer:
        stream(
            read(*(array for array, _ in chosen)),
            lambda batch: normalizers[batch.array.name].normalize(batch),
            writer.write,
        )
        writer.finish()
    count.tell()
    for array_report in report.arrays:
        normalizer = normalizers[array_report.name]
        array_report.counts = normalizer.counts
        array_report.shape = (*array_report.shape[:1], *normalizer.row_shape)
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
