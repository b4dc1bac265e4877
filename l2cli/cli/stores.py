"""``l2norm normalize`` for a folder, or for several sources: what it refuses and prints.

Used by :mod:`l2cli.cli.commands.normalize`. The run itself is the business of
:func:`l2cli.normalize_store`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from l2cli.cli.child import set_up
from l2cli.cli.errors import EXIT_INTERRUPTED, error_text, with_flags_in_json
from l2cli.cli.progress import store_progress
from l2cli.cli.summaries import print_report
from l2cli.cli.terminal import say
from l2cli.errors import OptionError, SourceError
from l2cli.filesystem.streams import is_stream
from l2cli.runtime.interruption import check
from l2cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.cli.options import Output
    from l2cli.options import NormalizeOptions, StoreOptions
    from l2cli.store.report import StoreProgress
    from l2cli.store.task import ShardReport

    Show = Callable[[StoreProgress], None]

_DRY_STATUSES = {
    "copied": "copied: it holds no vectors",
    "bystander": "a bystander: it holds other arrays than the store's vectors",
    "not read": "a file not read: its format is not known",
}


def normalize_folder(
    sources: tuple[Path, ...],
    destination: str | None,
    options: NormalizeOptions,
    files: StoreOptions,
    output: Output,
) -> int:
    """Normalize a store, print what became of it, and return the exit code."""
    from l2cli.store.run import normalize_store

    if destination == "-" or any(str(source) == "-" or is_stream(source) for source in sources):
        raise OptionError("a pipe carries one file; name a folder with -o, or one source")
    if destination is None and not files.in_place:
        _refuse_meant_destination(sources)
    set_up(output)
    target = None if destination is None else Path(destination)
    try:
        with store_progress(output.show_progress) as show:
            lists_shards = files.dry_run and not (output.quiet or output.as_json)
            printer = _Printer(show, output, lists_shards=lists_shards)
            report = normalize_store(sources, target, options, files, on_event=printer.print_event)
    except KeyboardInterrupt:
        say("l2norm: interrupted; run the same again to go on from here")
        return EXIT_INTERRUPTED
    print_report(report, output, key="summary")
    return report.exit_code


def _refuse_meant_destination(sources: tuple[Path, ...]) -> None:
    """Say ``-o`` where the last of several sources isn't there: for cp it is the destination."""
    *others, last = sources
    if not os.path.lexists(last) and all(map(os.path.exists, others)):
        raise SourceError(
            f"{last}: there is no such file or folder; to write it, say -o {shlex.quote(str(last))}"
        )


class _Printer:
    """Prints what happens to the shards as it happens."""

    def __init__(self, show: Show | None, output: Output, *, lists_shards: bool) -> None:
        self._show = show
        self._output = output
        self._lists_shards = lists_shards

    def print_event(self, event: ShardReport | StoreProgress) -> None:
        """Print one event, or move the bar."""
        check()
        from l2cli.store.task import ShardReport

        if not isinstance(event, ShardReport):
            if self._show is not None:
                self._show(event)
            return
        if self._output.as_json:
            _write(json.dumps(with_flags_in_json(event.as_dict())), err=False)
        if event.error:
            if self._output.debug and event.traceback:
                _write(event.traceback.rstrip(), err=True)
            _write(f"l2norm: {' '.join(error_text(event.error).split())}", err=True)
        elif self._lists_shards:
            status = _DRY_STATUSES.get(event.status, event.status)
            what = event.report or f"{event.name}: would be {status}"
            _write(f"{what}; {event.num_bytes:,} bytes", err=True)


def _write(line: str, *, err: bool) -> None:
    """Print a line without tearing the progress bar, if there is one."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode() if tqdm else contextlib.nullcontext():
        click.echo(line if not err else printable(line), err=err)
