"""What is to be done with a store, as a list of shard tasks. Nothing is opened or written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import DestinationError, OptionError, SourceError
from l2cli.filesystem.walk import list_folder
from l2cli.formats.registry import by_suffix, by_word
from l2cli.io.resolve import converted_name, default_destination
from l2cli.report import brief
from l2cli.store.companions import find_companions
from l2cli.store.task import ShardReport, ShardTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.filesystem.walk import FoundFile
    from l2cli.options import NormalizeOptions
    from l2cli.store.task import Action


@dataclass(frozen=True)
class StoreOptions:
    """How to go about a store. What happens to its numbers is in ``NormalizeOptions``.

    Attributes
    ----------
    include, exclude
        Globs of paths in the store; see :func:`l2cli.filesystem.walk.list_folder`.
    only_arrays
        Leave out the files that hold no array to normalize; else they are copied.
    in_place
        Replace each shard, in one step.
    overwrite
        Write into a folder that exists, and begin anew what an earlier run did.
    dry_run
        Choose and check only.
    fail_fast
        Stop at the first shard that fails.
    jobs
        How many worker processes; ``None`` to choose by the work and the machine.
    source_format
        The format of a file whose suffix tells none: in a folder, if it begins like one.
    destination_format
        The format to convert shards to; ``None`` keeps each in its own.
    norms
        The folder for the norms that the rows had, an ``.npy`` for each shard; ``None`` for none.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_arrays: bool = False
    in_place: bool = False
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False
    jobs: int | None = None
    source_format: str | None = None
    destination_format: str | None = None
    norms: Path | None = None

    def __post_init__(self) -> None:
        for word in filter(None, (self.source_format, self.destination_format)):
            by_word(word)
        if self.in_place and self.destination_format:
            raise OptionError("--in-place keeps the format of each shard, so it takes no --to")
        if self.jobs is not None and self.jobs < 1:
            raise OptionError(f"jobs is {self.jobs}, expected 1 or more")


@dataclass
class Plan:
    """What is to be done.

    Attributes
    ----------
    source
        What messages call the sources.
    root
        The folder that all is written to; empty where each file has a destination of its own.
    tasks
        In natural order.
    folders
        Folders to make below ``root``, parents first.
    failures
        What failed already: folders that can't be read.
    not_read
        Names of the files of formats that are not read.
    notes
        What the user should know but needn't act on.
    """

    source: str
    root: str
    tasks: list[ShardTask] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    failures: list[ShardReport] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def default_store(source: Path) -> Path:
    """Return where a store goes where nothing else is said: ``FOLDER.normalized`` beside it."""
    folder = source if source.name.strip(".") else Path(os.path.abspath(source))
    return folder.with_name(f"{folder.name}.normalized")


