"""Which files and streams a check reads: of a folder, those of a known suffix.

``check`` asks here first. Nothing of a file is read but, for a store, the names of its arrays.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import OptionError
from l2cli.filesystem.walk import list_folder
from l2cli.formats.registry import by_name, by_suffix
from l2cli.io.families import families_of
from l2cli.io.resolve import find_source
from l2cli.io.source import STANDARD_INPUT
from l2cli.io.survey import survey_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.filesystem.walk import FoundFile
    from l2cli.io.source import Source
    from l2cli.io.store_choice import ShardChoice
    from l2cli.options import NormalizeOptions


@dataclass(frozen=True)
class Input:
    """One file or stream to check.

    Attributes
    ----------
    label : str
        What messages call it.
    named : bool
        Whether the user named it, rather than the folder it is in.
    before : Input or None
        What its rows were made of, where they are compared with that.
    choice : ShardChoice or None
        What is taken from it, where it is a shard of a store.
    """

    location: Path | Readable
    source_format: str | None = None
    named: bool = True
    before: Input | None = None
    choice: ShardChoice | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return label(self.location)

    @property
    def num_bytes(self) -> int:
        """Bytes of the file; 0 for a stream."""
        if isinstance(self.location, Path) and os.path.isfile(self.location):
            return self.location.stat().st_size
        return 0

    def source(self) -> Source:
        """Find out its format."""
        file_format = by_name(self.source_format) if self.source_format else None
        return find_source(self.location, file_format)


@dataclass
class Inputs:
    """What there is to check.

    Attributes
    ----------
    failures : list of (str, str)
        Name and message of each folder that can't be read.
    notes : list of str
        What the user should know but needn't act on.
    not_read : list of FoundFile
        The files of folders that are of no format that is read.
    """

    inputs: list[Input] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_read: list[FoundFile] = field(default_factory=list)


def label(location: Path | Readable) -> str:
    """Return what messages call a file, a folder or a stream."""
    return str(location) if isinstance(location, Path) else STANDARD_INPUT


def list_inputs(
    sources: Sequence[Path | Readable],
    options: NormalizeOptions,
    source_format: str | None = None,
    against: Path | Readable | None = None,
) -> Inputs:
    """Return what there is to check in ``sources``: of a folder, the files of a known suffix.

    Parameters
    ----------
    options : NormalizeOptions
        What is selected, and how files are opened.
    against : Path or Readable or None
        What became of the one source. It is checked in its place: a file, or a folder with
        files of the same names.
    """
    if against is not None and len(sources) > 1:
        raise OptionError(f"`against` compares with one source, not {len(sources)}")
    listed = Inputs()
    for source in sources:
        if isinstance(source, Path) and os.path.isdir(source):
            _list_folder(listed, source, options, source_format, against)
        elif against is None:
            listed.inputs.append(Input(source, source_format))
        else:
            listed.inputs.append(Input(against, before=Input(source, source_format)))
    return listed


def _list_folder(
    listed: Inputs,
    folder: Path,
    options: NormalizeOptions,
    source_format: str | None,
    against: Path | Readable | None,
) -> None:
    if against is not None and not (isinstance(against, Path) and os.path.isdir(against)):
        raise OptionError(f"{folder} is a folder, and {label(against)} is not; name two folders")
    listing = list_folder(str(folder))
    listed.notes += listing.notes
    listed.failures += [(str(folder / name), message) for name, message in listing.failures]
    files = [file for file in listing.files if not file.link]
    listed.not_read += [file for file in files if by_suffix(Path(file.name)) is None]
    names = [file.name for file in files if by_suffix(Path(file.name)) is not None]
    shards = [Input(folder / name, source_format, named=False) for name in names]
    families = families_of(names)
    file_format = by_name(source_format) if source_format else None
    choice = survey_files([folder / name for name in names], families, options, file_format)
    for name, named, family in zip(names, shards, families, strict=True):
        shard = replace(named, choice=choice.of(family))
        if isinstance(against, Path):
            shard = Input(against / name, named=False, before=shard, choice=shard.choice)
        listed.inputs.append(shard)
