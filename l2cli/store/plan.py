"""What is to be done with a store, as a list of shard tasks. Nothing is opened or written.

:func:`~l2cli.store.run.normalize_store` makes its plan here first. What a shard holds, and what an
earlier run did, the plan does not know.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import DestinationError, OptionError, SourceError
from l2cli.filesystem.walk import list_folder
from l2cli.formats.registry import by_name, by_suffix
from l2cli.io.resolve import converted_name, default_destination
from l2cli.store.companions import find_companions
from l2cli.store.fingerprint import fingerprint
from l2cli.store.task import ShardReport, ShardTask
from l2cli.text import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.filesystem.walk import FoundFile
    from l2cli.options import NormalizeOptions, StoreOptions
    from l2cli.store.companions import Companions
    from l2cli.store.task import Action


@dataclass
class Plan:
    """What is to be done.

    Attributes
    ----------
    source : str
        What messages call the sources.
    root : str
        The folder that all is written to; empty where each file has a destination of its own.
    tasks : list of ShardTask
        In natural order.
    folders : list of str
        Folders to make below ``root``, parents first.
    failures : list of ShardReport
        What failed already: folders that can't be read.
    not_read : list of str
        Names of the files of formats that are not read.
    notes : list of str
        What the user should know but needn't act on.
    """

    source: str
    root: str
    tasks: list[ShardTask] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    failures: list[ShardReport] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def real_root(self) -> str:
        """The real path of ``root``; empty where there is none."""
        return os.path.realpath(self.root) if self.root else ""


def default_store(source: Path) -> Path:
    """Return where a store goes where nothing else is said: ``FOLDER.normalized`` beside it."""
    folder = source if source.name.strip(".") else Path(os.path.abspath(source))
    return folder.with_name(f"{folder.name}.normalized")


def make_plan(
    sources: Sequence[Path],
    destination: Path | None,
    options: NormalizeOptions,
    files: StoreOptions,
) -> Plan:
    """Return what is to be done with ``sources``.

    One folder is mirrored into the destination. Of several sources, each becomes a file or a
    folder of its name in it.

    Raises
    ------
    OptionError
        Where the sources and the destination get in each other's way.
    SourceError
        Where a source isn't there, or there is nothing to do.
    """
    for name in filter(None, (files.source_format, files.destination_format)):
        by_name(name)
    for source in sources:
        if not source.exists():
            raise SourceError(f"{source}: there is no such file or folder")
    root = _find_root(sources, destination, files)
    _keep_norms_apart(sources, root, files)
    plan = Plan(brief(list(map(str, sources))), str(root) if root else "")
    for source in sources:
        if source.is_dir():
            _keep_apart(source, plan.root, files)
            prefix = "" if len(sources) == 1 else f"{Path(os.path.abspath(source)).name}/"
            _plan_folder(plan, source, prefix, options, files)
        else:
            _plan_file(plan, source, options, files)
    if not plan.tasks and not plan.failures:
        raise SourceError(f"{sources[0]} holds no file that may be taken; see `include`")
    _refuse_clashes(plan, sources, files)
    return plan


def _find_root(
    sources: Sequence[Path], destination: Path | None, files: StoreOptions
) -> Path | None:
    folders = [source for source in sources if source.is_dir()]
    if destination is not None:
        if files.in_place:
            raise OptionError("`in_place=True` replaces the source, so it takes no `destination`")
        if destination.exists() and not destination.is_dir():
            raise DestinationError(f"{destination} is a file; several go to a folder, name one")
        return destination
    if folders and len(sources) > 1:
        how = (
            "one folder at a time is replaced in place"
            if files.in_place
            else "name one with `destination`"
        )
        raise OptionError(f"{len(sources)} sources, {folders[0]} a folder: {how}")
    if not folders:
        return None
    return folders[0] if files.in_place else default_store(folders[0])


def _keep_apart(source: Path, root: str, files: StoreOptions) -> None:
    if files.in_place:
        return
    inner, outer = os.path.realpath(root), os.path.realpath(source)
    if inner == outer:
        raise OptionError(f"{root} is the source itself; to replace it, say `in_place=True`")
    for inside, outside in ((inner, outer), (outer, inner)):
        if os.path.commonpath((inside, outside)) == outside:
            raise OptionError(
                f"{inside} is inside {outside}; name a folder outside with `destination`"
            )


def _keep_norms_apart(sources: Sequence[Path], root: Path | None, files: StoreOptions) -> None:
    """Refuse a folder for norms that lies in one of vectors, or around it."""
    if files.norms is None:
        return
    norms = os.path.realpath(files.norms)
    folders = [source for source in sources if source.is_dir()] + ([root] if root else [])
    for folder in map(os.path.realpath, folders):
        if os.path.commonpath((norms, folder)) in (norms, folder):
            raise OptionError(f"{files.norms} holds vectors; name another folder for norms")


def _plan_folder(
    plan: Plan, source: Path, prefix: str, options: NormalizeOptions, files: StoreOptions
) -> None:
    listing = list_folder(str(source), files.include, files.exclude)
    companions = find_companions(
        str(source),
        listing,
        options,
        exclude=files.exclude,
        in_place=files.in_place,
        only_shards=files.only_arrays or bool(files.destination_format),
    )
    plan.notes += listing.notes + companions.notes
    plan.failures += [
        ShardReport(prefix + name, "failed", 0, error=f"{source / name} {message}")
        for name, message in listing.failures
    ]
    planned = [(file, _action(file, companions, files)) for file in companions.files]
    plan.not_read += [prefix + file.name for file, action in planned if action == "copy"]
    by_bytes = replace(files, source_format=None)
    for file, action in planned:
        if _is_taken(file, action, files):
            asked = by_bytes if _has_suffix(file) else files
            plan.tasks.append(_task(plan, source, prefix, file, action, options, asked))
    if files.in_place:
        plan.notes += _left_as_they_are(companions.files)
    else:
        plan.folders += _folders(plan, listing.folders, prefix, files)


def _is_taken(file: FoundFile, action: Action, files: StoreOptions) -> bool:
    """Whether something is to be done with a file: in place, with what is to change only."""
    if files.in_place:
        return action in ("normalize", "rewrite") and not file.outside
    return action != "copy" or not files.only_arrays


def _task(
    plan: Plan,
    source: Path,
    prefix: str,
    file: FoundFile,
    action: Action,
    options: NormalizeOptions,
    files: StoreOptions,
) -> ShardTask:
    """Return what is to be done with a file of a folder that ``prefix`` stands for in names."""
    name = prefix + file.name
    return ShardTask(
        name,
        f"{source}/{file.name}",
        f"{plan.root}/{prefix}{_result_name(file, action, files)}",
        action,
        (file.num_bytes, file.mtime_ns),
        options,
        files,
        copy_destination=f"{plan.root}/{name}",
        root=plan.real_root,
        link=file.link if action == "link" else "",
        norms=_norms_path(name, files),
    )


def _left_as_they_are(listed: Sequence[FoundFile]) -> list[str]:
    """Return the note on what is not replaced in place, though it may hold vectors."""
    names = [file.name for file in listed if file.outside]
    return [f"left as they are: links to files outside, such as {names[0]}"] if names else []


def _action(file: FoundFile, companions: Companions, files: StoreOptions) -> Action:
    if file.name in companions.rewritten:
        return "rewrite"
    is_shard = _has_suffix(file) or files.source_format is not None
    # What a link leads to may get another name when it is converted: then it is read through.
    if file.link and not (is_shard and files.destination_format and os.path.isfile(file.path)):
        return "link"
    return "normalize" if is_shard else "copy"


def _result_name(file: FoundFile, action: Action, files: StoreOptions) -> str:
    if action != "normalize" or not files.destination_format:
        return file.name
    return converted_name(file.name, by_name(files.destination_format))


def _norms_path(name: str, files: StoreOptions) -> str:
    """Return where the norms of a shard go: of ``x.parquet``, to ``x.parquet.npy``."""
    if files.norms is None:
        return ""
    return f"{files.norms}/{name}" + ("" if name.lower().endswith(".npy") else ".npy")


def _has_suffix(file: FoundFile) -> bool:
    """Whether its name, or the name of what it leads to, has the suffix of a format."""
    return any(_is_known(os.path.splitext(name)[1]) for name in (file.name, file.link))


@cache
def _is_known(suffix: str) -> bool:
    return by_suffix(Path(f"x{suffix}")) is not None


def _folders(plan: Plan, names: list[str], prefix: str, files: StoreOptions) -> list[str]:
    """Return the folders to make: all, or those that something goes to where some is left out."""
    every = [prefix + name for name in names]
    if files.include or files.exclude or files.only_arrays:
        needed = set()
        for task in plan.tasks:
            parent = os.path.dirname(task.name)
            while parent and parent not in needed:
                needed.add(parent)
                parent = os.path.dirname(parent)
        every = [name for name in every if name in needed]
    return [prefix.rstrip("/"), *every] if prefix else every


def _plan_file(plan: Plan, source: Path, options: NormalizeOptions, files: StoreOptions) -> None:
    file_format = by_name(files.destination_format) if files.destination_format else None
    if files.in_place:
        destination = source
    elif plan.root:
        name = converted_name(source.name, file_format) if file_format else source.name
        destination = Path(plan.root, name)
    else:
        destination = default_destination(source, file_format)
    plan.tasks.append(
        ShardTask(
            source.name if plan.root else str(source),
            str(source),
            str(destination),
            "normalize",
            fingerprint(source, follow_links=True) or (0, 0),
            options,
            files,
            root=plan.real_root,
            required=True,
            norms=_norms_path(source.name, files),
        )
    )


def _refuse_clashes(plan: Plan, sources: Sequence[Path], files: StoreOptions) -> None:
    """Refuse two files for one destination, and a destination that is a source."""
    if len(sources) == 1 and not (files.destination_format or files.norms):
        return
    way_out = "leave one out with `exclude`" if len(sources) == 1 else "take one of them at a time"
    source_files = {os.path.realpath(source) for source in sources if source.is_file()}
    taken: dict[str, str] = {}
    for task in plan.tasks:
        for path in {task.destination, task.path_of("copied"), task.norms or task.destination}:
            before = taken.setdefault(path, task.source)
            if before is not task.source:
                raise OptionError(f"{before} and {task.source} would both become {path}; {way_out}")
        if task.norms and os.path.realpath(task.norms) in source_files:
            raise OptionError(f"{task.norms} is a source; name another folder for norms")
        if (
            source_files
            and not files.in_place
            and os.path.realpath(task.destination) in source_files
        ):
            raise OptionError(
                f"{task.source} would become {task.destination}, which is a source too; "
                "name another folder with `destination`"
            )
