"""Files in a folder that describe its shards, and become false when those change.

Those that can be written anew with certainty are, once all shards are done: see
:mod:`l2cli.rewriting`. A folder with others is refused by name before anything is written, if it
holds vectors: the tables of Delta Lake, Iceberg and Hudi, whose logs know the size and the
statistics of each file. So are data sets of formats that are spread over many files and not read.
"""

from __future__ import annotations

import glob
import os
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import L2NormError, NoArrayError, SourceError
from l2cli.formats import by_suffix, detect
from l2cli.report import brief
from l2cli.rewriting import described, is_rewritable
from l2cli.selection import select
from l2cli.sources import open_source
from l2cli.walk import FoundFile, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.options import NormalizeOptions
    from l2cli.walk import Listing


@dataclass(frozen=True)
class Known:
    """A data set of many files that is known by a file or folder in it.

    Attributes
    ----------
    name
        What messages call it.
    markers
        Globs of paths in its folder, of which it has one.
    is_read
        Whether its files are of a format that is read.
    way_out
        What the user can do.
    """

    name: str
    markers: tuple[str, ...]
    is_read: bool
    way_out: str


_WRITE = "write its current version to a folder of Parquet files and normalize that"
KNOWN = (
    Known("Delta Lake table", ("_delta_log",), True, _WRITE),
    Known("Hudi table", (".hoodie",), True, _WRITE),
    Known(
        "Iceberg table",
        ("metadata/*.metadata.json", "metadata/version-hint.text", "metadata/snap-*.avro"),
        True,
        _WRITE,
    ),
    Known("Lance dataset", ("_versions/*.manifest", "_latest.manifest"), False, _WRITE),
    Known("Zarr store", ("zarr.json", ".zgroup", ".zarray"), False, "save its arrays as .npy"),
    Known("TileDB array", ("__schema", "__tiledb_group.tdb"), False, "save it as .npy"),
)
_NAMES = ("_metadata", "_common_metadata", "state.json", "dataset_info.json")
_CHECKSUMS = ("*SUMS", "*SUMS.txt", "*.md5", "*.sha1", "*.sha256", "*.sha512", "*.dvc")


