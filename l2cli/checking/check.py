"""Checking whether the rows of sources are unit rows.

``l2norm check`` and users of the library call :func:`check`, which reads files, folders and
streams, has each array checked (:mod:`l2cli.checking.array`) and returns one report. How a report
is shown is a matter of the caller.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.checking.array import ArrayRun
from l2cli.checking.inputs import label, list_inputs
from l2cli.checking.result import CheckReport, FileCheck
from l2cli.checking.statistics import NormStatistics
from l2cli.dtypes import DTYPES, FLOAT_DTYPES
from l2cli.engine.backend import LazyBackend
from l2cli.engine.pipeline import read_ahead
from l2cli.errors import (
    BackendError,
    L2NormError,
    NoArrayError,
    OptionError,
    OtherArraysError,
    SourceError,
)
from l2cli.formats.unread import full_suffix, may_hold_vectors
from l2cli.io.selection import Selection, select
from l2cli.io.source import as_source, as_sources
from l2cli.io.store_state import unfinished
from l2cli.options import CheckOptions
from l2cli.text import brief, suffixes_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.checking.inputs import Input, Inputs
    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.formats.base import Reader
    from l2cli.io.source import Location
    from l2cli.io.store_choice import ShardChoice

    Progress = Callable[[int, int], None]
    Choose = Callable[[Reader], Selection]


def check(
    sources: Location | Iterable[Location],
    options: CheckOptions | None = None,
    *,
    against: Location | None = None,
    source_format: str | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check whether every row of ``sources`` is a unit row.

    Of several files, those that can't be read are noted in the report.

    Parameters
    ----------
    sources : path or binary stream, or iterable of them
        Files, folders, or an unbuffered stream that is read once. Of a folder, the files of a
        known suffix are read, if they hold the store's vectors.
    options : CheckOptions, optional
        What is checked, and how far from 1 a norm may be.
    against : path or binary stream, optional
        What became of the one source. Its rows are checked, and each is compared with the row
        that it was made of: one that points in another direction counts as not unit.
    source_format : str, optional
        The format of ``sources``, such as ``npy`` or ``parquet``; by default it is recognized by
        the first bytes.
    progress : callable, optional
        Called after every batch with the bytes read so far and the bytes to read in all, or 0.
        What it raises ends the run.

    Returns
    -------
    CheckReport
        Counts and norms of all arrays, each array and each file; ``is_unit`` is the answer.

    Raises
    ------
    OptionError
        Where the options contradict each other, or the backend or device isn't there.
    SourceError
        Where the one file can't be read, or no file holds an array.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.check("unit.npy").is_unit  # doctest: +SKIP
    True
    """
    started = time.perf_counter()
    options = options or CheckOptions()
    given, compared = as_sources(sources), None if against is None else as_source(against)
    inputs = list_inputs(given, options.reading, source_format, compared)
    run = _Run(options, sum(source.num_bytes for source in inputs.inputs), progress)
    is_alone = len(inputs.inputs) == 1
    files = [FileCheck(path, error=f"{path} {message}") for path, message in inputs.failures]
    checked = (run.check(source, is_alone=is_alone) for source in inputs.inputs)
    files += [file for file in checked if file is not None]
    if not any(file.arrays or file.error for file in files):
        raise NoArrayError(f"{label(given[0])} holds no file with an array to check")
    doubtful = [
        file.name for file in inputs.not_read if may_hold_vectors(file.name, file.num_bytes)
    ]
    return CheckReport(
        options.zero_rows,
        files,
        run.statistics.summary(),
        inputs.notes + _not_checked(inputs, run.bystanders),
        time.perf_counter() - started,
        dict(Counter(map(full_suffix, doubtful))),
        _unfinished([*given, compared]),
    )


def _unfinished(sources: Sequence[Path | Readable | None]) -> list[str]:
    """Return which of the folders are not what a whole store became, and why."""
    folders = [source for source in sources if isinstance(source, Path) and os.path.isdir(source)]
    states = [(folder, unfinished(str(folder))) for folder in folders]
    return [f"{folder} is not finished ({why})" for folder, why in states if why]


def _not_checked(inputs: Inputs, bystanders: list[str]) -> list[str]:
    """Return notes of what is in folders and was not looked at."""
    notes = []
    if bystanders:
        few = brief(bystanders)
        notes.append(f"not checked, as they hold other arrays than the store's vectors: {few}")
    if inputs.not_read:
        counts = Counter(full_suffix(file.name) for file in inputs.not_read)
        notes.append(f"not read: {suffixes_text(counts)}")
    return notes


