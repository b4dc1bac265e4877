"""Options and arguments that several commands take."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click

from l2cli.errors import OptionError
from l2cli.runtime.backends import BACKEND_CHOICES

PATH = click.Path(path_type=Path, readable=False)
"""One that can't be read is no misuse: who reads it says what is wrong with it."""
FORMAT = click.Choice(["npy", "npz", "hdf5", "parquet", "arrow"])


def parse_integers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Return the integers of ``INT[,INT…]``, as a callback of an option."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as exc:
        raise click.BadParameter(f"'{value}' is not INT or INT,INT…") from exc


axis_option = click.option(
    "--axis",
    callback=parse_integers,
    metavar="INT[,INT…]",
    help="The axis, or axes, that one vector lies along.  [default: -1]",
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Rows at a time; the result does not depend on it.  [default: by bytes]",
)
backend_option = click.option(
    "--backend",
    type=click.Choice(BACKEND_CHOICES),
    default="auto",
    show_default=True,
    help="What Keras runs on; auto heeds KERAS_BACKEND, then takes JAX.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|gpu|gpu:N",
    help="Where the graph runs; auto takes a GPU where there is one.",
)
allow_external_option = click.option(
    "--allow-external", is_flag=True, help="Read HDF5 data that lies in other files."
)
progress_option = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show a progress bar.  [default: on a terminal]",
)
debug_option = click.option("--debug", is_flag=True, help="Add the traceback to an error.")


def check_stdin() -> None:
    """Refuse to wait for what somebody might type."""
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError("standard input is a terminal, not a pipe; name a SOURCE, or pipe one in")


def open_stdin() -> Any:
    """Return standard input, unbuffered."""
    return io.FileIO(sys.stdin.fileno(), closefd=False)
