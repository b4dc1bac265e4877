"""Doing one task of a store: normalize, copy, link, survey or rewrite one file.

:func:`run_shard` needs nothing but its task, so that it can run in any process on any machine
that sees the files. Runners and workers call it. It knows nothing of manifests and plans, and of
other shards only what a file that describes them needs.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import (
    BackendError,
    DestinationError,
    FormatError,
    L2NormError,
    NoArrayError,
    OtherArraysError,
    SourceError,
    is_disk_full,
    reason,
)
from l2cli.filesystem.atomic import replacing
from l2cli.filesystem.siblings import sibling_path
from l2cli.formats.registry import by_name, detect
from l2cli.io.destination import FileDestination
from l2cli.io.resolve import Resolution, check_name, output_format
from l2cli.io.source import FileSource, open_source
from l2cli.io.survey import survey_shard
from l2cli.normalization.job import prepare
from l2cli.store.fingerprint import digest, fingerprint, is_young
from l2cli.store.rewriting import rewrite
from l2cli.store.task import ShardReport, failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.formats.registry import Format
    from l2cli.store.task import ShardTask, Status


def run_shard(task: ShardTask, progress: Callable[[int, int], None] | None = None) -> ShardReport:
    """Do what ``task`` says. Whatever is wrong with the shard itself ends in its report.

    Raises
    ------
    BackendError
        Where the backend or the device isn't there: no shard would fare better.
    """
    try:
        return _run(task, progress)
    except BackendError:
        raise
    except L2NormError as exc:
        message = str(exc)
        if not any(path in message for path in (task.source, task.destination)):
            message = f"{task.source}: {message}"
        return failed(task, message, exc)
    except Exception as exc:
        message = f"{task.source}: unexpected {type(exc).__name__}: {exc}"
        if is_disk_full(exc):
            message = f"{task.destination} can't be written: {exc}"
        return failed(task, message, exc)


def is_native(task: ShardTask) -> bool:
    """Whether a C library is to parse the source, told by its first bytes, whatever its name."""
    if task.action == "rewrite":
        return task.source.endswith("_metadata")  # a Parquet file; the others are JSON
    try:
        file_format = _source_format(task) if task.action in ("normalize", "survey") else None
    except L2NormError:
        return False
    return file_format is not None and file_format.native


def _run(task: ShardTask, progress: Callable[[int, int], None] | None) -> ShardReport:
    if task.root and task.action != "survey":
        _keep_inside(task)
    if task.action == "link":
        return _link(task)
    if task.action == "rewrite":
        return _rewrite(task)
    file_format = None if task.action == "copy" else _source_format(task)
    if file_format is None:
        return _without_vectors(task, "not read")
    try:
        return (
            _survey(task, file_format)
            if task.action == "survey"
            else _normalize(task, file_format, progress)
        )
    except OtherArraysError as exc:
        if task.required:
            raise
        return _without_vectors(task, "bystander", str(exc))
    except NoArrayError:
        if task.required:
            raise
        return _without_vectors(task, "copied")


def _survey(task: ShardTask, file_format: Format) -> ShardReport:
    with open_source(Path(task.source), file_format, task.options.opening) as reader:
        arrays = survey_shard(reader, task.options)
    return ShardReport(task.name, "surveyed", task.num_bytes, arrays=arrays)


def _without_vectors(task: ShardTask, status: Status, reason: str = "") -> ShardReport:
    """Copy what is not normalized, unless it is to be left where it is."""
    if task.action == "survey":
        return ShardReport(task.name, status, task.num_bytes, reason=reason)
    if task.files.only_arrays or task.files.in_place:
        left: Status = "left out" if status == "copied" else status
        return ShardReport(task.name, left, task.num_bytes, reason=reason)
    return _copy(task, status, reason)


def _keep_inside(task: ShardTask) -> None:
    """Refuse a destination that a link would lead out of the destination's folder."""
    parent = os.path.dirname(task.destination)
    expected = os.path.join(task.root, os.path.dirname(task.name))
    if os.path.realpath(parent) != os.path.normpath(expected):
        raise DestinationError(f"{parent} is a link out of the destination; remove it")
    for path in {task.destination, task.path_of("copied")}:
        if os.path.islink(path) and not (task.files.dry_run or task.files.in_place):
            os.unlink(path)  # It would be followed, perhaps to outside.


