"""``l2norm normalize`` for a folder, or for several sources: its options, and what it prints."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from l2cli.cli.progress import store_progress
from l2cli.cli.terminal import say
from l2cli.errors import OptionError, SourceError
from l2cli.filesystem.streams import is_stream
from l2cli.report import printable
from l2cli.runtime.interruption import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.store.run import StoreProgress, StoreReport
    from l2cli.store.task import ShardReport

    Show = Callable[[StoreProgress], None]

_DRY_STATUSES = {
    "copied": "copied: it holds no vectors",
    "bystander": "a bystander: it holds other arrays than the store's vectors",
    "not read": "a file not read: its format is not known",
}
_OPTIONS = (
    click.option(
        "--include",
        metavar="GLOB",
        multiple=True,
        help="Of a folder, take only files whose path in it matches. Repeatable.",
    ),
    click.option(
        "--exclude",
        metavar="GLOB",
        multiple=True,
        help="Of a folder, leave out files whose path in it matches. Repeatable.",
    ),
    click.option(
        "--only-arrays", is_flag=True, help="Of a folder, leave out files that hold no array."
    ),
    click.option("--fail-fast", is_flag=True, help="Stop at the first shard that fails."),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Worker processes for a folder.  [default: by its size and the processors]",
    ),
)


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that are for stores, which ``command`` gets as one dict, ``store``."""

    @functools.wraps(command)
    def with_store(*args: Any, **options: Any) -> Any:
        names = ("include", "exclude", "only_arrays", "fail_fast", "jobs")
        store = {name: options.pop(name) for name in names}
        return command(*args, store=store, **options)

    decorated: Callable[..., Any] = with_store
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def is_store(sources: tuple[Path, ...]) -> bool:
    """Whether the sources are a folder, or several."""
    return len(sources) > 1 or any(map(os.path.isdir, sources))


def run_store(
    sources: tuple[Path, ...],
    destination: str | None,
    wishes: dict[str, Any],
    store: dict[str, Any],
    *,
    show_progress: bool | None,
    quiet: bool,
    as_json: bool,
    debug: bool,
) -> NoReturn:
    """Normalize a store, print what became of it, and exit."""
    from l2cli.cli.terminal import silence_libraries
    from l2cli.options import NormalizeOptions, StoreOptions
    from l2cli.runtime.tuning import tune_process
    from l2cli.store.run import normalize_store

    if destination == "-" or any(str(source) == "-" or is_stream(source) for source in sources):
        raise OptionError("a pipe carries one file; name a folder with -o, or one source")
    options, store_options = NormalizeOptions(**wishes), StoreOptions(**store)
    if not debug:
        silence_libraries()
    tune_process()
    target = None if destination is None else Path(destination)
    if target is None and not store_options.in_place:
        _refuse_meant_destination(sources)
    try:
        with store_progress(show_progress) as show:
            list_shards = store_options.dry_run and not (quiet or as_json)
            printer = _Printer(show, as_json=as_json, list_shards=list_shards, debug=debug)
            report = normalize_store(
                sources, target, options, store_options, on_event=printer.print_event
            )
    except KeyboardInterrupt:
        say("l2norm: interrupted; run the same again to go on from here")
        raise click.exceptions.Exit(130) from None
    _print_summary(report, quiet=quiet, as_json=as_json)
    raise click.exceptions.Exit(report.exit_code)


def _refuse_meant_destination(sources: tuple[Path, ...]) -> None:
    """Say ``-o`` where the last of several sources isn't there: for cp it is the destination."""
    *others, last = sources
    if not os.path.lexists(last) and all(map(os.path.exists, others)):
        raise SourceError(
            f"{last}: there is no such file or folder; to write it, say -o {shlex.quote(str(last))}"
        )


class _Printer:
    """Prints what happens to the shards as it happens."""

    def __init__(self, show: Show | None, *, as_json: bool, list_shards: bool, debug: bool) -> None:
        self._show = show
        self._as_json = as_json
        self._list = list_shards
        self._debug = debug

    def print_event(self, event: ShardReport | StoreProgress) -> None:
        """Print one event, or move the bar."""
        check()
        from l2cli.store.task import ShardReport

        if not isinstance(event, ShardReport):
            if self._show is not None:
                self._show(event)
            return
        if self._as_json:
            _write(json.dumps(event.as_dict()), err=False)
        if event.error:
            if self._debug and event.traceback:
                _write(event.traceback.rstrip(), err=True)
            _write(f"l2norm: {' '.join(event.error.split())}", err=True)
        elif self._list:
            status = _DRY_STATUSES.get(event.status, event.status)
            what = event.report or f"{event.name}: would be {status}"
            _write(f"{what}; {event.num_bytes:,} bytes", err=True)


def _print_summary(report: StoreReport, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"summary": report.as_dict()}))
    elif quiet:
        for warning in report.warnings:
            say(f"l2norm: {report.destination}: {warning}")
    else:
        say(str(report))
        for note in report.notes:
            say(f"note: {note}")


def _write(line: str, *, err: bool) -> None:
    """Print a line without tearing the progress bar, if there is one."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode() if tqdm else contextlib.nullcontext():
        click.echo(line if not err else printable(line), err=err)
