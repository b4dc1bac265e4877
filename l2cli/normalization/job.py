"""One source into one destination: prepared, then executed.

:func:`prepare` opens the source, selects once and refuses what must be refused;
:meth:`Job.execute` reads, computes and writes. Used by the command, by
:func:`~l2cli.normalization.file.normalize_file` and by the shards of a store. It knows formats
only by their readers and writers, and nothing of terminals and processes.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import TYPE_CHECKING

from l2cli.engine.backend import LazyBackend
from l2cli.engine.normalizer import make_normalizer
from l2cli.engine.pipeline import computed_ahead, read_ahead
from l2cli.errors import OptionError
from l2cli.io.selection import ann_notes, select
from l2cli.normalization.rewrite import Rewrite
from l2cli.options import NormalizeOptions
from l2cli.report import ArrayReport, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.base import Reader, Writer
    from l2cli.io.resolve import Resolution
    from l2cli.io.selection import Selection
    from l2cli.io.store_choice import ShardChoice
    from l2cli.normalization.kept_norms import KeptNorms

    Progress = Callable[[int, int], None]
    Chosen = list[tuple[ArraySpec, ArraySpec]]

_HARMLESS_EPSILON = 0.9
"""A lower bound on sums of squares that no unit row of any dtype is under."""


@contextlib.contextmanager
def prepare(
    resolution: Resolution,
    options: NormalizeOptions | None = None,
    choice: ShardChoice | None = None,
) -> Iterator[Job]:
    """Open a source, and yield what is to be done with it. Nothing is written.

    Parameters
    ----------
    resolution : Resolution
        What is read and written.
    options : NormalizeOptions or None
        How to normalize; ``None`` for the defaults.
    choice : ShardChoice or None
        What is normalized in a shard of a store; ``None`` to choose as for a file that is alone.

    Yields
    ------
    Job
        To be executed inside the block, once.

    Raises
    ------
    OptionError
        Where the options contradict each other.
    SourceError
        Where the source can't be used.
    DestinationError
        Where the destination can't hold what is chosen.
    """
    started = time.perf_counter()
    options = options or NormalizeOptions()

    @cache  # A stream's reader is asked twice: before, whether it has to go back.
    def selected(reader: Reader) -> tuple[Selection, Chosen]:
        selection = choice.select(reader, options) if choice else select(reader, options.select)
        for array in selection:
            options.axes(array)
        return selection, [(array, options.output(array)) for array in selection]

    def must_seek(reader: Reader) -> bool:
        return _must_seek(resolution, options, selected(reader)[1])

    with resolution.source.opened(options, must_seek) as reader:
        selection, chosen = selected(reader)
        notes = [*selection.notes, *ann_notes(reader.arrays(), selection)]
        _check_options(resolution, options, chosen)
        yield Job(resolution, options, chosen, _rewrite(resolution, reader, chosen), notes, started)


@dataclass(frozen=True)
class Job:
    """One source to normalize. Made by :func:`prepare`, which has it open.

    Attributes
    ----------
    resolution : Resolution
        What is read and written.
    options : NormalizeOptions
        How to normalize.
    chosen : list of (ArraySpec, ArraySpec)
        Each array to normalize, and what it becomes.
    rewrite : Rewrite
        How arrays get from the reader into a writer.
    notes : list of str
        What the user should know of what was chosen.
    started : float
        When it was prepared, by :func:`time.perf_counter`.
    """

    resolution: Resolution
    options: NormalizeOptions
    chosen: Chosen
    rewrite: Rewrite
    notes: list[str]
    started: float

    def execute(self, progress: Progress | None = None) -> Report:
        """Read, compute and write, unless the options about files ask for a dry run.

        Parameters
        ----------
        progress : callable or None
            Called after every batch, and before the destination appears, with the bytes read so
            far and the bytes to read in all. What it raises ends the run; nothing is left then.

        Returns
        -------
        Report
            What became of each array.

        Raises
        ------
        OptionError
            Where the backend or device isn't there.
        SourceError
            Where the source can't be read, or a row may not be normalized.
        DestinationError
            Where the destination can't be written. Nothing of a file is left.
        """
        report = self._report()
        if self.resolution.files.dry_run:
            report.dry_run = True
            self._note(report, self.rewrite)
        elif self._is_unit_already(report):
            self.resolution.source.check_unchanged()
        else:
            with self._transcoded() as rewrite:
                _Execution(self, rewrite, progress).write(report)
                self._note(report, rewrite)
        report.seconds = time.perf_counter() - self.started
        return report

    def _report(self) -> Report:
        resolution = self.resolution
        return Report(
            resolution.source.label,
            resolution.destination.label,
            resolution.source.file_format.name,
            [
                ArrayReport(array.name, array.shape, output.shape, array.dtype, output.dtype)
                for array, output in self.chosen
            ],
            num_bytes=sum(array.num_bytes for array, _ in self.chosen),
        )

    def _note(self, report: Report, rewrite: Rewrite) -> None:
        readers = dict.fromkeys([self.rewrite.reader, rewrite.reader])
        notes = [note for reader in readers for note in reader.notes]
        report.notes = [*notes, *self.notes, *rewrite.notes, *report.warnings]

    def _is_unit_already(self, report: Report) -> bool:
        """Copy the source, or leave it, where it need not be normalized and the options say so."""
        resolution, options = self.resolution, self.options
        is_same = resolution.file_format is resolution.source.file_format
        is_same = is_same and all(array == output for array, output in self.chosen)
        if not options.if_needed or not is_same or options.epsilon > _HARMLESS_EPSILON:
            return False
        from l2cli.normalization.verification import unit_counts

        reader = self.rewrite.reader
        counts = unit_counts(reader, [array for array, _ in self.chosen], options)
        if counts is None:
            return False
        in_place = resolution.files.in_place
        if not in_place:
            resolution.destination.copy(reader.path, resolution.source.path)
        report.already_unit = "left" if in_place else "copied"
        for array in report.arrays:
            array.counts = counts[array.name]
        return True

    @contextlib.contextmanager
    def _transcoded(self) -> Iterator[Rewrite]:
        """Yield how to get into the destination's format, of a table in that format already."""
        resolution, reader = self.resolution, self.rewrite.reader
        source_format, file_format = resolution.source.file_format, resolution.file_format
        if file_format is source_format or not (file_format.is_table and source_format.is_table):
            yield self.rewrite
            return
        from l2cli.normalization.conversion import transcoded

        to_stream = resolution.destination.is_stream
        with transcoded(
            reader, self.chosen, file_format, self.options, to_stream=to_stream
        ) as rewrite:
            yield rewrite


