"""The standard streams as source and destination of vectors.

``normalize`` and ``check`` use it. It refuses what no stream can be, and reads and writes nothing
itself.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from l2cli.cli.terminal import is_closed
from l2cli.errors import DestinationError, OptionError

STANDARD_INPUT = ("-", "/dev/stdin")
STANDARD_OUTPUT = ("-", "/dev/stdout")


def check_stdin() -> None:
    """Refuse to wait for what somebody might type."""
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError("standard input is a terminal, not a pipe; name a SOURCE, or pipe one in")


def open_stdin() -> Any:
    """Return standard input, unbuffered."""
    return io.FileIO(sys.stdin.fileno(), closefd=False)


def check_stdout(*, as_json: bool) -> None:
    """Refuse to write vectors where they can't go, or where a report goes."""
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
