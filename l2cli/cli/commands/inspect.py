"""``l2norm inspect``."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import click

from l2cli.cli.options import PATH, debug_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from l2cli.io.inspection import FamilyInspection, Inspection, StoreInspection

    Row = tuple[str, ...]


@click.command(short_help="What is in a file or folder, what would be taken, and why.")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=PATH)
@click.option("--allow-external", is_flag=True, help="Look into other files that HDF5 points to.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a source.")
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[Path, ...],
    *,
    allow_external: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """List the arrays in each SOURCE, and say which ones 'l2norm normalize' takes.

    Of a folder, files that are named alike but for their numbers are listed together, by the
    first of them. No numbers are read and no backend is loaded.
    """
    from l2cli.cli.terminal import answer, say
    from l2cli.errors import L2NormError

    failed = False
    for index, source in enumerate(sources):
        try:
            inspection = _inspect(source, allow_external=allow_external, debug=debug)
        except L2NormError as exc:
            if len(sources) == 1:
                raise
            say(f"l2norm: {exc}")
            if as_json:
                answer({"source": str(source), "error": str(exc)})
            failed = True
            continue
        if as_json:
            click.echo(json.dumps(inspection.as_dict()))
        else:
            click.echo(("\n" if index else "") + "\n".join(_lines(inspection)))
    ctx.exit(3 if failed else 0)


def _inspect(source: Path, *, allow_external: bool, debug: bool) -> Inspection | StoreInspection:
    from l2cli.cli.guard import run_guarded
    from l2cli.cli.terminal import silence_libraries
    from l2cli.filesystem.streams import is_stream
    from l2cli.formats.registry import detect
    from l2cli.io.inspection import inspect_file, inspect_folder

    is_folder = os.path.isdir(source)

    def work() -> Inspection | StoreInspection:
        if not debug:
            silence_libraries()
        return (inspect_folder if is_folder else inspect_file)(
            source, allow_external=allow_external
        )

    if not (is_folder or is_stream(source)):
        detect(source)
    return run_guarded(work, str(source), lambda pid: None)


def _lines(inspection: Inspection | StoreInspection) -> Iterator[str]:
    from l2cli.io.inspection import Inspection
    from l2cli.text import printable, suffixes_text

    if isinstance(inspection, Inspection):
        yield printable(f"{inspection.source}: {inspection.format}")
        yield from _table(("array", "shape", "dtype", "layout", ""), list(_rows(inspection)))
        yield from ([printable(f"not taken: {inspection.error}")] if inspection.error else [])
    else:
        yield printable(f"{inspection.source}: a folder")
        rows = [row for family in inspection.families for row in _family_rows(family)]
        yield from _table(("files", "", "array", "shape", "dtype", ""), rows)
        errors = [family.example.error for family in inspection.families]
        yield from (printable(f"not taken: {error}") for error in errors if error)
        if inspection.not_read:
            yield printable(f"not read: {suffixes_text(inspection.not_read)}")
    yield from (printable(f"note: {note}") for note in inspection.notes)


def _rows(inspection: Inspection) -> Iterator[Row]:
    from l2cli.text import shape_text

    for array in inspection.arrays:
        state = "chosen" if array.chosen else array.reason
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
    from l2cli.text import printable

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