class _Execution:
    """The execution of a job: its writer, its normalizers, and how far it is."""

    def __init__(self, job: Job, rewrite: Rewrite, progress: Progress | None) -> None:
        self._resolution, self._options, self._rewrite = job.resolution, job.options, rewrite
        self._keeps_norms = bool(job.options.norms_name or job.resolution.norms)
        self._backend = LazyBackend(job.options.backend, job.options.device)
        self._normalizers = {
            array.name: make_normalizer(
                array,
                rewrite.outputs[array.name],
                job.options,
                self._backend,
                keep_norms=self._keeps_norms,
            )
            for array in rewrite.arrays
            if array.name in rewrite.normalized
        }
        self._progress = progress or (lambda done, total: None)
        self._done = 0
        self._total = sum(self._num_passes(array) * array.num_bytes for array in rewrite.arrays)

    def write(self, report: Report) -> None:
        """Write the destination, and put into ``report`` what was counted on the way."""
        resolution, rewrite = self._resolution, self._rewrite
        if rewrite.needs_graph:
            self._backend.begin_loading()  # While files are opened.
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(resolution.destination.opened(resolution.source.path))
            writer = rewrite.stream_writer(output.stream) if output.stream else None
            path = None
            if writer is None:
                path = stack.enter_context(output.file())
                writer = rewrite.writer(path)
            stack.enter_context(writer)
            kept_norms = self._opened_norms(stack)
            self._write_rows(writer, kept_norms)
            self._fill_in(report)
            norms = kept_norms.finish(report) if kept_norms else {}
            if path is not None:
                self._complete(path, norms, report)
            resolution.source.check_unchanged()
            if resolution.norms is not None:  # Last: they are of no use without the vectors.
                (file,) = norms.values()
                resolution.norms.copy(file, None)
                report.norms = resolution.norms.label

    def _write_rows(self, writer: Writer, kept_norms: KeptNorms | None) -> None:
        """Read, compute and write every batch: the loop that all the rest is for."""
        reader, arrays = self._rewrite.reader, self._rewrite.arrays
        for array in arrays:
            if array.name in self._normalizers:
                read = partial(self._measured_batches, array, writer)
                self._normalizers[array.name].measure(read)
        with computed_ahead(
            self._rewrite.batches(self._options.batch_size),
            self._compute,
            may_wait=reader.may_wait,
            is_quick=reader.is_quick(arrays),
        ) as computed:
            self._reserve(writer, lambda: computed.is_ready)
            for num_bytes, batch in computed:
                writer.write(batch)
                if kept_norms is not None:
                    kept_norms.add(batch)
                self._advance(num_bytes)
        writer.finish()
        self._advance(0)

    def _measured_batches(self, array: ArraySpec, writer: Writer) -> Iterator[Batch]:
        """Read one array, as a pass before the rows are written."""
        reader = self._rewrite.reader
        batches = reader.batches([array], self._options.batch_size)
        with read_ahead(batches, may_wait=reader.may_wait) as ready:
            self._reserve(writer, lambda: not self._backend.is_loading)
            for batch in ready:
                yield batch
                self._advance(batch.rows.nbytes)

    def _compute(self, batch: Batch) -> Batch:
        normalizer = self._normalizers.get(batch.array.name)
        return batch if normalizer is None else normalizer.normalize(batch)

    def _reserve(self, writer: Writer, is_ready: Callable[[], bool]) -> None:
        """Let the file system find room for what will be written, while there is time."""
        if not self._resolution.destination.is_stream:
            while not is_ready() and writer.reserve():
                pass

    def _advance(self, num_bytes: int) -> None:
        self._done += num_bytes
        self._progress(self._done, self._total)

    def _num_passes(self, array: ArraySpec) -> int:
        normalizer = self._normalizers.get(array.name)
        return 1 if normalizer is None else normalizer.num_passes

    def _opened_norms(self, stack: contextlib.ExitStack) -> KeptNorms | None:
        if not self._keeps_norms:
            return None
        from l2cli.normalization.kept_norms import KeptNorms

        return stack.enter_context(KeptNorms(self._rewrite.arrays, self._normalizers))

    def _fill_in(self, report: Report) -> None:
        for array in report.arrays:
            normalizer = self._normalizers[array.name]
            vectors = normalizer.vectors
            array.add(normalizer.counts, vectors.source_shape.common, vectors.shape.common)
        report.warn_of_short_rows(self._options.epsilon)
        report.backend, report.device = self._backend.name, self._backend.device

    def _complete(self, path: Path, norms: dict[str, Path], report: Report) -> None:
        """Add norms to the file that was written, and verify it, as the options say."""
        options, outputs = self._options, self._rewrite.outputs
        file_format, destination = self._resolution.file_format, self._resolution.destination
        if options.norms_name:
            from l2cli.normalization.kept_norms import add_norms

            named = {outputs[name].name: file for name, file in norms.items()}
            add_norms(path, file_format, named, options.norms_name)
        if options.verify:
            from l2cli.normalization.verification import verify

            written = [(outputs[array.name], array.counts) for array in report.arrays]
            verify(path, file_format, destination.label, written, options)
            report.verified = True