class _Run:
    """Checks one input after the other, and reports how far it is."""

    def __init__(self, options: CheckOptions, num_bytes: int, progress: Progress | None) -> None:
        self.statistics = NormStatistics(allow_zero=options.allow_zero)
        self.bystanders: list[str] = []
        self._options = options
        self._total = num_bytes
        self._done = 0
        self._progress = progress or (lambda done, total: None)
        self._backend = LazyBackend(options.backend, options.device)

    def check(self, given: Input, *, is_alone: bool) -> FileCheck | None:
        """Return the check of one input; ``None`` for a file of a folder without an array."""
        try:
            return self._check(given)
        except BackendError:
            raise
        except L2NormError as exc:
            if is_alone and given.named:
                raise
            if isinstance(exc, NoArrayError) and not given.named:
                self.bystanders += [given.label] if isinstance(exc, OtherArraysError) else []
                return None
            return FileCheck(given.label, given.named, error=str(exc))
        finally:
            self._done += given.num_bytes

    def _check(self, given: Input) -> FileCheck:
        source, options = given.source(), self._options
        file = FileCheck(given.label, given.named, source.file_format.title)
        advance = partial(self._advance, given.num_bytes)
        choose = partial(self._choose, choice=given.choice)
        with contextlib.ExitStack() as stack:
            self._backend.begin_loading()
            if given.before is None:
                reader = stack.enter_context(
                    source.opened(options, partial(self._must_seek, choose))
                )
                selection = choose(reader)
                runs = [self._run(array) for array in selection]
                self._read(reader, runs, _ByteCount(runs, advance))
            else:
                original = given.before.source()
                file.before = given.before.label
                must_seek = partial(self._has_several, choose)
                old = stack.enter_context(original.opened(options, must_seek))
                reader = stack.enter_context(source.opened(options, must_seek))
                selection = choose(reader)
                pairs = self._pair(choose(old).arrays, selection.arrays)
                runs = [run for _, run in pairs]
                self._read_both(old, reader, pairs, _ByteCount(runs, advance))
                original.check_unchanged()
            source.check_unchanged()
            file.notes = [*reader.notes, *selection.notes]
        for run in runs:
            self.statistics += run.statistics
            file.arrays.append(run.result())
        return file

    def _run(self, array: ArraySpec) -> ArrayRun:
        options = self._options
        return ArrayRun(
            array,
            options.reading,
            self._backend,
            DTYPES[array.dtype].tolerance if options.tolerance is None else options.tolerance,
            allow_zero=options.allow_zero,
        )

    def _choose(self, reader: Reader, choice: ShardChoice | None) -> Selection:
        options = self._options.reading
        chosen = choice.select(reader, options) if choice else select(reader, options.select)
        for array in chosen:
            options.axes(array)
            if array.dtype not in FLOAT_DTYPES:
                # An array without a name was not asked for by name: its file holds none to check.
                raise (SourceError if array.name else NoArrayError)(
                    f"{array.label} is {array.dtype}, and only rows of a float dtype can be unit"
                )
        return chosen

    def _must_seek(self, choose: Choose, reader: Reader) -> bool:
        return any(0 in self._options.reading.axes(array) for array in choose(reader))

    def _has_several(self, choose: Choose, reader: Reader) -> bool:
        return len(choose(reader)) > 1

    def _pair(
        self, old: Sequence[ArraySpec], new: Sequence[ArraySpec]
    ) -> list[tuple[ArraySpec, ArrayRun]]:
        """Return each array with what it was made of: by name, unless there is one of given."""
        runs = [self._run(array) for array in new]
        if any(run.spans for run in runs):
            raise OptionError("`against` compares rows, and `axis=0` is not along them")
        if len(old) == len(new) == 1:
            return [(old[0], runs[0])]
        names = {array.name: array for array in old}
        if names.keys() != {array.name for array in new}:
            kept = [", ".join(f"'{array.name}'" for array in arrays) for arrays in (old, new)]
            raise SourceError(
                f"it holds {kept[1]}, the other source {kept[0]}; choose with `select`"
            )
        return [(names[run.array.name], run) for run in runs]

    def _read(self, reader: Reader, runs: list[ArrayRun], count: _ByteCount) -> None:
        """Read all that there is to check: vectors that lie along axis 0 one array at a time."""
        named = {run.array.name: run for run in runs if not run.spans}
        for batch in self._batches(reader, [run.array for run in named.values()], count):
            named[batch.array.name].take(batch)
        for run in runs:
            if run.spans:
                run.take_all(partial(self._batches, reader, [run.array], count))

    def _read_both(
        self,
        old: Reader,
        new: Reader,
        pairs: list[tuple[ArraySpec, ArrayRun]],
        count: _ByteCount,
    ) -> None:
        for array, run in pairs:
            after = self._batches(new, [run.array], count)
            run.take_pairs(array, self._batches(old, [array]), after)

    def _batches(
        self, reader: Reader, arrays: list[ArraySpec], count: _ByteCount | None = None
    ) -> Iterator[Batch]:
        batches = reader.batches(arrays, self._options.batch_size)
        with read_ahead(batches, may_wait=reader.may_wait) as ready:
            for batch in ready:
                yield batch
                if count is not None:
                    count.add(batch)

    def _advance(self, num_bytes: int, done: int, total: int) -> None:
        """Report ``done`` of ``total`` bytes of numbers, in a file of ``num_bytes``."""
        if self._total:
            self._progress(self._done + num_bytes * min(done, total) // max(1, total), self._total)
        else:
            self._progress(done, total)


class _ByteCount:
    """Counts the bytes of one file's batches."""

    def __init__(self, runs: list[ArrayRun], advance: Callable[[int, int], None]) -> None:
        self._done = 0
        self._total = sum(run.array.num_bytes for run in runs)
        self._advance = advance

    def add(self, batch: Batch) -> None:
        """Report a batch that was checked."""
        self._done += batch.rows.nbytes
        self._advance(self._done, self._total)
