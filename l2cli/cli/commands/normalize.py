"""``l2norm normalize``: one file or stream here, a folder or several sources in ``cli.stores``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.child import in_child
from l2cli.cli.errors import EXIT_INTERRUPTED, Command
from l2cli.cli.options import PATH, Output, made, options_of, output_options, with_formats
from l2cli.cli.progress import progress_bar
from l2cli.cli.streams import STANDARD_INPUT, STANDARD_OUTPUT, check_stdin, check_stdout, open_stdin
from l2cli.cli.summaries import print_report
from l2cli.cli.terminal import say
from l2cli.errors import OptionError
from l2cli.filesystem.streams import is_stream
from l2cli.options import FileOptions, NormalizeOptions, StoreOptions

if TYPE_CHECKING:
    from l2cli.io.resolve import Resolution
    from l2cli.report import Report


@click.command(cls=Command, short_help="Make the vectors in a file unit vectors.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=PATH)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="PATH",
    help="Where to write: a file, a folder, or - for standard output. The suffix of another "
    "format converts.  [default: NAME.normalized beside the source; of a pipe, standard output]",
)
@options_of(NormalizeOptions)
@options_of(StoreOptions)
@output_options()
@with_formats
def command(sources: tuple[Path, ...], destination: str | None, **parameters: Any) -> int:
    """Make the vectors in SOURCE unit vectors: y = x / sqrt(max(sum(x²), epsilon)).

    SOURCE is a file ({formats}), several, or a folder of such (a store). What is not
    the array stays as it was, and a file appears whole or not at all. A store that was cut off
    goes on when the same command is run again. Without SOURCE, or with -, standard input is read
    and standard output written.

    \b
      l2norm normalize vectors.npy
      l2norm normalize store.h5 -s embeddings -o unit.h5
      l2norm normalize table.parquet --truncate-dim 256 --dtype float16
      l2norm normalize folder -o unit --exclude 'drafts/*'
      cat vectors.npy | l2norm normalize | python index.py
    """
    from l2cli.io.resolve import resolve

    output = made(Output, parameters)
    if len(sources) > 1 or any(map(os.path.isdir, sources)):
        from l2cli.cli.stores import normalize_folder

        store_files = made(StoreOptions, parameters)
        options = made(NormalizeOptions, parameters)
        return normalize_folder(sources, destination, options, store_files, output)
    _refuse_store_options(parameters)
    source = sources[0] if sources and str(sources[0]) not in STANDARD_INPUT else None
    files = made(FileOptions, parameters)
    to_stream = _writes_stream(source, destination, files, output)
    options = made(NormalizeOptions, parameters)
    resolution = resolve(
        open_stdin() if source is None else source,
        sys.stdout.buffer if to_stream else destination,
        files,
    )
    folder = source or "." if to_stream else resolution.destination.label
    report = _normalize(resolution, options, output, Path(os.path.realpath(folder)).parent)
    print_report(report, output, norms=report.norms)
    if output.debug and report.route:
        say(f"l2norm: {report.backend} ran {report.route}")
    return 0


def _refuse_store_options(parameters: dict[str, Any]) -> None:
    for name in ("include", "exclude", "only_arrays"):
        if parameters[name]:
            raise OptionError(f"`{name}` chooses from a folder; name one")


def _writes_stream(
    source: Path | None, destination: str | None, files: FileOptions, output: Output
) -> bool:
    """Whether standard output is written; refuse standard streams that can't be used."""
    reads_stream = source is None or is_stream(source)
    to_stream = destination in STANDARD_OUTPUT or (reads_stream and destination is None)
    if source is None:
        check_stdin()
        if files.in_place:
            raise OptionError("`in_place` replaces a file, and the source is standard input")
    if to_stream and not files.dry_run:
        check_stdout(as_json=output.as_json)
    return to_stream


def _normalize(
    resolution: Resolution, options: NormalizeOptions, output: Output, folder: Path
) -> Report:
    """Normalize one source in a child, and remove what is left in ``folder`` if that dies."""
    from l2cli.normalization.job import prepare

    label, is_stream_written = resolution.source.label, resolution.destination.is_stream
    repeatable = resolution.source.path is not None and not is_stream_written
    consequence = "what was written is incomplete" if is_stream_written else "nothing was written"

    def work() -> Report:
        with (
            progress_bar(output.show_progress, label) as advance,
            prepare(resolution, options) as job,
        ):
            return job.execute(advance)

    try:
        return in_child(work, label, output, folder, consequence, repeatable=repeatable)
    except KeyboardInterrupt:
        if not is_stream_written:
            raise
        say(f"l2norm: interrupted; {consequence}")
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
