"""The lines and tables that ``check`` and ``inspect`` print of what the library returns.

Used by these two commands. It turns parameters into options in every text, and control characters
into text; it prints nothing.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from l2cli.cli.bars import MIN_COLUMNS, draw
from l2cli.cli.errors import with_flags
from l2cli.text import printable, shape_text, suffixes_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.checking.bars import Bars
    from l2cli.checking.result import CheckReport
    from l2cli.io.inspection import FamilyInspection, Inspection, StoreInspection

    Row = tuple[str, ...]


def check_lines(report: CheckReport) -> Iterator[str]:
    """Yield the lines of a check: of files in a folder, only of those that are not unit."""
    for file in report.files:
        for array in file.arrays:
            if file.named or array.summary.non_unit:
                before = f" from {file.before}" if file.before else ""
                yield printable(f"{file.source}{before}: {array.title}")
                yield from (f"  {printable(line)}" for line in str(array).splitlines())
                if file.named:
                    yield from _bars(array.summary.bars)
        yield from (printable(with_flags(f"note: {note}")) for note in file.notes if file.named)
    if report.num_arrays > 1:
        yield "all arrays"
        yield f"  {report.summary}"
        yield f"  norms: {report.summary.norms}"
        yield from _bars(report.summary.bars)
    yield from (printable(with_flags(f"note: {note}")) for note in report.notes)
    yield with_flags(report.verdict)


def _bars(bars: Bars) -> Iterator[str]:
    is_wide = shutil.get_terminal_size().columns >= MIN_COLUMNS
    if sys.stdout.isatty() and is_wide and bars.num_bars:
        yield draw(bars)


def inspection_lines(inspection: Inspection | StoreInspection) -> Iterator[str]:
    """Yield the lines of what is in a file or a folder."""
    from l2cli.io.inspection import Inspection

    if isinstance(inspection, Inspection):
        yield printable(f"{inspection.source}: {inspection.format}")
        yield from _table(("array", "shape", "dtype", "layout", ""), list(_rows(inspection)))
        yield from (
            [printable(with_flags(f"not taken: {inspection.error}"))] if inspection.error else []
        )
    else:
        yield printable(f"{inspection.source}: a folder")
        rows = [row for family in inspection.families for row in _family_rows(family)]
        yield from _table(("files", "", "array", "shape", "dtype", ""), rows)
        errors = [family.example.error for family in inspection.families]
        yield from (printable(with_flags(f"not taken: {error}")) for error in errors if error)
        if inspection.not_read:
            yield printable(f"not read: {suffixes_text(inspection.not_read)}")
    yield from (printable(with_flags(f"note: {note}")) for note in inspection.notes)


def _rows(inspection: Inspection) -> Iterator[Row]:
    for array in inspection.arrays:
        state = "chosen" if array.chosen else with_flags(array.reason)
        name = array.name or "(the array)"
        yield name, shape_text(array.shape), array.dtype, array.layout, state


def _family_rows(family: FamilyInspection) -> Iterator[Row]:
    """Yield a row for each array of the first file of a family; the family stands in the first."""
    rows = [(name, shape, dtype, state) for name, shape, dtype, _, state in _rows(family.example)]
    title = (family.files, f"{family.num_files:,} ×")
    for row in rows or [("", "", "", "" if family.example.error else "holds no arrays")]:
        yield (*title, *row)
        title = ("", "")


def _table(header: Row, rows: list[Row]) -> Iterator[str]:
    """Yield the lines of a table. The last column may be long: then it has a line of its own."""
    rows = [tuple(map(printable, row)) for row in [header, *rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header) - 1)]
    columns, told = shutil.get_terminal_size().columns, set()
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        line = "  " + "  ".join(cells)
        state = row[-1].partition(";")[0] if row[-1] in told else row[-1]
        told.add(state)
        is_long = len(line) + 2 + len(state) > columns
        yield (
            line.rstrip() + "\n      " + state if is_long and state else f"{line}  {state}"
        ).rstrip()
