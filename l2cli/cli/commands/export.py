"""The graph in a file of its own: ``l2norm export``.

It parses and prints; the forms of the graph are known to :mod:`l2cli.graph` alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.child import in_child
from l2cli.cli.errors import Command
from l2cli.cli.options import Output, debug_option, made, option_of, parse_integers
from l2cli.cli.terminal import say
from l2cli.dtypes import FLOAT_DTYPES
from l2cli.graph.forms.table import EXPORTS
from l2cli.options import FileOptions, NormalizeOptions

if TYPE_CHECKING:
    from l2cli.graph.export import ExportReport


@dataclass(frozen=True)
class _Graph:
    """What is exported, and how."""

    shape: tuple[int, ...]
    axis: tuple[int, ...]
    epsilon: float
    dtype: str
    to: str | None
    overwrite: bool


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
@option_of(
    NormalizeOptions,
    "epsilon",
    "Lower bound on the sum of squares; 0 makes every non-zero row unit.",
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
@option_of(FileOptions, "overwrite")
@click.option("--summary", is_flag=True, help="Print the model's summary on standard output.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing on success but what was asked for."
)
@debug_option
def command(destination: str, *, summary: bool, **parameters: Any) -> None:
    """Write the graph that makes rows unit vectors to DESTINATION, for use without l2norm.

    It takes batches of any number of rows. The suffix of DESTINATION names the form: .keras,
    .stablehlo (JAX's serialized export), or none for the folder of a TensorFlow SavedModel.

    \b
      l2norm export unit.keras --dim 768
      l2norm export unit --dim 768 --dtype float16
      l2norm export unit.stablehlo --shape 12,64 --axis 1,2
    """
    output = made(Output, parameters)
    report = _export(destination, made(_Graph, parameters), output)
    if summary:
        click.echo(report.summary)
    if not output.quiet:
        say(str(report))


def _export(destination: str, graph: _Graph, output: Output) -> ExportReport:
    def work() -> ExportReport:
        from l2cli.graph.export import export_model

        return export_model(
            destination,
            graph.shape,
            graph.axis,
            graph.epsilon,
            graph.dtype,
            to=graph.to,
            overwrite=graph.overwrite,
        )

    return in_child(work, destination, output, Path(os.path.realpath(destination)).parent)
