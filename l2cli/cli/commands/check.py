"""``l2norm check``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.options import (
    FORMAT,
    PATH,
    allow_external_option,
    axis_option,
    backend_option,
    batch_size_option,
    check_stdin,
    debug_option,
    device_option,
    open_stdin,
    progress_option,
)
from l2cli.cli.terminal import answer, say
from l2cli.errors import OptionError
from l2cli.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.checking.histogram import Picture
    from l2cli.checking.result import CheckReport
    from l2cli.filesystem.buffered_stream import Readable


@click.command(short_help="Are these unit rows? Exit code 0 yes, 1 no.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=PATH)
@click.option(
    "-s",
    "--select",
    "--column",
    "--dataset",
    "select",
    metavar="NAME",
    multiple=True,
    help="The array to check: an npz member, HDF5 dataset or table column. Repeatable; takes "
    "globs.  [default: the one that 'l2norm normalize' takes]",
)
@axis_option
@click.option(
    "--tolerance",
    type=float,
    metavar="FLOAT",
    help="How far from 1 a norm may be.  [default: float16 1e-3, bfloat16 8e-3, float32 1e-6, "
    "float64 1e-12]",
)
@click.option(
    "--zero-rows",
    type=click.Choice(["allow", "forbid"]),
    default="allow",
    show_default=True,
    help="Whether there may be rows of zeros, and null rows.",
)
@click.option(
    "--against",
    metavar="PATH",
    help="What became of SOURCE: a file, a folder or -. Its rows are checked, and whether they "
    "point where those of SOURCE do.",
)
@click.option(
    "--plot",
    type=PATH,
    metavar="PATH",
    help="Draw the norms, as .png or .svg; pip install 'l2cli[plot]'.",
)
@click.option(
    "--report",
    type=PATH,
    metavar="PATH",
    help="Write a page with figures and pictures, as .html.",
)
@click.option("--overwrite", is_flag=True, help="Replace a plot or report that exists.")
@batch_size_option
@backend_option
@device_option
@allow_external_option
@click.option(
    "--from",
    "source_format",
    type=FORMAT,
    help="The source's format.  [default: by its first bytes]",
)
@click.option("-q", "--quiet", is_flag=True, help="Nothing but the exit code and errors.")
@progress_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@debug_option
def command(
    sources: tuple[Path, ...],
    *,
    against: str | None,
    plot: Path | None,
    report: Path | None,
    overwrite: bool,
    source_format: str | None,
    quiet: bool,
    progress: bool | None,
    as_json: bool,
    debug: bool,
    **wishes: Any,
) -> None:
    """Tell whether every row of SOURCE has norm 1, and which don't.

    SOURCE is a file as for 'l2norm normalize', several, or a folder of such. Without SOURCE, or
    with -, standard input is read. A row with NaN or Inf is not unit.

    \b
      l2norm check unit.npy && python index.py
      l2norm check folder --zero-rows forbid
      l2norm check table.parquet -s emb --json
      l2norm check before.npy --against after.npy --report norms.html

    Lengths that 'l2norm normalize --norms norms.npy' kept come back by a product:
    np.load("unit.npy") * np.load("norms.npy")[:, None]

    Exit codes: 0 all rows are unit, 1 some are not, 2 usage, 3 a source was not read.
    """
    _check_pictures(plot, report, overwrite=overwrite)
    found = _run(
        sources or (Path("-"),),
        against,
        wishes,
        source_format,
        show_progress=False if quiet else progress,
        debug=debug,
    )
    for file in found.files:
        if file.error:
            say(f"l2norm: {' '.join(file.error.split())}")
    if as_json:
        answer(found.as_dict())
    elif not quiet:
        for line in _lines(found):
            click.echo(line)
    _write_pictures(found, plot, report, overwrite=overwrite)
    raise click.exceptions.Exit(found.exit_code)


def _check_pictures(plot: Path | None, report: Path | None, *, overwrite: bool) -> None:
    """Refuse before anything is read what could not be written after."""
    from l2cli.checking.render.plot import KINDS, check_plotting
    from l2cli.filesystem.atomic import check_destination

    for option, path, suffixes in (("plot", plot, KINDS), ("report", report, (".html",))):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise OptionError(f"--{option} {path}: expected a name in {' or '.join(suffixes)}")
        check_destination(path, overwrite=overwrite)
    if plot is not None:
        check_plotting()


def _write_pictures(
    found: CheckReport, plot: Path | None, report: Path | None, *, overwrite: bool
) -> None:
    from l2cli.filesystem.atomic import replacing, write_errors

    if plot is not None:
        import logging

        from l2cli.checking.render.plot import plot as draw_plot

        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # It tells of its font cache.
        with (
            write_errors(str(plot)),
            replacing(plot, like=None, overwrite=overwrite) as path,
            path.open("wb") as file,
        ):
            draw_plot(found, file, plot.suffix.lower())
    if report is not None:
        from l2cli.checking.render.page import page

        with (
            write_errors(str(report)),
            replacing(report, like=None, overwrite=overwrite) as path,
        ):
            path.write_text(page(found), encoding="utf-8")


def _run(
    sources: tuple[Path, ...],
    against: str | None,
    wishes: dict[str, Any],
    source_format: str | None,
    *,
    show_progress: bool | None,
    debug: bool,
) -> CheckReport:
    from l2cli.checking.check import CheckOptions, check
    from l2cli.cli.guard import run_guarded
    from l2cli.cli.progress import progress_bar
    from l2cli.cli.terminal import silence_libraries
    from l2cli.runtime import interruption
    from l2cli.runtime.tuning import tune_process

    options = CheckOptions(**wishes)
    names = [str(source) for source in sources]
    every = names if against is None else [*names, against]
    if "-" in every:
        check_stdin()
    if every.count("-") > 1:
        raise OptionError("standard input can be read once; name - once")
    label = every[-1] if len(names) == 1 else f"one of {len(names):,} sources"

    def work() -> CheckReport:
        if not debug:
            silence_libraries()
        tune_process()
        with progress_bar(show_progress, label) as draw:

            def advance(done: int, total: int) -> None:
                interruption.check()
                draw(done, total)

            return check(
                [_open(name) for name in names],
                options,
                against=None if against is None else _open(against),
                source_format=source_format,
                progress=advance,
            )

    return run_guarded(work, label, lambda pid: None)


def _open(name: str) -> Path | Readable:
    return open_stdin() if name == "-" else Path(name)


def _lines(report: CheckReport) -> Iterator[str]:
    """Yield what is to be said: of files in a folder, only of those that are not unit."""
    for file in report.files:
        for array in file.arrays:
            if file.named or array.figures.offending:
                before = f" from {file.before}" if file.before else ""
                yield printable(f"{file.source}{before}: {array.title}")
                yield from (f"  {printable(line)}" for line in str(array).splitlines())
                if file.named:
                    yield from _picture(array.figures.picture)
        yield from (printable(f"note: {note}") for note in file.notes if file.named)
    if report.num_arrays > 1:
        yield "all arrays"
        yield f"  {report.figures}"
        yield f"  norms: {report.figures.norms}"
        yield from _picture(report.figures.picture)
    yield from (printable(f"note: {note}") for note in report.notes)
    yield report.verdict


def _picture(picture: Picture) -> Iterator[str]:
    from l2cli.cli.bars import MIN_COLUMNS, draw

    is_wide = shutil.get_terminal_size().columns >= MIN_COLUMNS
    if sys.stdout.isatty() and is_wide and picture.num_bars:
        yield draw(picture)
