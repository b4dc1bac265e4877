"""``l2norm bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from l2cli.cli.options import PATH, debug_option, device_option, progress_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="How fast this machine is, against a plain copy.")
@click.argument("folder", default=".", type=PATH)
@click.option(
    "--size",
    "megabytes",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="MB",
    help="Megabytes of vectors in each file.",
)
@device_option
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@progress_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@debug_option
def command(
    folder: Path,
    *,
    megabytes: int,
    device: str,
    quiet: bool,
    progress: bool | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Time 'l2norm normalize' in FOLDER, by default the current one, in less than a minute.

    Files of every format and dtype are made, copied, and normalized with each backend that is
    installed; all of them are gone at the end. The last lines say which backend --backend auto
    takes here, and why.
    """
    from l2cli.bench import run_bench
    from l2cli.cli.progress import progress_bar
    from l2cli.cli.terminal import silence_libraries
    from l2cli.report import printable
    from l2cli.runtime.interruption import check

    if not debug:
        silence_libraries()
    with progress_bar(False if quiet else progress, "bench", unit="run") as draw:

        def advance(done: int, total: int) -> None:
            check()
            draw(done, total)

        report = run_bench(folder, megabytes * 10**6, device=device, progress=advance)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        click.echo("\n".join(map(printable, str(report).splitlines())))
