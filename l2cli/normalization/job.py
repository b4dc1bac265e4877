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
from functools import cache
from typing import TYPE_CHECKING

from l2cli.errors import OptionError
from l2cli.io.selection import ann_notes, select
from l2cli.normalization.execution import Execution
from l2cli.normalization.rewrite import Rewrite
from l2cli.options import NormalizeOptions
from l2cli.report import ArrayReport, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.io.resolve import Resolution
    from l2cli.io.selection import Selection
    from l2cli.io.store_choice import ShardChoice
    from l2cli.normalization.execution import Progress

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
        report, resolution = self._report(), self.resolution
        if resolution.files.dry_run:
            report.dry_run = True
            self._note(report, self.rewrite)
        elif self._is_unit_already(report):
            resolution.source.check_unchanged()
        else:
            with self._transcoded() as rewrite:
                Execution(resolution, self.options, rewrite, progress).write(report)
                self._note(report, rewrite)
        report.seconds = time.perf_counter() - self.started
        return report

    def _report(self) -> Report:
        resolution = self.resolution
        return Report(
            resolution.source.label,
            resolution.destination.label,
            resolution.source.file_format.title,
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
            f"{resolution.file_format.title} has no place for norms beside the vectors; keep them "
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
