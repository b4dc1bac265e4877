"""Files in a folder that describe its shards, and become false when those change.

Those that can be written anew with certainty are, once all shards are done: see
:mod:`l2cli.store.rewriting`. The rest is refused by name, before anything is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import SourceError
from l2cli.filesystem.walk import FoundFile, matches
from l2cli.store.rewriting import NAMES, described, is_rewritable
from l2cli.store.tables import lies_in, refuse_tables, shards_in
from l2cli.text import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.filesystem.walk import Listing
    from l2cli.options import NormalizeOptions

_CHECKSUMS = ("*SUMS", "*SUMS.txt", "*.md5", "*.sha1", "*.sha256", "*.sha512", "*.dvc")
_MOST_LINES = 10_000
"""Of a README that are looked at."""


@dataclass
class Companions:
    """What was found.

    Attributes
    ----------
    files : list of FoundFile
        All files of the folder that have a part in the result.
    rewritten : set of str
        The names of those to be written anew, when the rest is done.
    notes : list of str
        What the user should know but needn't act on.
    """

    files: list[FoundFile]
    rewritten: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def find_companions(
    root: str,
    listing: Listing,
    options: NormalizeOptions,
    *,
    exclude: Sequence[str],
    in_place: bool,
    only_shards: bool,
) -> Companions:
    """Look for files that describe the shards of a folder.

    Parameters
    ----------
    root : str
        The folder.
    listing : Listing
        What of it is taken.
    exclude : sequence of str
        Globs that the user gave, as for :func:`l2cli.filesystem.walk.list_folder`.
    only_shards : bool
        Whether nothing but shards is written, or they become files of other names.

    Raises
    ------
    SourceError
        Where one would become false and can't be written anew.
    """
    refuse_tables(root, listing, options, exclude=exclude, in_place=in_place)
    if options.dtype != "same" or options.truncate_dim is not None:
        _refuse_declared_types(listing)
    if in_place:
        _refuse_checksums(listing)
    candidates = [*_listed(listing), *(_hidden_by_globs(root, listing) if in_place else ())]
    companions = [file for file in candidates if any(shards_in(listing, _folder(file.name)))]
    names = {file.name for file in companions}
    result = Companions(
        [file for file in listing.files if file.name not in names], notes=_notes(listing)
    )
    if only_shards and not in_place:
        if names:
            result.notes.append(f"left out: {brief(sorted(names))}, which would become false")
        return result
    for file in companions:
        _refuse_norms(file, options)
        if not in_place:
            _refuse_incomplete(file, listing)
    return Companions(result.files + companions, names, result.notes)


def describes(companion: str, shard: str) -> bool:
    """Whether a file describes a shard, given the paths of both in the store."""
    return lies_in(shard, _folder(companion))


def _listed(listing: Listing) -> Iterator[FoundFile]:
    for file in listing.files:
        if os.path.basename(file.name) in NAMES and is_rewritable(Path(file.path)):
            yield FoundFile(file.name, file.path, file.num_bytes, file.mtime_ns)


def _hidden_by_globs(root: str, listing: Listing) -> Iterator[FoundFile]:
    """Yield the files that the user's globs left out. They describe shards all the same."""
    taken = {file.name for file in listing.files}
    for folder in ("", *listing.folders):
        for name in (os.path.join(folder, base_name) for base_name in NAMES):
            path = Path(root, name)
            if name not in taken and is_rewritable(path):
                status = path.stat()
                yield FoundFile(name, str(path), status.st_size, status.st_mtime_ns)


def _refuse_declared_types(listing: Listing) -> None:
    """Refuse a Hugging Face repository's own words for types that are to change."""
    for file in listing.files:
        name = os.path.basename(file.name)
        if name == "dataset_infos.json" or (name == "README.md" and _declares_types(file.path)):
            raise SourceError(
                f"{file.path} declares the types of the data set's columns (dataset_info), which "
                f"would become false; remove that, or say `exclude={[file.name]!r}`"
            )


def _declares_types(path: str) -> bool:
    """Whether a README begins with a block of YAML that has the features of a data set."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = (line.strip() for line in islice(file, _MOST_LINES))
        if next(lines, "") != "---":
            return False
        for line in lines:
            if line == "---":
                return False
            if line.removeprefix("- ") == "features:":
                return True
    return False


def _refuse_checksums(listing: Listing) -> None:
    """Refuse the hidden files in which Hadoop keeps the checksum of the file beside them."""
    for file in shards_in(listing, ""):
        folder, name = os.path.split(file.path)
        checksum = os.path.join(folder, f".{name}.crc")
        if os.path.lexists(checksum):
            raise SourceError(
                f"{checksum} holds the checksum of {name} as it is, by which Hadoop would refuse "
                "the new one; remove such files, or write to another folder with `destination`"
            )


def _refuse_incomplete(companion: FoundFile, listing: Listing) -> None:
    """Refuse to write anew what describes files that are not taken."""
    folder, taken = _folder(companion.name), {file.name for file in listing.files}
    for name in described(Path(companion.path)):
        if os.path.join(folder, name) not in taken:
            raise SourceError(
                f"{companion.path} describes {name}, which isn't there or isn't taken; leave it "
                f"out too with `exclude={[companion.name]!r}`"
            )


def _refuse_norms(companion: FoundFile, options: NormalizeOptions) -> None:
    """Refuse to add a column that a file, which is written anew for types alone, lacks."""
    if options.norms_name and os.path.basename(companion.name) != "state.json":
        raise SourceError(
            f"{companion.path} knows no column '{options.norms_name}'; keep the norms in a folder "
            f"of files, or say `exclude={[companion.name]!r}`"
        )


def _notes(listing: Listing) -> list[str]:
    """Return what is to be said of files with checksums."""
    names = [
        file.name for file in listing.files if matches(os.path.basename(file.name), _CHECKSUMS)
    ]
    return [f"{brief(names)}: not changed, so of the files as they were"] if names else []


def _folder(name: str) -> str:
    return os.path.dirname(name)