def make_plan(
    sources: Sequence[Path],
    destination: Path | None,
    options: NormalizeOptions,
    wishes: StoreOptions,
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
    for source in sources:
        if not source.exists():
            raise SourceError(f"{source}: there is no such file or folder")
    root = _find_root(sources, destination, wishes)
    _keep_norms_apart(sources, root, wishes)
    plan = Plan(brief(list(map(str, sources))), str(root) if root else "")
    for source in sources:
        if source.is_dir():
            _keep_apart(source, plan.root, wishes)
            prefix = "" if len(sources) == 1 else f"{Path(os.path.abspath(source)).name}/"
            _plan_folder(plan, source, prefix, options, wishes)
        else:
            _plan_file(plan, source, options, wishes)
    if not plan.tasks and not plan.failures:
        raise SourceError(f"{sources[0]} holds no file that may be taken; see --include")
    _refuse_clashes(plan, sources, wishes)
    return plan


def _find_root(
    sources: Sequence[Path], destination: Path | None, wishes: StoreOptions
) -> Path | None:
    folders = [source for source in sources if source.is_dir()]
    if destination is not None:
        if wishes.in_place:
            raise OptionError("--in-place replaces the source, so it takes no -o")
        if destination.exists() and not destination.is_dir():
            raise DestinationError(f"{destination} is a file; several go to a folder, name one")
        return destination
    if folders and len(sources) > 1:
        how = "one folder at a time is replaced in place" if wishes.in_place else "name one with -o"
        raise OptionError(f"{len(sources)} sources, {folders[0]} a folder: {how}")
    if not folders:
        return None
    return folders[0] if wishes.in_place else default_store(folders[0])


def _keep_apart(source: Path, root: str, wishes: StoreOptions) -> None:
    if wishes.in_place:
        return
    inner, outer = os.path.realpath(root), os.path.realpath(source)
    if inner == outer:
        raise OptionError(f"{root} is the source itself; to replace it, say --in-place")
    for one, other in ((inner, outer), (outer, inner)):
        if os.path.commonpath((one, other)) == other:
            raise OptionError(f"{one} is inside {other}; name a folder outside with -o")


def _keep_norms_apart(sources: Sequence[Path], root: Path | None, wishes: StoreOptions) -> None:
    """Refuse a folder for norms that lies in one of vectors, or around it."""
    if wishes.norms is None:
        return
    own = os.path.realpath(wishes.norms)
    folders = [source for source in sources if source.is_dir()] + ([root] if root else [])
    for folder in map(os.path.realpath, folders):
        if os.path.commonpath((own, folder)) in (own, folder):
            raise OptionError(f"{wishes.norms} holds vectors; name another folder for norms")


def _plan_folder(
    plan: Plan, source: Path, prefix: str, options: NormalizeOptions, wishes: StoreOptions
) -> None:
    listing = list_folder(str(source), wishes.include, wishes.exclude)
    plan.notes += listing.notes
    plan.failures += [
        ShardReport(prefix + name, "failed", 0, error=f"{source / name} {message}")
        for name, message in listing.failures
    ]
    companions = find_companions(
        str(source),
        listing,
        options,
        exclude=wishes.exclude,
        in_place=wishes.in_place,
        only_shards=wishes.only_arrays or bool(wishes.destination_format),
    )
    plan.notes += companions.notes
    real_root = os.path.realpath(plan.root)
    untouched = []
    for file in companions.files:
        action = "rewrite" if file.name in companions.rewritten else _action(file, wishes)
        if action == "copy":
            plan.not_read.append(prefix + file.name)
        if wishes.in_place and (action not in ("normalize", "rewrite") or file.outside):
            untouched += [file.name] if file.outside else []
            continue
        if wishes.only_arrays and action == "copy":
            continue
        plan.tasks.append(
            ShardTask(
                prefix + file.name,
                f"{source}/{file.name}",
                f"{plan.root}/{prefix}{_result_name(file, action, wishes)}",
                action,
                (file.num_bytes, file.mtime_ns),
                options,
                copy_destination=f"{plan.root}/{prefix}{file.name}",
                source_format=None if _has_suffix(file) else wishes.source_format,
                destination_format=wishes.destination_format,
                root=real_root,
                link=file.link if action == "link" else "",
                in_place=wishes.in_place,
                stage=wishes.in_place,
                overwrite=True,
                only_arrays=wishes.only_arrays,
                dry_run=wishes.dry_run,
                norms=_norms_path(prefix + file.name, wishes),
            )
        )
    if untouched:
        plan.notes.append(f"left as they are: links to files outside, such as {untouched[0]}")
    if not wishes.in_place:
        plan.folders += _folders(plan, listing.folders, prefix, wishes)


def _action(file: FoundFile, wishes: StoreOptions) -> Action:
    is_shard = _has_suffix(file) or wishes.source_format is not None
    # What a link leads to may get another name when it is converted: then it is read through.
    if file.link and not (is_shard and wishes.destination_format and os.path.isfile(file.path)):
        return "link"
    return "normalize" if is_shard else "copy"


def _result_name(file: FoundFile, action: Action, wishes: StoreOptions) -> str:
    if action != "normalize" or not wishes.destination_format:
        return file.name
    return converted_name(file.name, by_word(wishes.destination_format))


def _norms_path(name: str, wishes: StoreOptions) -> str:
    """Return where the norms of a shard go: of ``x.parquet``, to ``x.parquet.npy``."""
    if wishes.norms is None:
        return ""
    return f"{wishes.norms}/{name}" + ("" if name.lower().endswith(".npy") else ".npy")


def _has_suffix(file: FoundFile) -> bool:
    """Whether its name, or the name of what it leads to, has the suffix of a format."""
    return any(_is_known(os.path.splitext(name)[1]) for name in (file.name, file.link))


@cache
def _is_known(suffix: str) -> bool:
    return by_suffix(Path(f"x{suffix}")) is not None


def _folders(plan: Plan, found: list[str], prefix: str, wishes: StoreOptions) -> list[str]:
    """Return the folders to make: all, or those that something goes to where some is left out."""
    every = [prefix + name for name in found]
    if wishes.include or wishes.exclude or wishes.only_arrays:
        needed = set()
        for task in plan.tasks:
            parent = os.path.dirname(task.name)
            while parent and parent not in needed:
                needed.add(parent)
                parent = os.path.dirname(parent)
        every = [name for name in every if name in needed]
    return [prefix.rstrip("/"), *every] if prefix else every


def _plan_file(plan: Plan, source: Path, options: NormalizeOptions, wishes: StoreOptions) -> None:
    status = source.stat()
    kind = by_word(wishes.destination_format) if wishes.destination_format else None
    if wishes.in_place:
        destination = source
    elif plan.root:
        name = converted_name(source.name, kind) if kind else source.name
        destination = Path(plan.root, name)
    else:
        destination = default_destination(source, kind)
    plan.tasks.append(
        ShardTask(
            source.name if plan.root else str(source),
            str(source),
            str(destination),
            "normalize",
            (status.st_size, status.st_mtime_ns),
            options,
            source_format=wishes.source_format,
            destination_format=wishes.destination_format,
            root=os.path.realpath(plan.root) if plan.root else "",
            in_place=wishes.in_place,
            overwrite=wishes.overwrite or bool(plan.root),
            required=True,
            dry_run=wishes.dry_run,
            norms=_norms_path(source.name, wishes),
        )
    )


def _refuse_clashes(plan: Plan, sources: Sequence[Path], wishes: StoreOptions) -> None:
    """Refuse two files for one destination, and a destination that is a source."""
    if len(sources) == 1 and not (wishes.destination_format or wishes.norms):
        return
    way_out = "leave one out with --exclude" if len(sources) == 1 else "take one of them at a time"
    files = {os.path.realpath(source) for source in sources if source.is_file()}
    taken: dict[str, str] = {}
    for task in plan.tasks:
        for path in {task.destination, task.path_of("copied"), task.norms or task.destination}:
            before = taken.setdefault(path, task.source)
            if before is not task.source:
                raise OptionError(f"{before} and {task.source} would both become {path}; {way_out}")
        if task.norms and os.path.realpath(task.norms) in files:
            raise OptionError(f"{task.norms} is a source; name another folder for norms")
        if files and not wishes.in_place and os.path.realpath(task.destination) in files:
            raise OptionError(
                f"{task.source} would become {task.destination}, which is a source too; "
                "name another folder with -o"
            )
