"""``l2norm inspect``."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import click

from l2cli.cli.options import PATH, debug_option

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.inspection import Inspection


@click.command(short_help="What is in a file, what would be taken, and why.")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=PATH)
@click.option("--allow-external", is_flag=True, help="Look into other files that HDF5 points to.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file.")
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

    No numbers are read and no backend is loaded.
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
            click.echo(("\n" if index else "") + _table(inspection))
    ctx.exit(3 if failed else 0)


def _inspect(source: Path, *, allow_external: bool, debug: bool) -> Inspection:
    from l2cli.cli.guard import run_guarded
    from l2cli.cli.terminal import silence_libraries
    from l2cli.formats import detect
    from l2cli.inspection import inspect_file

    def work() -> Inspection:
        if not debug:
            silence_libraries()
        return inspect_file(source, allow_external=allow_external)

    detect(source)
    return run_guarded(work, str(source), lambda pid: None)


def _table(inspection: Inspection) -> str:
    from l2cli.report import printable, shape_text

    rows: list[tuple[str, ...]] = [("array", "shape", "dtype", "layout", "")]
    for array in inspection.arrays:
        shape, state = shape_text(array.shape), "chosen" if array.chosen else array.reason
        rows.append((array.name or "(the array)", shape, array.dtype, array.layout, state))
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [printable(f"{inspection.source}: {inspection.format}")]
    told = set()
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        line = "  " + "  ".join(cells)
        state = row[4].partition(";")[0] if row[4] in told else row[4]
        told.add(state)
        is_long = len(line) + 2 + len(state) > shutil.get_terminal_size().columns
        lines.append((line + ("\n      " if is_long else "  ") + state).rstrip())
    lines += [f"note: {note}" for note in inspection.notes]
    return "\n".join(lines)
