"""``l2norm normalize``."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
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
from l2cli.cli.stores import is_store, run_store, store_options
from l2cli.cli.terminal import is_closed, say
from l2cli.errors import DestinationError, OptionError
from l2cli.filesystem.streams import is_stream

if TYPE_CHECKING:
    from l2cli.report import Report

_STANDARD_INPUT = ("-", "/dev/stdin")
_STANDARD_OUTPUT = ("-", "/dev/stdout")


@click.command(short_help="Make the vectors in a file unit vectors.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=PATH)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="PATH",
    help="Where to write: a file, a folder, or - for standard output. The suffix of another "
    "format converts.  [default: NAME.normalized beside the source; of a pipe, standard output]",
)
@click.option(
    "-s",
    "--select",
    "--column",
    "--dataset",
    "select",
    metavar="NAME",
    multiple=True,
    help="The array to normalize: an npz member, HDF5 dataset or table column. Repeatable; "
    "takes globs.  [default: the only float array, or the one called embedding, emb, vector …]",
)
@axis_option
@click.option(
    "--epsilon",
    type=float,
    default=1e-12,
    show_default=True,
    metavar="FLOAT",
    help="Lower bound on the sum of squares: by default rows shorter than 1e-6 don't become unit; "
    "0 makes every finite non-zero row unit.",
)
@click.option(
    "--dtype",
    type=click.Choice(["same", "float16", "bfloat16", "float32", "float64"]),
    default="same",
    show_default=True,
    help="The dtype to write.",
)
@click.option(
    "--truncate-dim",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N components of each row, then normalize.",
)
@click.option(
    "--zero-rows",
    type=click.Choice(["keep", "error"]),
    default="keep",
    show_default=True,
    help="What to do with a row of zeros.",
)
@click.option(
    "--nonfinite",
    type=click.Choice(["error", "keep", "zero"]),
    default="error",
    show_default=True,
    help="What to do with a row that holds NaN or Inf.",
)
@click.option(
    "--norms",
    type=PATH,
    metavar="PATH",
    help="Write the norms that the rows had to an .npy; of a folder, to a folder of such.",
)
@click.option(
    "--norms-name",
    metavar="NAME",
    help="Keep these norms in the destination: a Parquet column, HDF5 dataset or npz member.",
)
@click.option(
    "--if-needed",
    is_flag=True,
    help="Copy a file as it is, or with --in-place leave it, if all rows are unit already.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Read the destination back and check it, before it appears.",
)
@click.option("--in-place", is_flag=True, help="Replace the source, in one step.")
@click.option("--overwrite", is_flag=True, help="Replace a destination that exists.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@store_options
@batch_size_option
@backend_option
@device_option
@allow_external_option
@click.option(
    "--from",
    "source_format",
    type=FORMAT,
    help="The source's format; of a folder, that of files without the suffix of one.  "
    "[default: by the first bytes]",
)
@click.option(
    "--to",
    "destination_format",
    type=FORMAT,
    help="The format to write; of a folder, for every shard.  [default: by the "
    "destination's suffix, else the source's]",
)
@click.option(
    "-q", "--quiet", is_flag=True, help="No summary, notes or progress bar; warnings remain."
)
@progress_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@debug_option
def command(
    sources: tuple[Path, ...],
    destination: str | None,
    *,
    store: dict[str, Any],
    norms: Path | None,
    in_place: bool,
    overwrite: bool,
    dry_run: bool,
    source_format: str | None,
    destination_format: str | None,
    quiet: bool,
    progress: bool | None,
    as_json: bool,
    debug: bool,
    **wishes: Any,
) -> None:
    """Make the vectors in SOURCE unit vectors: y = x / sqrt(max(sum(x²), epsilon)).

    SOURCE is an .npy, .npz, HDF5, Parquet or Arrow IPC file, several, or a folder of such (a
    store). What is not the array stays as it was, and a file appears whole or not at all. A
    store that was cut off goes on when the same command is run again. Without SOURCE, or with
    -, standard input is read and standard output written.

    \b
      l2norm normalize vectors.npy
      l2norm normalize store.h5 -s embeddings -o unit.h5
      l2norm normalize table.parquet --truncate-dim 256 --dtype float16
      l2norm normalize folder -o unit --exclude 'drafts/*'
      cat vectors.npy | l2norm normalize | python index.py
    """
    flags = {"in_place": in_place, "overwrite": overwrite, "norms": norms}
    formats = {"source_format": source_format, "destination_format": destination_format}
    if is_store(sources):
        run_store(
            sources,
            destination,
            wishes,
            store | flags | formats | {"dry_run": dry_run},
            show_progress=False if quiet else progress,
            quiet=quiet,
            as_json=as_json,
            debug=debug,
        )
    _refuse_store_options(store)
    source = sources[0] if sources and str(sources[0]) not in _STANDARD_INPUT else None
    comes_in = source is None or is_stream(source)
    to_stream = destination in _STANDARD_OUTPUT or (comes_in and destination is None)
    _check_stdin(source, in_place=in_place)
    if to_stream and not dry_run:
        _check_stdout(as_json=as_json)
    report = _run(
        source,
        None if to_stream else _file_name(destination, source, destination_format),
        wishes,
        debug=debug,
        show_progress=False if quiet else progress,
        to_stream=to_stream,
        dry_run=dry_run,
        flags=flags | formats,
    )
    _print(report, quiet=quiet, as_json=as_json)


def _refuse_store_options(store: dict[str, Any]) -> None:
    for name in ("include", "exclude", "only_arrays"):
        if store[name]:
            raise OptionError(f"--{name.replace('_', '-')} chooses from a folder; name one")


def _check_stdin(source: Path | None, *, in_place: bool) -> None:
    if source is None:
        check_stdin()
    if source is None and in_place:
        raise OptionError("--in-place replaces a file, and the source is standard input")


def _check_stdout(*, as_json: bool) -> None:
    if is_closed(1):
        raise DestinationError("standard output is closed; name a file with -o FILE")
    if sys.stdout.isatty():
        raise OptionError(
            "standard output is a terminal, and vectors are not text; "
            "pipe it on, or name a file with -o FILE"
        )
    if as_json:
        raise click.UsageError(
            "--json prints where the vectors go; name a file for them with -o FILE"
        )


def _file_name(destination: str | None, source: Path | None, to: str | None) -> Path | None:
    from l2cli.formats.registry import by_word
    from l2cli.io.resolve import converted_name

    if destination == "":
        raise OptionError("-o is empty; name a file")
    is_folder = bool(destination) and (
        str(destination).endswith("/") or os.path.isdir(str(destination))
    )
    if is_folder and (source is None or is_stream(source)):
        name = source or "standard input"
        raise OptionError(f"-o {destination} is a folder; name a file for {name}")
    if is_folder and source is not None:
        name = converted_name(source.name, by_word(to)) if to else source.name
        return Path(str(destination), name)
    return None if destination is None else Path(destination)


def _run(
    source: Path | None,
    destination: Path | None,
    wishes: dict[str, Any],
    *,
    debug: bool,
    show_progress: bool | None,
    to_stream: bool,
    dry_run: bool,
    flags: dict[str, Any],
) -> Report:
    from l2cli.cli.guard import run_guarded
    from l2cli.cli.progress import progress_bar
    from l2cli.cli.terminal import silence_libraries
    from l2cli.filesystem.siblings import remove_siblings
    from l2cli.io.resolve import find_route
    from l2cli.normalization.file import normalize
    from l2cli.options import NormalizeOptions
    from l2cli.runtime.interruption import check
    from l2cli.runtime.tuning import tune_process

    options = NormalizeOptions(**wishes)
    route = find_route(
        open_stdin() if source is None else source,
        sys.stdout.buffer if to_stream else destination,
        **flags,
    )

    def work() -> Report:
        if not debug:
            silence_libraries()
        tune_process()
        with progress_bar(show_progress, route.source.label) as draw:

            def advance(done: int, total: int) -> None:
                check()
                draw(done, total)

            return normalize(route, options, dry_run=dry_run, progress=advance)

    folder = Path(os.path.realpath(destination or source or ".")).parent
    is_incomplete = route.destination.is_stream
    consequence = "what was written is incomplete" if is_incomplete else "nothing was written"
    try:
        return run_guarded(work, route.source.label, partial(remove_siblings, folder), consequence)
    except KeyboardInterrupt:
        if not is_incomplete:
            raise
        say(f"l2norm: interrupted; {consequence}")
        raise click.exceptions.Exit(130) from None


def _print(report: Report, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    elif quiet:
        for warning in report.warnings:
            say(f"l2norm: {report.destination}: {warning}")
    else:
        say(str(report))
        if report.norms:
            say(f"norms → {report.norms}")
        for note in report.notes:
            say(f"note: {note}")