def _rewrite(resolution: Resolution, reader: Reader, chosen: Chosen) -> Rewrite:
    """Return how arrays get into a writer. Tables are written in another format by the job."""
    source_format, file_format = resolution.source.file_format, resolution.file_format
    if file_format is source_format or (file_format.is_table and source_format.is_table):
        return Rewrite(reader, chosen)
    from l2cli.normalization.conversion import Conversion

    return Conversion(reader, chosen, file_format)


def _must_seek(resolution: Resolution, options: NormalizeOptions, chosen: Chosen) -> bool:
    """Whether a reader of a stream has to go back, or to know how many rows will come."""
    if options.if_needed or any(0 in options.axes(array) for array, _ in chosen):
        return True
    source_format, file_format = resolution.source.file_format, resolution.file_format
    both_tables = file_format.is_table and source_format.is_table
    to_arrays = file_format is not source_format and not both_tables
    return to_arrays and any(array.shape[0] is None for array, _ in chosen)


def _check_options(resolution: Resolution, options: NormalizeOptions, chosen: Chosen) -> None:
    """Refuse options that contradict each other, the formats, or what was chosen."""
    is_stream = resolution.destination.is_stream
    if is_stream and options.verify:
        raise OptionError(
            "a pipe can't be read back to verify it; name a file with `destination='FILE'`"
        )
    if is_stream and options.norms_name:
        raise OptionError(
            "norms are added to a file, not to a pipe; name one with `destination='FILE'`"
        )
    if options.norms_name and not resolution.file_format.extend:
        raise OptionError(
            f"{resolution.file_format.name} has no place for norms beside the vectors; keep them "
            "in a file of their own with `norms='FILE.npy'`"
        )
    for array, _ in chosen:
        if options.norms_name and fnmatchcase(options.norms_name, array.name):
            raise OptionError(
                f"norms called '{options.norms_name}' would be taken for {array.label}; "
                "choose another name"
            )
    if resolution.norms is not None and len(chosen) > 1:
        raise OptionError(
            f"{resolution.norms.label} is for one array, not {len(chosen)}; choose with `select`"
        )
    if options.if_needed and (options.norms_name or resolution.norms):
        raise OptionError("a file that is copied as it is gets no norms; leave out `if_needed`")
