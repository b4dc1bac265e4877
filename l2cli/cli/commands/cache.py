"""``l2norm cache``: the graphs that are kept between runs, shown or removed.

It parses and prints; where graphs are kept, and how, is known to :mod:`l2cli.graph.cache`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.errors import Command
from l2cli.cli.options import debug_option, json_option
from l2cli.cli.terminal import print_json, say
from l2cli.errors import DestinationError
from l2cli.graph.cache import cache_folder, kept_graphs, remove_graphs, remove_unfinished
from l2cli.graph.trials import remove_crashed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.graph.cache import KeptGraph


@click.command(cls=Command, short_help="Show or remove the graphs that are kept between runs.")
@click.argument(
    "action", metavar="[show|clear]", type=click.Choice(("show", "clear")), default="show"
)
@json_option
@debug_option
def command(action: str, *, as_json: bool, debug: bool) -> None:
    """Show or remove the graphs that are kept between runs.

    A run that finds its graph starts in a fraction of a second. Graphs that nobody used for 90
    days go by themselves, and above 64 MB those that were used least recently. Nothing is lost
    with them: the next run makes what it needs again.

    They lie in the folder that L2NORM_CACHE_DIR names, else in the user's cache folder.

    \b
      l2norm cache            where they are, how many, of which versions
      l2norm cache clear      remove them all
    """
    graphs = kept_graphs()
    if action == "clear":
        _clear(graphs, as_json=as_json)
    elif as_json:
        print_json({"folder": str(cache_folder()), **_sums(graphs), "versions": _records(graphs)})
    else:
        for line in _lines(graphs):
            click.echo(line)


def _clear(graphs: Sequence[KeptGraph], *, as_json: bool) -> None:
    removed = [graph for graph in graphs if remove_graphs([graph])]
    remove_unfinished()
    remove_crashed()
    if failed := len(graphs) - len(removed):
        raise DestinationError(
            f"{failed:,} of {_files(len(graphs))} in {cache_folder()} can't be removed; look at "
            "its permissions"
        )
    if as_json:
        print_json({"folder": str(cache_folder()), "removed": _sums(removed)})
    else:
        say(f"removed {_sums_text(removed)} from {cache_folder()}")


def _lines(graphs: Sequence[KeptGraph]) -> Iterator[str]:
    """Yield where graphs are and how many, in all and of each of the versions that made them."""
    if cache_folder() == Path(os.devnull):
        yield "nothing is kept; name a folder in L2NORM_CACHE_DIR"
        return
    yield f"{cache_folder()}: {_sums_text(graphs)}"
    for versions, made in _by_versions(graphs):
        yield f"  {versions or 'an older l2norm'}: {_sums_text(made)}, last used {_day(made)}"


def _records(graphs: Sequence[KeptGraph]) -> list[dict[str, Any]]:
    return [
        {"packages": versions, **_sums(made), "last_used": _day(made)}
        for versions, made in _by_versions(graphs)
    ]


def _by_versions(graphs: Sequence[KeptGraph]) -> list[tuple[str, list[KeptGraph]]]:
    """Return graphs by the versions that made them, those used last in front."""
    groups: dict[str, list[KeptGraph]] = {}
    for graph in graphs:
        groups.setdefault(graph.versions, []).append(graph)
    return list(groups.items())


def _sums(graphs: Sequence[KeptGraph]) -> dict[str, int]:
    return {"files": len(graphs), "bytes": sum(graph.num_bytes for graph in graphs)}


def _sums_text(graphs: Sequence[KeptGraph]) -> str:
    return f"{_files(len(graphs))}, {sum(graph.num_bytes for graph in graphs):,} bytes"


def _files(number: int) -> str:
    return f"{number:,} file" + ("" if number == 1 else "s")


def _day(graphs: Sequence[KeptGraph]) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(max(graph.last_use for graph in graphs)))
