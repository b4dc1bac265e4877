"""``l2norm normalize``."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.store import is_store, run_store, store_options
from l2cli.errors import OptionError

if TYPE_CHECKING:
    from l2cli.report import Report


def _parse_axes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as exc:
        raise click.BadParameter(f"'{value}' is not INT or INT,INT…") from exc


@click.command(short_help="Make every vector in a file a unit vector.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="PATH",
    help="The file or folder to write.  [default: NAME.normalized beside the source]",
)
@click.option(
    "-s",
    "--select",
    "--column",
    "--dataset",
    "select",
    metavar="NAME",
    multiple=True,
    help="The array to normalize: an npz member, HDF5 dataset or Parquet column. Repeatable; "
    "takes globs.  [default: the one that must be meant]",
)
@click.option(
    "--axis",
    callback=_parse_axes,
    default="-1",
    show_default=True,
    metavar="INT[,INT…]",
    help="The axis, or axes, that one vector lies along.",
)
@click.option(
    "--epsilon",
    type=float,
    default=1e-12,
    show_default=True,
    metavar="FLOAT",
    help="Lower bound on the sum of squares; 0 makes every finite non-zero row unit.",
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
@click.option("--in-place", is_flag=True, help="Replace the source, in one step.")
@click.option("--overwrite", is_flag=True, help="Replace a destination that exists.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@store_options
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Rows at a time; the result does not depend on it.  [default: by bytes]",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "jax", "tensorflow"]),
    default="auto",
    show_default=True,
    help="What Keras runs on; auto heeds KERAS_BACKEND, then takes JAX.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|gpu|gpu:N",
    help="Where the graph runs; auto takes a GPU where there is one.",
)
@click.option("--allow-external", is_flag=True, help="Read HDF5 data that lies in other files.")
@click.option("--from", "source_format", metavar="FORMAT", hidden=True)
@click.option("--to", "destination_format", metavar="FORMAT", hidden=True)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show a progress bar.  [default: on a terminal]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--debug", is_flag=True, help="Add the traceback to an error.")
def command(
    sources: tuple[Path, ...],
    destination: str | None,
    *,
    store: dict[str, Any],
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
    """Make every vector in SOURCE a unit vector: y = x / sqrt(max(sum(x²), epsilon)).

    SOURCE is an .npy, .npz, HDF5 or Parquet file, several, or a folder of such (a store).
    Everything that is not the array stays as it was, and a file appears whole or not at all.
    A store that was cut off goes on where it was when the same command is run again.

    \b
      l2norm normalize vectors.npy
      l2norm normalize store.h5 -s embeddings -o unit.h5
      l2norm normalize table.parquet --truncate-dim 256 --dtype float16
      l2norm normalize folder -o unit --exclude 'drafts/*'
    """
    if source_format or destination_format:
        raise OptionError("--from and --to convert between formats, which is not there yet")
    flags = {"in_place": in_place, "overwrite": overwrite, "dry_run": dry_run}
    if is_store(sources):
        run_store(
            sources,
            destination,
            wishes,
            store | flags,
            show_progress=False if quiet else progress,
            quiet=quiet,
            as_json=as_json,
            debug=debug,
        )
    source = _require_file(sources, store)
    target = _file_name(destination, source)
    report = _run(
        source,
        target,
        wishes,
        debug=debug,
        show_progress=False if quiet else progress,
        flags=flags,
    )
    _print(report, quiet=quiet, as_json=as_json)


def _require_file(sources: tuple[Path, ...], store: dict[str, Any]) -> Path:
    if not sources or str(sources[0]) == "-":
        raise OptionError("reading a pipe is not there yet; name a file to normalize")
    for name in ("include", "exclude", "only_arrays"):
        if store[name]:
            raise OptionError(f"--{name.replace('_', '-')} chooses from a folder; name one")
    return sources[0]


def _file_name(destination: str | None, source: Path) -> Path | None:
    if destination == "-":
        raise OptionError("-o -: writing to a pipe is not there yet; name a file")
    if destination is not None and (destination.endswith("/") or os.path.isdir(destination)):
        return Path(destination, source.name)
    return None if destination is None else Path(destination)


def _run(
    source: Path,
    destination: Path | None,
    wishes: dict[str, Any],
    *,
    debug: bool,
    show_progress: bool | None,
    flags: dict[str, bool],
) -> Report:
    from l2cli.atomic import remove_siblings
    from l2cli.cli.guard import run_guarded
    from l2cli.cli.terminal import progress_bar, silence_libraries
    from l2cli.formats import detect
    from l2cli.normalize import normalize_file
    from l2cli.options import NormalizeOptions

    options = NormalizeOptions(**wishes)

    def work() -> Report:
        if not debug:
            silence_libraries()
        with progress_bar(show_progress, source.name) as advance:
            return normalize_file(source, destination, options, progress=advance, **flags)

    if not detect(source).native:
        return work()
    folder = Path(os.path.realpath(destination or source)).parent
    return run_guarded(work, str(source), partial(remove_siblings, folder))


def _print(report: Report, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    elif not quiet:
        click.echo(str(report), err=True)
        for note in report.notes:
            click.echo(f"note: {note}", err=True)