@dataclass
class Companions:
    """What was found.

    Attributes
    ----------
    files
        All files of the folder that have a part in the result.
    rewritten
        The names of those to be written anew, when the rest is done.
    notes
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
    exclude: tuple[str, ...],
    in_place: bool,
    only_shards: bool,
) -> Companions:
    """Look for files that describe the shards of a folder.

    Parameters
    ----------
    root
        The folder.
    listing
        What of it is taken.
    exclude
        Globs that the user gave, as for :func:`l2cli.walk.list_folder`.
    only_shards
        Whether nothing but shards is written, or they become files of other names.

    Raises
    ------
    SourceError
        Where one would become false and can't be written anew.
    """
    look = _Look(root, listing, options, exclude, in_place)
    look.refuse_known()
    look.refuse_features()
    if in_place:
        look.refuse_checksums()
    found = Companions(list(listing.files), notes=look.notes())
    companions = [file for file in look.rewritable() if look.has_shards(_folder(file.name))]
    names = {file.name for file in companions}
    if only_shards and not in_place:
        found.files = [file for file in found.files if file.name not in names]
        if names:
            found.notes.append(f"left out: {brief(sorted(names))}, which would become false")
        return found
    for file in companions:
        look.refuse_incomplete(file)
        look.refuse_norms(file)
    found.files = [file for file in found.files if file.name not in names] + companions
    found.rewritten = names
    return found


def describes(companion: str, shard: str) -> bool:
    """Whether a file describes a shard, given the paths of both in the store."""
    folder = _folder(companion)
    return not folder or shard.startswith(f"{folder}/")


@dataclass(frozen=True)
class _Look:
    """A look around a folder."""

    root: str
    listing: Listing
    options: NormalizeOptions
    exclude: tuple[str, ...]
    in_place: bool

    @property
    def changes_types(self) -> bool:
        """Whether the vectors get another dtype or length."""
        return self.options.dtype != "same" or self.options.truncate_dim is not None

    def refuse_known(self) -> None:
        """Refuse a table whose files are to change, or a data set that can't be read."""
        seen: list[str] = []
        for folder in ("", *self.listing.folders):
            if any(describes(f"{outer}/" if outer else "", folder) for outer in seen):
                continue
            for known in KNOWN:
                marker = self._marker(folder, known)
                if marker and (not known.is_read or self._holds_vectors(folder, marker)):
                    raise SourceError(self._refusal(folder, marker, known))
                if marker:
                    seen.append(folder)

    def refuse_features(self) -> None:
        """Refuse a Hugging Face repository's own words for types that are to change."""
        for file in self.listing.files if self.changes_types else []:
            name = os.path.basename(file.name)
            if name == "dataset_infos.json" or (name == "README.md" and _has_features(file.path)):
                raise SourceError(
                    f"{file.path} declares the types of the data set's columns (dataset_info), "
                    f"which would become false; remove that, or --exclude {shlex.quote(file.name)}"
                )

    def refuse_checksums(self) -> None:
        """Refuse the hidden files in which Hadoop keeps the checksum of the file beside them."""
        for file in self.listing.files:
            folder, name = os.path.split(file.path)
            checksum = os.path.join(folder, f".{name}.crc")
            if _is_shard(file.name) and os.path.lexists(checksum):
                raise SourceError(
                    f"{checksum} holds the checksum of {name} as it is, by which Hadoop would "
                    "refuse the new one; remove such files, or write to another folder with -o"
                )

    def refuse_incomplete(self, companion: FoundFile) -> None:
        """Refuse to write anew what describes files that are not taken."""
        folder = _folder(companion.name)
        taken = {file.name for file in self.listing.files}
        names = described(Path(companion.path))
        gone = [name for name in names if os.path.join(folder, name) not in taken]
        if gone and not self.in_place:
            raise SourceError(
                f"{companion.path} describes {gone[0]}, which isn't there or isn't taken; leave "
                f"it out too with --exclude {shlex.quote(companion.name)}"
            )

    def refuse_norms(self, companion: FoundFile) -> None:
        """Refuse to add a column that a file, which is written anew for types alone, lacks."""
        if self.options.norms_name and os.path.basename(companion.name) != "state.json":
            raise SourceError(
                f"{companion.path} knows no column '{self.options.norms_name}'; keep the norms in "
                f"a folder of files, or --exclude {shlex.quote(companion.name)}"
            )

    def notes(self) -> list[str]:
        """Return what is to be said of files with checksums."""
        names = [file.name for file in self.listing.files if _matches_any(file.name, _CHECKSUMS)]
        if not names:
            return []
        return [f"{brief(names)}: not changed, so of the files as they were"]

    def rewritable(self) -> Iterator[FoundFile]:
        """Yield the files that can be written anew. In place, no --include keeps one from it."""
        taken = {file.name for file in self.listing.files}
        for file in self.listing.files:
            if os.path.basename(file.name) in _NAMES and is_rewritable(Path(file.path)):
                yield replace(file, link="", outside=False)
        for folder in ("", *self.listing.folders) if self.in_place else ():
            for name in _NAMES:
                relative = f"{folder}/{name}" if folder else name
                path = Path(self.root, relative)
                if relative not in taken and is_rewritable(path):
                    status = path.stat()
                    yield FoundFile(relative, str(path), status.st_size, status.st_mtime_ns)

    def has_shards(self, folder: str) -> bool:
        """Whether a folder holds files of a format that is read."""
        return any(True for _ in self._shards(folder))

    def _shards(self, folder: str) -> Iterator[FoundFile]:
        for file in self.listing.files:
            if describes(f"{folder}/" if folder else "", file.name) and _is_shard(file.name):
                yield file

    def _marker(self, folder: str, known: Known) -> str:
        """Return by what a data set is known that isn't left out; empty where there is none."""
        base = glob.escape(os.path.join(self.root, folder))
        for pattern in known.markers:
            if "*" not in pattern and not os.path.lexists(os.path.join(self.root, folder, pattern)):
                continue
            if any(glob.iglob(os.path.join(base, pattern))):
                marker = os.path.join(folder, pattern.partition("/")[0])
                stays = self.in_place and known.is_read
                return "" if matches(marker, self.exclude) and not stays else marker
        return ""

    def _holds_vectors(self, folder: str, marker: str) -> bool:
        return any(
            _may_hold_vectors(file.path, self.options)
            for file in self._shards(folder)
            if not file.name.startswith(f"{marker}/")
        )

    def _refusal(self, folder: str, marker: str, known: Known) -> str:
        path = os.path.join(self.root, folder).rstrip("/")
        if not known.is_read:
            leave = f", or leave it out with --exclude {shlex.quote(folder)}" if folder else ""
            return f"{path} is a {known.name}, which is not read; {known.way_out}{leave}"
        take = f", or take its files as they lie, with --exclude {shlex.quote(marker)}"
        return (
            f"{path} is a {known.name}, whose log ({os.path.basename(marker)}) would become "
            f"false; {known.way_out}{'' if self.in_place else take}"
        )


def _folder(name: str) -> str:
    return os.path.dirname(name)


def _is_shard(name: str) -> bool:
    return by_suffix(Path(name)) is not None


def _matches_any(name: str, patterns: tuple[str, ...]) -> bool:
    return matches(os.path.basename(name), patterns)


def _may_hold_vectors(path: str, options: NormalizeOptions) -> bool:
    try:
        with open_source(Path(path), detect(Path(path)), options) as reader:
            return bool(select(reader, options.select))
    except NoArrayError:
        return False
    except L2NormError:
        return True


def _has_features(path: str) -> bool:
    """Whether a README has a block of YAML that declares the features of a data set."""
    with open(path, encoding="utf-8", errors="replace") as file:
        if file.readline().rstrip() != "---":
            return False
        lines = iter(lambda: file.readline().rstrip(), "---")
        return any(_is_features(line) for _, line in zip(range(10_000), lines, strict=False))


def _is_features(line: str) -> bool:
    return line.strip().lstrip("- ") == "features:"
