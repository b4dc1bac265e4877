"""Taking a destination of a store: who may write there, and what an earlier run did there.

:func:`~l2cli.store.run.normalize_store` calls it once, before any shard is touched. It knows
nothing of what is in the shards.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from l2cli.errors import DestinationError, is_disk_full, reason
from l2cli.filesystem.siblings import TOOL_PREFIX, remove_abandoned
from l2cli.io.store_state import has_manifest
from l2cli.store.manifest import Manifest, peek

if TYPE_CHECKING:
    import contextlib

    from l2cli.options import StoreOptions
    from l2cli.store.manifest import Record
    from l2cli.store.plan import Plan


def take_destination(
    stack: contextlib.ExitStack, plan: Plan, header: dict[str, Any], files: StoreOptions
) -> tuple[Manifest | None, dict[str, Record]]:
    """Take possession of the destination, and return its manifest and what is done."""
    if not plan.root:
        _check_norms(plan, files)
        return None, {}
    _check_root(plan.root, files)
    if files.dry_run:
        if files.overwrite:
            return None, {}
        records = peek(plan.root, header)
        _note_gone(plan, records)
        return None, records
    try:
        os.makedirs(plan.root, exist_ok=True)
        manifest = stack.enter_context(Manifest(plan.root, header))
        manifest.lock()
        if files.overwrite or not manifest.load():
            _check_norms(plan, files)
            manifest.start()
        for folder, _, _ in os.walk(plan.root):
            remove_abandoned(folder, is_exclusive=True)
    except OSError as exc:
        raise DestinationError(
            f"{plan.root} can't be written to: {reason(exc)}; name another with `destination`"
        ) from exc
    _make_folders(plan)
    _note_gone(plan, manifest.records)
    return manifest, manifest.records


def _check_norms(plan: Plan, files: StoreOptions) -> None:
    """Refuse to replace norms, or whatever stands in their place, that no run of ours wrote."""
    for task in plan.tasks:
        if task.norms and not files.overwrite and os.path.lexists(task.norms):
            raise DestinationError(
                f"{task.norms} exists; replace it with `overwrite=True`, or name another folder"
            )


def _note_gone(plan: Plan, records: dict[str, Record]) -> None:
    """Note the results of shards that are no longer in the source: they stay."""
    gone = list(records.keys() - {task.name for task in plan.tasks})
    if gone:
        names = f"{min(gone)} and {len(gone) - 1:,} more" if len(gone) > 1 else gone[0]
        plan.notes.append(f"what became of {names} stays, though the source is gone or left out")


def _check_root(root: str, files: StoreOptions) -> None:
    parent = os.path.dirname(os.path.abspath(root))
    if not os.path.isdir(parent):
        raise DestinationError(f"{root}: there is no folder {parent}; make it first")
    if files.overwrite or files.in_place or not os.path.isdir(root) or has_manifest(root):
        return
    if any(not name.startswith(TOOL_PREFIX) for name in os.listdir(root)):
        raise DestinationError(
            f"{root} exists and l2norm did not make it; name another with `destination`, or say "
            "`overwrite=True` to write into it and replace files of the same names"
        )


def _make_folders(plan: Plan) -> None:
    """Make the folders. One that can't be made fails its shards, which say so."""
    barred = set()
    for name in plan.folders:
        path = os.path.join(plan.root, name)
        if os.path.islink(path) or os.path.dirname(name) in barred:
            barred.add(name)  # A link might lead out of the destination.
            continue
        try:
            os.mkdir(path)
        except OSError as exc:
            if is_disk_full(exc):
                raise DestinationError(f"{path} can't be made: {reason(exc)}") from exc
