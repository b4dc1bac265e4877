"""The links of an HDF5 file: listed, removed, and made again to another object.

Everything here goes through h5py's low-level calls. The high-level ones open what a link leads
to, and that may be missing, in another file, or of a type that NumPy doesn't have.
"""

from __future__ import annotations

from typing import NamedTuple

import h5py
from h5py import h5d, h5f, h5g, h5l, h5o, h5p

from l2cli.formats.hdf5.errors import RAISED_BY_H5PY, translated


class Link(NamedTuple):
    """One link, by its path from the root.

    Attributes
    ----------
    path : bytes
        Without a leading slash, in the file's own bytes.
    link_type : int
        ``h5l.TYPE_HARD``, ``TYPE_SOFT``, ``TYPE_EXTERNAL``, or a number that a user defined.
    address : int
        Where the object is, if the link is a hard one; else without meaning.
    encoding : int
        The character set that the link's name is marked with.
    order : int
        Its position in the group's creation order, if the group keeps one; else without meaning.
    """

    path: bytes
    link_type: int
    address: int
    encoding: int
    order: int


def links(file: h5py.File) -> list[Link]:
    """Return every link of ``file``; a group that several lead to is entered once."""
    all_links: list[Link] = []

    def visit(path: bytes, info: h5l.LinkInfo) -> None:
        all_links.append(Link(path, info.type, info.u, info.cset, info.corder))

    try:
        file.id.links.visit(visit, info=True)
    except RAISED_BY_H5PY:
        return _links_past_damage(file)
    return all_links


def _links_past_damage(file: h5py.File) -> list[Link]:
    """Return the same of a file with an object that can't be opened, at which a visit ends.

    Raises
    ------
    FormatError
        Where the links of a group can't be read, since links that are missing would go unnoticed.
    """
    all_links: list[Link] = []
    waiting, entered = [b""], {address_of(file["/"].id)}
    while waiting:
        folder = waiting.pop()
        with translated(f"{file.filename}: the group '/{to_name(folder)}'"):
            inner = _links_in(h5g.open(file.id, b"/" + folder), folder and folder + b"/")
        all_links += inner
        for link in inner:
            if (
                link.link_type == h5l.TYPE_HARD
                and link.address not in entered
                and _is_group(file, link)
            ):
                entered.add(link.address)
                waiting.append(link.path)
    return all_links


def _links_in(group: h5g.GroupID, prefix: bytes) -> list[Link]:
    all_links: list[Link] = []

    def visit(name: bytes, info: h5l.LinkInfo) -> None:
        all_links.append(Link(prefix + name, info.type, info.u, info.cset, info.corder))

    group.links.iterate(visit, info=True)
    return all_links


def _is_group(file: h5py.File, link: Link) -> bool:
    try:
        return isinstance(h5o.open(file.id, link.path), h5g.GroupID)
    except RAISED_BY_H5PY:  # The reader lists it as an object that can't be read.
        return False


def objects(file: h5py.File) -> list[Link]:
    """Return the hard link nearest the root for each object of ``file`` but the root group."""
    hard = [link for link in links(file) if link.link_type == h5l.TYPE_HARD]
    hard.sort(key=lambda link: (link.path.count(b"/"), link.path))
    first: dict[int, Link] = {}
    for link in hard:
        first.setdefault(link.address, link)
    first.pop(address_of(file["/"].id), None)
    return list(first.values())


def names_by_address(file: h5py.File) -> dict[int, list[str]]:
    """Return, for each object, the paths of all hard and soft links that lead to it."""
    names: dict[int, list[str]] = {}
    for link in links(file):
        address = link.address if link.link_type == h5l.TYPE_HARD else _soft_target(file, link)
        if address is not None:
            names.setdefault(address, []).append(to_name(link.path))
    return names


def _soft_target(file: h5py.File, link: Link) -> int | None:
    """Return the address of what a soft link leads to, if that is in the same file."""
    if link.link_type != h5l.TYPE_SOFT:
        return None
    try:
        target = h5o.open(file.id, link.path)
        is_here = h5f.get_name(target) == h5f.get_name(file.id)
        return address_of(target) if is_here else None
    except RAISED_BY_H5PY:
        return None


def address_of(identifier: h5g.GroupID | h5d.DatasetID) -> int:
    """Return where in its file an open object is: two names of one object share it."""
    return int(h5o.get_info(identifier).addr)


def to_name(path: bytes) -> str:
    """Return a path as text; bytes that aren't UTF-8 survive the way back."""
    return path.decode("utf-8", "surrogateescape")


def to_path(name: str) -> bytes:
    """Return the bytes that :func:`to_name` made ``name`` of."""
    return name.encode("utf-8", "surrogateescape")


class LinkLocation(NamedTuple):
    """Where a link was: what is needed to put another one there.

    Attributes
    ----------
    later : list of bytes
        The links made after it in its group; none where the group keeps no such order.
    """

    link: Link
    later: list[bytes]


def unlink(file: h5py.File, taken: list[Link]) -> list[LinkLocation]:
    """Delete links, and return where they were, oldest first."""
    locations = [LinkLocation(link, _links_after(file, link)) for link in sorted(taken, key=_age)]
    for link in taken:
        group, leaf = _parent(file, link)
        group.unlink(leaf)
    return locations


def relink(file: h5py.File, location: LinkLocation, target: h5d.DatasetID) -> None:
    """Make a hard link to ``target``, at the old position in the group's creation order."""
    group, leaf = _parent(file, location.link)
    h5o.link(target, group, leaf, _named_in(location.link.encoding))
    for name in location.later:
        # Another link of the same dataset may not have been made again yet.
        if group.links.exists(name):
            _move_to_end(group, name)


def _age(link: Link) -> int:
    return link.order


def _parent(file: h5py.File, link: Link) -> tuple[h5g.GroupID, bytes]:
    folder, _, leaf = link.path.rpartition(b"/")
    return h5g.open(file.id, folder or b"/"), leaf


def _links_after(file: h5py.File, link: Link) -> list[bytes]:
    group, leaf = _parent(file, link)
    if not group.links.get_info(leaf).corder_valid:
        return []
    order: list[tuple[int, bytes]] = []

    def visit(name: bytes, info: h5l.LinkInfo) -> None:
        order.append((info.corder, name))

    group.links.iterate(visit, info=True)
    return [name for age, name in sorted(order) if age > link.order]


def _move_to_end(group: h5g.GroupID, name: bytes) -> None:
    """Give ``name`` the last position in the creation order, by renaming it and back."""
    info = group.links.get_info(name)
    if info.type not in (h5l.TYPE_HARD, h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL):
        return  # HDF5 moves user-defined links only where the user's code is loaded.
    properties = _named_in(info.cset)
    aside = b".l2norm-" + name
    group.links.move(name, group, aside, properties)
    group.links.move(aside, group, name, properties)


def _named_in(encoding: int) -> h5p.PropLCID:
    properties = h5p.create(h5p.LINK_CREATE)
    properties.set_char_encoding(encoding)
    return properties