def _source_format(task: ShardTask) -> Format | None:
    """Return the format of the source; ``None`` where it isn't the one that was asked for."""
    source = Path(task.source)
    if task.files.source_format is None:
        return detect(source)
    file_format = by_name(task.files.source_format)
    if not task.required:
        try:
            detected = detect(source)
        except FormatError:
            detected = None
        return file_format if detected is file_format else None
    return file_format


def _normalize(
    task: ShardTask, file_format: Format, progress: Callable[[int, int], None] | None
) -> ShardReport:
    if not task.files.destination_format:
        check_name(Path(task.source), file_format)
    young = is_young(task.fingerprint)
    destination, staged = _staged(task)
    with prepare(_resolution(task, file_format, destination), task.options, task.choice) as job:
        report = job.execute(progress)
    report.destination = task.destination
    if report.already_unit == "left":
        destination, staged = Path(task.source), ""
    return ShardReport(
        task.name,
        "done",
        task.num_bytes,
        report=report,
        result=fingerprint(str(destination)),
        digest=digest(task.source) if young and not task.files.in_place else "",
        staged=staged,
    )


def _staged(task: ShardTask) -> tuple[Path, str]:
    """Return where the result goes, and that again where it isn't published yet."""
    destination = Path(task.destination)
    if not task.is_staged or task.files.dry_run:
        return destination, ""
    destination = sibling_path(destination, "staged")
    return destination, str(destination)


def _rewrite(task: ShardTask) -> ShardReport:
    source, young = Path(task.source), is_young(task.fingerprint)
    destination, staged = _staged(task)
    if not task.files.dry_run:
        with replacing(destination, like=source, overwrite=True) as sibling:
            rewrite(source, sibling, Path(task.destination).parent, task.options)
    return ShardReport(
        task.name,
        "rewritten",
        task.num_bytes,
        result=fingerprint(str(destination)),
        digest=digest(task.source) if young and not task.files.in_place else "",
        staged=staged,
    )


def _resolution(task: ShardTask, file_format: Format, destination: Path) -> Resolution:
    """Return what is read and written. A shard's name says nothing of either format."""
    to = by_name(task.files.destination_format) if task.files.destination_format else None
    to = output_format(to, file_format)
    target = FileDestination(destination, overwrite=task.may_replace)
    if not (task.files.dry_run and task.root):  # Its folder may not be there yet.
        target.check(to)
    norms = None
    if task.norms:
        norms = FileDestination(Path(task.norms), overwrite=True)
        if not task.files.dry_run:
            os.makedirs(os.path.dirname(task.norms), exist_ok=True)
    return Resolution(FileSource(Path(task.source), file_format), target, to, task.files, norms)


def _copy(task: ShardTask, status: Status, why: str) -> ShardReport:
    source, young = Path(task.source), is_young(task.fingerprint)
    destination = Path(task.path_of(status))
    if not task.files.dry_run:
        try:
            _copy_file(source, destination, overwrite=task.may_replace)
        except OSError as exc:
            what = f"{source} can't be copied to {destination}"
            raise SourceError(f"{what}: {reason(exc)}") from exc
    return ShardReport(
        task.name,
        status,
        task.num_bytes,
        result=fingerprint(str(destination)),
        digest=digest(task.source) if young else "",
        reason=why,
    )


def _copy_file(source: Path, destination: Path, *, overwrite: bool) -> None:
    before = fingerprint(source, follow_links=True)
    with replacing(destination, like=source, overwrite=overwrite) as sibling:
        shutil.copyfile(source, sibling)
        if fingerprint(source, follow_links=True) != before:
            raise SourceError(f"{source} changed while it was copied; run again")
        status = source.stat()
        os.utime(sibling, ns=(status.st_atime_ns, status.st_mtime_ns))


def _link(task: ShardTask) -> ShardReport:
    if not task.files.dry_run:
        destination = Path(task.destination)
        sibling = sibling_path(destination, "link")
        try:
            sibling.symlink_to(task.link)
            sibling.replace(destination)
        except OSError as exc:
            with suppress(OSError):
                sibling.unlink()
            raise DestinationError(f"{destination} can't be made: {reason(exc)}") from exc
    return ShardReport(task.name, "copied", 0, result=fingerprint(task.destination))
