"""Whether rows are unit rows: ``l2norm check``.

It parses, prints lines or JSON, and writes the page and the plot. The norms are taken by
:func:`l2cli.check`, in a child process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.child import in_child
from l2cli.cli.errors import Command, error_text, with_flags, with_flags_in_json
from l2cli.cli.options import PATH, Output, made, option_of, options_of, output_options
from l2cli.cli.progress import progress_bar
from l2cli.cli.streams import check_stdin, open_stdin
from l2cli.cli.tables import check_lines
from l2cli.cli.terminal import print_json, say
from l2cli.errors import OptionError
from l2cli.filesystem.streams import is_stream
from l2cli.options import CheckOptions, FileOptions

if TYPE_CHECKING:
    from l2cli.checking.result import CheckReport
    from l2cli.filesystem.buffered_stream import Readable


@dataclass(frozen=True)
class _Pictures:
    """What is drawn of the norms, besides the lines."""

    plot: Path | None
    report: Path | None
    overwrite: bool


@click.command(cls=Command, short_help="Are these unit rows? Exit code 0 yes, 1 no.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=PATH)
@options_of(
    CheckOptions,
    select="The array to check: an npz member, HDF5 dataset or table column. Repeatable; takes "
    "globs.",
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
    help="Write a page with statistics and histograms, as .html.",
)
@option_of(FileOptions, "overwrite", "Replace a plot or report that exists.")
@option_of(FileOptions, "source_format", "The source's format.")
@output_options("Nothing but the exit code and errors.")
def command(sources: tuple[Path, ...], against: str | None, **parameters: Any) -> int:
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
    output, pictures = made(Output, parameters), made(_Pictures, parameters)
    _check_pictures(pictures)
    report = _check(
        list(map(str, sources)) or ["-"],
        against,
        made(CheckOptions, parameters),
        parameters["source_format"],
        output,
    )
    for file in report.files:
        if file.error:
            say(f"l2norm: {' '.join(error_text(file.error).split())}")
    if output.as_json:
        print_json(with_flags_in_json(report.as_dict()))
    elif not output.quiet:
        for line in check_lines(report):
            click.echo(line)
    _write_pictures(_with_flags(report), pictures)
    return report.exit_code


def _check_pictures(pictures: _Pictures) -> None:
    """Refuse before anything is read what could not be written after."""
    from l2cli.checking.render.plot import SUFFIXES, check_plotting
    from l2cli.filesystem.atomic import check_destination

    suffixes = {"plot": SUFFIXES, "report": (".html",)}
    for name, path in (("plot", pictures.plot), ("report", pictures.report)):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes[name]:
            raise OptionError(f"--{name} {path}: expected a name in {' or '.join(suffixes[name])}")
        check_destination(path, overwrite=pictures.overwrite)
    if pictures.plot is not None:
        check_plotting()


def _with_flags(report: CheckReport) -> CheckReport:
    """Return ``report`` with its texts in the words of the command, as pages and plots show it."""
    files = [replace(file, error=error_text(file.error)) for file in report.files]
    return replace(report, files=files, unfinished=list(map(with_flags, report.unfinished)))


def _write_pictures(report: CheckReport, pictures: _Pictures) -> None:
    from l2cli.filesystem.atomic import replacing, write_errors

    plot, page_path, overwrite = pictures.plot, pictures.report, pictures.overwrite
    if plot is not None:
        import logging

        from l2cli.checking.render.plot import plot as draw_plot

        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # It tells of its font cache.
        with (
            write_errors(str(plot)),
            replacing(plot, like=None, overwrite=overwrite) as path,
            path.open("wb") as file,
        ):
            draw_plot(report, file, plot.suffix.lower())
    if page_path is not None:
        from l2cli.checking.render.page import page

        with (
            write_errors(str(page_path)),
            replacing(page_path, like=None, overwrite=overwrite) as path,
        ):
            path.write_text(page(report), encoding="utf-8")


def _check(
    names: list[str],
    against: str | None,
    options: CheckOptions,
    source_format: str | None,
    output: Output,
) -> CheckReport:
    """Check sources, ``-`` for standard input, in a child process."""
    from l2cli.checking.check import check

    every = names if against is None else [*names, against]
    if "-" in every:
        check_stdin()
    if every.count("-") > 1:
        raise OptionError("standard input can be read once; name - once")
    label = every[-1] if len(names) == 1 else f"one of {len(names):,} sources"

    def work() -> CheckReport:
        with progress_bar(output.show_progress, label) as advance:
            return check(
                [_open(name) for name in names],
                options,
                against=None if against is None else _open(against),
                source_format=source_format,
                progress=advance,
            )

    repeatable = not any(name == "-" or is_stream(Path(name)) for name in every)
    return in_child(work, label, output, repeatable=repeatable)


def _open(name: str) -> Path | Readable:
    return open_stdin() if name == "-" else Path(name)
