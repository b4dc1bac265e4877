"""Data sets of many files that can't be dealt with file by file, and are refused by name.

The tables of Delta Lake, Iceberg and Hudi have a log that knows the size and the statistics of
each file: it would become false. Others are of formats that are not read at all.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import L2NormError, NoArrayError, SourceError
from l2cli.filesystem.walk import matches
from l2cli.formats.registry import by_suffix, detect
from l2cli.io.selection import select
from l2cli.io.source import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.filesystem.walk import FoundFile, Listing
    from l2cli.options import NormalizeOptions


@dataclass(frozen=True)
class Known:
    """A data set that is known by a file or folder in it.

    Attributes
    ----------
    name : str
        What messages call it.
    markers : tuple of str
        Globs of paths in its folder, of which it has one.
    is_read : bool
        Whether its files are of a format that is read.
    way_out : str
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


def refuse_tables(
    root: str,
    listing: Listing,
    options: NormalizeOptions,
    *,
    exclude: Sequence[str],
    in_place: bool,
) -> None:
    """Refuse a table whose files would change, and a data set that can't be read.

    A table without vectors is no hindrance. Nor is one whose log is left out, unless the log
    stays beside files that are replaced.

    Raises
    ------
    SourceError
        Where there is one.
    """
    outer: list[str] = []
    for folder in ("", *listing.folders):
        if any(lies_in(folder, taken) for taken in outer):
            continue  # It is part of a data set that was found already.
        for data_set in KNOWN:
            marker = _marker(root, folder, data_set)
            if not marker:
                continue
            outer.append(folder)
            stays = in_place and data_set.is_read
            if matches(marker, exclude) and not stays:
                continue
            if not data_set.is_read:
                raise SourceError(_unread(root, folder, data_set))
            files = [file for file in shards_in(listing, folder) if not lies_in(file.name, marker)]
            if any(_may_hold_vectors(file.path, options) for file in files):
                raise SourceError(_refusal(root, folder, marker, data_set, in_place=in_place))


def shards_in(listing: Listing, folder: str) -> Iterator[FoundFile]:
    """Yield the files in a folder and below whose suffix is one of a format that is read."""
    for file in listing.files:
        if lies_in(file.name, folder) and by_suffix(Path(file.name)) is not None:
            yield file


def lies_in(name: str, folder: str) -> bool:
    """Whether a path is one of something in ``folder``, which is empty for the root."""
    return not folder or name.startswith(f"{folder}/")


def _marker(root: str, folder: str, known: Known) -> str:
    """Return the path of that by which a data set is known; empty where there is none."""
    for pattern in known.markers:
        marker = os.path.join(folder, pattern.partition("/")[0])
        if not os.path.lexists(os.path.join(root, marker)):
            continue
        if any(glob.iglob(os.path.join(glob.escape(os.path.join(root, folder)), pattern))):
            return marker
    return ""


def _may_hold_vectors(path: str, options: NormalizeOptions) -> bool:
    try:
        with open_source(Path(path), detect(Path(path)), options.opening) as reader:
            return bool(select(reader, options.select))
    except NoArrayError:
        return False
    except L2NormError:
        return True


def _unread(root: str, folder: str, known: Known) -> str:
    leave = f", or leave it out with `exclude={[folder]!r}`" if folder else ""
    path = os.path.join(root, folder) if folder else root
    return f"{path} is a {known.name}, which is not read; {known.way_out}{leave}"


def _refusal(root: str, folder: str, marker: str, known: Known, *, in_place: bool) -> str:
    take = f", or take its files as they lie, with `exclude={[marker]!r}`"
    path = os.path.join(root, folder) if folder else root
    return (
        f"{path} is a {known.name}, whose log ({os.path.basename(marker)}) would become false; "
        f"{known.way_out}{'' if in_place else take}"
    )
