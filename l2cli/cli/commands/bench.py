"""How fast this machine is, as ``l2norm bench`` prints it.

It parses and prints; what is measured, and how, is the business of :mod:`l2cli.bench`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.child import set_up
from l2cli.cli.errors import Command
from l2cli.cli.options import PATH, Output, made, option_of, output_options
from l2cli.cli.progress import progress_bar
from l2cli.cli.terminal import print_json
from l2cli.options import NormalizeOptions
from l2cli.text import printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command, short_help="How fast this machine is, against a plain copy.")
@click.argument("folder", default=".", type=PATH)
@click.option(
    "--size",
    "num_bytes",
    type=click.IntRange(min=1),
    callback=lambda ctx, param, megabytes: megabytes * 10**6,
    default=32,
    show_default=True,
    metavar="MB",
    help="Megabytes of vectors in each file.",
)
@option_of(NormalizeOptions, "device")
@output_options("No progress bar.")
def command(folder: Path, num_bytes: int, device: str, **parameters: Any) -> None:
    """Time 'l2norm normalize' in FOLDER, by default the current one, in less than a minute.

    Files of every format and dtype are made, copied, and normalized with each backend that is
    installed; all of them are gone at the end. The last lines say which backend --backend auto
    takes here, and why.
    """
    from l2cli.bench import run_bench

    output = made(Output, parameters)
    set_up(output)
    with progress_bar(output.show_progress, "bench", unit="run") as advance:
        report = run_bench(folder, num_bytes, device=device, progress=advance)
    if output.as_json:
        print_json(report.as_dict())
    else:
        click.echo("\n".join(map(printable, str(report).splitlines())))
