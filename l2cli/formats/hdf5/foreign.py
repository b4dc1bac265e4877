"""Rows that lie in other files: external storage and virtual datasets.

A relative name is meant from the folder of the file that it is in, for every command and from
every working directory. ``HDF5_EXTFILE_PREFIX`` and ``HDF5_VDS_PREFIX`` name other folders, as
they do for all of HDF5. By itself HDF5 looks for external storage in the working directory, and
for the sources of virtual datasets there too; what it doesn't find it reads as fill values.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
from h5py import h5d, h5f, h5o, h5p

from l2cli.formats.hdf5.links import to_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXTERNAL = "HDF5_EXTFILE_PREFIX"
_VIRTUAL = "HDF5_VDS_PREFIX"
_ORIGIN = "${ORIGIN}"
_MOST_NESTED = 8


def external_refusal(file_name: str) -> str:
    """Return the refusal of rows that lie in another file."""
    return f"it lies in another file ({file_name}); `allow_external=True` reads it"


def foreign_refusal(dataset: h5d.DatasetID, path: Path, *, allow_external: bool) -> str:
    """Return why rows that lie in other files can't be read; empty where they can."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.VIRTUAL and not properties.get_external_count():
        return ""
    if not allow_external:
        names = _foreign_files(dataset, path)
        return external_refusal(names[0]) if names else ""
    return next(_problems(dataset, path), "")


def access_properties() -> h5p.PropDAID:
    """Return the properties to open a dataset with, so that its rows are found."""
    properties = h5p.create(h5p.DATASET_ACCESS)
    # HDF5 read the environment when it was loaded, and a program may have set a variable since.
    properties.set_efile_prefix((os.environ.get(_EXTERNAL) or _ORIGIN).encode())
    properties.set_virtual_prefix((os.environ.get(_VIRTUAL) or _ORIGIN).encode())
    return properties


def _foreign_files(dataset: h5d.DatasetID, path: Path, depth: int = 0) -> list[str]:
    """Return the names of the other files that rows of ``dataset`` come from."""
    names = [name for name, _offset, _size in _raw_parts(dataset)]
    for file_name, inner in _virtual_sources(dataset):
        if not _is_same(file_name, path):
            names.append(file_name)
            continue
        # A source in the same file may be a link out of it, or lie outside itself.
        source = _opened(dataset, inner)
        if source is not None and h5o.get_info(source).fileno != h5o.get_info(dataset).fileno:
            names.append(inner)
        elif source is not None and depth < _MOST_NESTED:
            names += _foreign_files(source, path, depth + 1)
    return list(dict.fromkeys(names))


def _problems(dataset: h5d.DatasetID, path: Path, depth: int = 0) -> Iterator[str]:
    """Yield what HDF5 would not find, or find elsewhere, or read as fill values.

    Parameters
    ----------
    depth : int
        How many virtual datasets lead to this one.
    """
    yield from _raw_problems(dataset, path, depth)
    for file_name, inner in _virtual_sources(dataset):
        if _is_same(file_name, path):
            source = _opened(dataset, inner)
            if source is None and "%b" not in inner:
                yield f"a source of it is missing ('{inner}')"
            elif source is not None and depth < _MOST_NESTED:
                yield from _problems(source, path, depth + 1)
        else:
            yield from _source_problems(file_name, inner, path, depth)


def _raw_problems(dataset: h5d.DatasetID, path: Path, depth: int) -> Iterator[str]:
    parts = _raw_parts(dataset)
    left = math.prod(dataset.shape) * dataset.get_type().get_size() if parts else 0
    folder = _expanded(os.environ.get(_EXTERNAL) or _ORIGIN, path)
    for name, offset, size in parts:
        file, needed = folder / name, min(size, left)
        left -= needed
        if depth and not os.path.isabs(name):
            # HDF5 opens it by itself, and can't be told of the folder.
            yield (
                f"a source of it lies in another file ({name}), which HDF5 would look for in the "
                "working directory; take that source itself, or give the file its whole path"
            )
        elif not file.exists():
            yield _missing(name, folder, _EXTERNAL)
        elif file.stat().st_size < offset + needed:
            yield (
                f"the file that it lies in is cut off ({name}): it holds {file.stat().st_size} "
                f"bytes, expected {offset + needed}"
            )


def _source_problems(file_name: str, inner: str, path: Path, depth: int) -> Iterator[str]:
    """Yield what is wrong with a source in another file."""
    # printf's %b stands for 0, 1, 2 … as far as there are such files.
    is_series = "%b" in file_name or "%b" in inner
    name = file_name.replace("%b", "0")
    prefixes = [prefix for prefix in os.environ.get(_VIRTUAL, "").split(":") if prefix]
    paths = [_expanded(prefix, path) / name for prefix in (*prefixes, _ORIGIN)]
    file = next((path for path in paths if path.exists()), None)
    if file is None:
        yield _missing(name, paths[-1].parent, _VIRTUAL)
    elif not h5f.is_hdf5(os.fsencode(file)):
        yield f"the file that it lies in is no HDF5 file ({name})"
    elif not is_series:
        with h5py.File(file, "r") as opened:
            source = _opened(opened.id, inner)
            if source is None:
                yield f"a source of it is missing ('{inner}' in {name})"
            elif depth < _MOST_NESTED:
                yield from _problems(source, file, depth + 1)


def _missing(name: str, folder: Path, variable: str) -> str:
    return (
        f"the file that it lies in is missing ({name}, looked for in {folder}; {variable} names "
        "another folder)"
    )


def _raw_parts(dataset: h5d.DatasetID) -> list[tuple[str, int, int]]:
    """Return the name, offset and size of each piece of external storage, in bytes."""
    properties = dataset.get_create_plist()
    parts = map(properties.get_external, range(properties.get_external_count()))
    return [(os.fsdecode(name), offset, size) for name, offset, size in parts]


def _virtual_sources(dataset: h5d.DatasetID) -> list[tuple[str, str]]:
    """Return the file and the dataset of each source of a virtual dataset."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.VIRTUAL:
        return []
    return [
        (properties.get_virtual_filename(index), properties.get_virtual_dsetname(index))
        for index in range(properties.get_virtual_count())
    ]


def _is_same(file_name: str, path: Path) -> bool:
    return file_name == "." or (path.parent / file_name).resolve() == path.resolve()


def _opened(file: h5d.DatasetID | h5f.FileID, name: str) -> h5d.DatasetID | None:
    try:
        opened = h5o.open(file, b"/" + to_path(name).lstrip(b"/"))
    except (KeyError, RuntimeError, OSError):
        return None
    return opened if isinstance(opened, h5d.DatasetID) else None


def _expanded(prefix: str, path: Path) -> Path:
    """Return a folder as HDF5 takes it: of a file, where it says so."""
    if prefix.startswith(_ORIGIN):
        return Path(os.path.abspath(path.parent), prefix.removeprefix(_ORIGIN).lstrip("/"))
    return Path(prefix)
