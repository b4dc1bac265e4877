"""``l2norm export``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.command import Command
from l2cli.cli.options import debug_option, parse_integers
from l2cli.dtypes import FLOAT_DTYPES
from l2cli.graph.forms.table import EXPORTS

if TYPE_CHECKING:
    from l2cli.graph.export import ExportReport


@click.command(cls=Command, short_help="Write the graph itself: .keras, SavedModel or StableHLO.")
@click.argument("destination", metavar="DESTINATION")
@click.option(
    "--dim",
    "--shape",
    "shape",
    callback=parse_integers,
    required=True,
    metavar="INT[,INT…]",
    help="The length of a row, or of each of its axes.",
)
@click.option(
    "--axis",
    callback=parse_integers,
    default="-1",
    show_default=True,
    metavar="INT[,INT…]",
    help="The axis, or axes, that one vector lies along; 0 is the batch, and can't be.",
)
@click.option(
    "--epsilon",
    type=float,
    default=1e-12,
    show_default=True,
    metavar="FLOAT",
    help="Lower bound on the sum of squares; 0 makes every non-zero row unit.",
)
@click.option(
    "--dtype",
    type=click.Choice(FLOAT_DTYPES),
    default="float32",
    show_default=True,
    help="The dtype of the rows, and of the result.",
)
@click.option(
    "--to",
    type=click.Choice(list(EXPORTS)),
    help="The form to write, where the suffix doesn't tell.",
)
@click.option("--overwrite", is_flag=True, help="Replace a destination that exists.")
@click.option("--summary", is_flag=True, help="Print the model's summary on standard output.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing on success but what was asked for."
)
@debug_option
def command(destination: str, *, summary: bool, quiet: bool, debug: bool, **wishes: Any) -> None:
    """Write the graph that makes rows unit vectors to DESTINATION, for use without l2norm.

    It takes batches of any number of rows. The suffix of DESTINATION names the form: .keras,
    .stablehlo (JAX's serialized export), or none for the folder of a TensorFlow SavedModel.

    \b
      l2norm export unit.keras --dim 768
      l2norm export unit --dim 768 --dtype float16
      l2norm export unit.stablehlo --shape 12,64 --axis 1,2
    """
    from l2cli.cli.terminal import say

    report = _run(destination, wishes, debug=debug)
    if summary:
        click.echo(report.summary)
    if not quiet:
        say(str(report))


def _run(destination: str, wishes: dict[str, Any], *, debug: bool) -> ExportReport:
    from l2cli.cli.guard import run_guarded
    from l2cli.cli.terminal import silence_libraries
    from l2cli.filesystem.siblings import remove_siblings
    from l2cli.graph.export import export_model

    def work() -> ExportReport:
        if not debug:
            silence_libraries()
        return export_model(destination, **wishes)

    folder = Path(os.path.realpath(destination)).parent
    return run_guarded(work, destination, partial(remove_siblings, folder))
