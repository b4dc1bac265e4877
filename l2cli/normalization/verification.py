"""Whether a file needs to be normalized, and whether its destination was written well.

Used by a job for ``if_needed`` and ``verify``. A file is read as ``check`` reads it; nothing is
written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from l2cli.checking.array import ArrayRun
from l2cli.dtypes import DTYPES
from l2cli.engine.backend import LazyBackend
from l2cli.engine.pipeline import read_ahead
from l2cli.errors import DestinationError
from l2cli.io.selection import select
from l2cli.io.source import open_source
from l2cli.options import OpenOptions
from l2cli.report import Counts
from l2cli.text import rows_text

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions


def unit_counts(
    reader: Reader, arrays: list[ArraySpec], options: NormalizeOptions
) -> dict[str, Counts] | None:
    """Return the counts of each array if every row is a unit row; ``None`` at the first that isn't.

    Zero rows may be there unless the options make errors of them; null rows always may.
    """
    counts = {}
    for array in arrays:
        run = _read(reader, array, options, stop_early=True)
        summary = run.statistics.summary()
        if run.statistics.non_unit_rows:
            return None
        counts[array.name] = Counts(summary.num_rows, zero=summary.zero, null=summary.null)
    return counts


def verify(
    path: Path,
    file_format: Format,
    label: str,
    expected: list[tuple[ArraySpec, Counts]],
    options: NormalizeOptions,
) -> None:
    """Read the file at ``path`` and compare what is in it with what was counted before.

    Parameters
    ----------
    path : Path
        The file.
    file_format : Format
        What it is.
    label : str
        What messages call it.
    expected : list of (ArraySpec, Counts)
        Each array that was normalized, as it was written, and what was counted in it.
    options : NormalizeOptions
        How it was normalized.

    Raises
    ------
    DestinationError
        Where rows are missing, or more of them are not unit than have to be.
    """
    reading = replace(options, dtype="same", truncate_dim=None)
    opening = OpenOptions(options.allow_external, assume_bfloat16=True)  # As ``check`` reads.
    with open_source(path, file_format, opening) as reader:
        for array, counts in expected:
            # An array without a name is judged by its file's name, and this is a temporary one.
            has_names = any(written.name for written in reader.arrays())
            names = (array.name,) if has_names else ("*",)
            for written in select(reader, names):
                run = _read(reader, written, reading, stop_early=False)
                problem = _problem(run, counts, options)
                if problem:
                    rows = ", ".join(map(str, run.statistics.non_unit_rows))
                    raise DestinationError(
                        f"{label}: {array.label}, read back, {problem}"
                        f"{f' (not unit: {rows})' if rows else ''}; nothing of it was left; "
                        "check the disk and the memory of this machine, and run again"
                    )


def _read(
    reader: Reader, array: ArraySpec, options: NormalizeOptions, *, stop_early: bool
) -> ArrayRun:
    backend = LazyBackend(options.backend, options.device)
    allow_zero = options.zero_rows == "keep"
    run = ArrayRun(array, options, backend, DTYPES[array.dtype].tolerance, allow_zero=allow_zero)
    if run.spans:
        run.take_all(lambda: reader.batches([array], options.batch_size))
        return run
    with read_ahead(reader.batches([array], options.batch_size), may_wait=False) as batches:
        for batch in batches:
            run.take(batch)
            if stop_early and run.statistics.non_unit_rows:
                break
    return run


def _problem(run: ArrayRun, counts: Counts, options: NormalizeOptions) -> str:
    """Return what is wrong with what was read back; empty if nothing is."""
    actual = run.statistics.summary()
    expected = counts.num_rows + counts.null
    if (actual.num_rows, actual.null) != (counts.num_rows, counts.null):
        return f"has {actual.num_rows + actual.null:,} rows, expected {expected:,}"
    # A null component stays null, so its row is not finite either way.
    kept = min(run.num_incomplete, counts.nonfinite)
    kept = counts.nonfinite if options.nonfinite == "keep" else kept
    if actual.nonfinite != kept:
        return f"has {rows_text(actual.nonfinite)} with NaN or Inf, expected {kept:,}"
    zero = counts.zero + counts.nonfinite - kept
    short = actual.num_rows - actual.unit - actual.nonfinite - zero
    if actual.zero < zero or short > counts.floored:
        that_are = "that is" if short == 1 else "that are"
        most = f"expected {counts.floored:,} at most"
        return f"has {rows_text(max(short, 0))} {that_are} not unit, {most}"
    return ""
