"""Links that lead out of a file, or nowhere, described as arrays of the file.

The reader lists them, so that an embedding behind such a link is not overlooked.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from h5py import h5d, h5f, h5l, h5o

from l2cli.arrays import ArraySpec
from l2cli.formats.hdf5.describe import describe
from l2cli.formats.hdf5.errors import RAISED_BY_H5PY, diagnose
from l2cli.formats.hdf5.foreign import external_refusal
from l2cli.formats.hdf5.links import to_name

if TYPE_CHECKING:
    import h5py

    from l2cli.formats.hdf5.links import Link


def describe_link(file: h5py.File, link: Link, *, allow_external: bool) -> ArraySpec | None:
    """Return what a link that isn't a hard one leads to; ``None`` for an object of ``file``.

    Parameters
    ----------
    allow_external : bool
        Whether rows may be read from other files.
    """
    if link.link_type == h5l.TYPE_EXTERNAL:
        return _describe_external(file, link, allow_external=allow_external)
    if link.link_type == h5l.TYPE_SOFT:
        return _describe_soft(file, link, allow_external=allow_external)
    refusal = f"only the program that made this link (of type {link.link_type}) can follow it"
    return _unread(link, "user-defined link", "", refusal)


def is_elsewhere(dataset: h5d.DatasetID, file: h5py.File) -> bool:
    """Return whether an open dataset is in another file than ``file``."""
    return bool(h5f.get_name(dataset) != h5f.get_name(file.id))


def _describe_external(file: h5py.File, link: Link, *, allow_external: bool) -> ArraySpec:
    file_name, target = map(to_name, file.id.links.get_val(link.path))
    layout = f"→ {file_name}:{target}"
    if not allow_external:
        return _unread(link, "external link", layout, external_refusal(file_name))
    return _follow(file, link, "external link", layout)


def _describe_soft(file: h5py.File, link: Link, *, allow_external: bool) -> ArraySpec | None:
    target_name = to_name(file.id.links.get_val(link.path))
    layout = f"→ {target_name}"
    try:
        target = h5o.open(file.id, link.path)
    except RAISED_BY_H5PY:
        refusal = f"it leads nowhere: '{target_name}' isn't there, or can't be opened"
        return _unread(link, "soft link", layout, refusal)
    if not is_elsewhere(target, file):
        return None
    if not allow_external:
        name = os.fsdecode(h5f.get_name(target))
        return _unread(link, "soft link", layout, external_refusal(name))
    return _follow(file, link, "soft link", layout)


def _follow(file: h5py.File, link: Link, what: str, layout: str) -> ArraySpec:
    """Describe what a link leads to in another file."""
    try:
        target = h5o.open(file.id, link.path)
        if not isinstance(target, h5d.DatasetID):
            refusal = "it leads to a group of another file; normalize that file"
            return _unread(link, what, layout, refusal)
        path = Path(os.fsdecode(h5f.get_name(target)))
        # What HDF5 finds beside the file it calls by its whole path.
        prefixes = [one for one in os.environ.get("HDF5_EXT_PREFIX", "").split(":") if one]
        if not path.is_absolute() and all(map(os.path.isabs, prefixes)):
            return _unread(link, what, layout, _missing(path, Path(os.fsdecode(file.filename))))
        array = describe(target, to_name(link.path), path, allow_external=True)
    except RAISED_BY_H5PY as exc:
        return _unread(link, what, layout, f"it leads nowhere ({diagnose(exc)})")
    return replace(array, layout=f"{layout}, {array.layout}")


def _unread(link: Link, what: str, layout: str, refusal: str) -> ArraySpec:
    return ArraySpec(to_name(link.path), (), what, layout, refusal, may_be_vectors=True)


def _missing(name: Path, path: Path) -> str:
    return (
        f"the file that it leads to is missing ({name}, looked for in "
        f"{os.path.abspath(path.parent)}; HDF5_EXT_PREFIX names another folder)"
    )
