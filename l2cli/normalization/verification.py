"""Reading a file as ``check`` does: is it needed to normalize it, and was it written well?"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from l2cli.checking.array import ArrayRun
from l2cli.dtypes import DTYPES
from l2cli.engine.pipeline import read_ahead
from l2cli.errors import DestinationError
from l2cli.graph.backends.load import load_backend
from l2cli.io.selection import select
from l2cli.io.source import open_source
from l2cli.report import Counts

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions


def unit_counts(
    reader: Reader, arrays: list[ArraySpec], options: NormalizeOptions
) -> dict[str, Counts] | None:
    """Return what the arrays hold if every row is a unit row; ``None`` at the first that isn't.

    Zero rows are no hindrance unless the options make errors of them, null rows never.
    """
    found = {}
    for array in arrays:
        run = _read(reader, array, options, stop_early=True)
        figures = run.tally.figures()
        if run.tally.offenders:
            return None
        counts = Counts(figures.num_rows, zero=figures.zero, null=figures.null)
        found[array.name] = counts
    return found


def verify(
    path: Path,
    kind: Format,
    label: str,
    expected: list[tuple[ArraySpec, Counts]],
    options: NormalizeOptions,
) -> None:
    """Read the file at ``path`` and compare what is in it with what was found on its way there.

    Parameters
    ----------
    label
        What messages call the file.
    expected
        Each array that was normalized, as it was written, and what was counted in it.

    Raises
    ------
    DestinationError
        Where rows are missing, or more of them are not unit than have to be.
    """
    reading = replace(options, dtype="bfloat16", truncate_dim=None)  # As ``check`` reads.
    with open_source(path, kind, reading) as reader:
        for array, counts in expected:
            # Of an array without a name the file's name tells, and this is a temporary one.
            names = (array.name,) if any(each.name for each in reader.arrays()) else ("*",)
            for written in select(reader, names):
                run = _read(reader, written, reading, stop_early=False)
                problem = _problem(run, counts, options)
                if problem:
                    rows = ", ".join(map(str, run.tally.offenders))
                    raise DestinationError(
                        f"{label}: {array.label}, read back, {problem}"
                        f"{f' (not unit: {rows})' if rows else ''}; nothing of it was left; "
                        "check the disk and the memory of this machine, and run again"
                    )


def _read(
    reader: Reader, array: ArraySpec, options: NormalizeOptions, *, stop_early: bool
) -> ArrayRun:
    backend = cache(partial(load_backend, options.backend, options.device))
    allow_zero = options.zero_rows == "keep"
    run = ArrayRun(array, options, backend, DTYPES[array.dtype].tolerance, allow_zero=allow_zero)
    if run.spans:
        run.take_all(lambda: reader.batches([array], options.batch_size))
        return run
    with read_ahead(reader.batches([array], options.batch_size), may_wait=False) as batches:
        for batch in batches:
            run.take(batch)
            if stop_early and run.tally.offenders:
                break
    return run


def _problem(run: ArrayRun, counts: Counts, options: NormalizeOptions) -> str:
    """Return what is wrong with what was read back; nothing if nothing is."""
    found = run.tally.figures()
    expected = counts.num_rows + counts.null
    if (found.num_rows, found.null) != (counts.num_rows, counts.null):
        return f"has {found.num_rows + found.null:,} rows, expected {expected:,}"
    # A null component stays null, so its row is not finite either way.
    kept = min(run.num_incomplete, counts.nonfinite)
    kept = counts.nonfinite if options.nonfinite == "keep" else kept
    if found.nonfinite != kept:
        return f"has {_rows(found.nonfinite)} with NaN or Inf, expected {kept:,}"
    zero = counts.zero + counts.nonfinite - kept
    short = found.num_rows - found.unit - found.nonfinite - zero
    if found.zero < zero or short > counts.floored:
        that_are = "that is" if short == 1 else "that are"
        most = f"expected {counts.floored:,} at most"
        return f"has {_rows(max(short, 0))} {that_are} not unit, {most}"
    return ""


def _rows(number: int) -> str:
    return f"{number:,} row" + ("" if number == 1 else "s")
