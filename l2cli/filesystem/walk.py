"""The files of a folder, in natural order, without ever leaving it.

Hidden files and folders are left out unless an ``include`` glob names them by their dot. A
symbolic link to a file or folder inside is a link in the result too. One to a file outside is
read as that file. One to a folder outside is not followed. Stores and ``check`` list folders with
it; it knows nothing of formats and opens no file.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from l2cli.errors import reason
from l2cli.filesystem.siblings import TOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file.

    Attributes
    ----------
    name : str
        Its path in the folder, with ``/``.
    path : str
        Where it is.
    num_bytes, mtime_ns : int
        Its size and time of change; those of what it leads to, where it is a link.
    link : str
        For a link to something in the folder, the path it leads to from where it stands.
    outside : bool
        Whether it is a link to a file outside.
    """

    name: str
    path: str
    num_bytes: int
    mtime_ns: int
    link: str = ""
    outside: bool = False


@dataclass
class Listing:
    """What was found in a folder.

    Attributes
    ----------
    files : list of FoundFile
        In natural order: 0, 1, 2, 10.
    folders : list of str
        Every folder in it, parents first.
    failures : list of (str, str)
        Name and message of each folder that couldn't be read.
    left_out : dict of str to list of str
        What was left out, by reason.
    """

    files: list[FoundFile] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What was left out and why, a line each."""
        return [
            f"left out {len(names):,} {reason}: {', '.join(names[:3])}"
            + (" …" if len(names) > 3 else "")
            for reason, names in self.left_out.items()
        ]


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Return a sort key by which ``x10`` comes after ``x9``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name


def list_folder(folder: str, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Listing:
    """Return the files in ``folder`` and the folders below it.

    Parameters
    ----------
    include, exclude : sequence of str
        Globs of paths in the folder; ``*`` spans ``/``. A glob that matches a folder matches
        all that is in it. Nothing given to ``include`` includes everything.
    """
    walk = _Walk(os.path.realpath(folder), include, exclude)
    walk.visit("")
    walk.sort_out_links()
    return walk.listing


class _Walk:
    def __init__(self, root: str, include: Sequence[str], exclude: Sequence[str]) -> None:
        self.listing = Listing()
        self._root = root
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._hidden = tuple(pattern for pattern in include if _is_hidden(pattern))

    def visit(self, folder: str) -> None:
        """Take in what is in ``folder``, a path below the root that ends in ``/`` or is empty."""
        try:
            with os.scandir(f"{self._root}/{folder}") as entries:
                in_order = sorted(entries, key=lambda entry: natural_key(entry.name))
        except OSError as exc:
            name = folder.rstrip("/") or "."
            self.listing.failures.append((name, f"can't be read: {reason(exc)}"))
            return
        for entry in in_order:
            if not entry.name.startswith(TOOL_PREFIX):
                self._take(entry, folder + entry.name)

    def sort_out_links(self) -> None:
        """Keep links whose target is kept too; read through the others, where they are files."""
        if not any(file.link for file in self.listing.files):
            return
        names = {file.name for file in self.listing.files} | set(self.listing.folders)
        kept = []
        for file in self.listing.files:
            target = os.path.normpath(os.path.join(os.path.dirname(file.name), file.link))
            if not file.link or target in names:
                kept.append(file)
            elif os.path.isfile(file.path):
                kept.append(FoundFile(file.name, file.path, file.num_bytes, file.mtime_ns))
            else:
                self._leave_out("links to folders that are left out", file.name)
        self.listing.files = kept

    def _take(self, entry: os.DirEntry[str], name: str) -> None:
        if matches(name, self._exclude):
            return
        if entry.is_dir(follow_symlinks=False):
            if entry.name.startswith(".") and not self._hidden:
                self._leave_out("hidden", name)
                return
            self.listing.folders.append(name)
            self.visit(f"{name}/")
        elif _is_hidden(name) and not matches(name, self._hidden):
            self._leave_out("hidden", name)
        elif not self._include or matches(name, self._include):
            self._take_file(entry, name)

    def _take_file(self, entry: os.DirEntry[str], name: str) -> None:
        try:
            status = entry.stat()
        except OSError:
            self._leave_out("links that lead nowhere", name)
            return
        link, outside = "", False
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            outside = not target.startswith(f"{self._root}/")
            link = "" if outside else os.path.relpath(target, os.path.dirname(entry.path))
        if stat.S_ISDIR(status.st_mode) and outside:
            self._leave_out("links to folders outside", name)
        elif not stat.S_ISREG(status.st_mode) and not link:
            self._leave_out("neither file nor folder", name)
        else:
            file = FoundFile(name, entry.path, status.st_size, status.st_mtime_ns, link, outside)
            self.listing.files.append(file)

    def _leave_out(self, reason: str, name: str) -> None:
        self.listing.left_out.setdefault(reason, []).append(name)


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of some globs matches a path in a folder, or a folder that it is in."""
    if not patterns:
        return False
    return any(
        fnmatchcase(candidate, spelling)
        for candidate in _with_parents(name)
        for pattern in patterns
        for spelling in {pattern.rstrip("/"), pattern.rstrip("/").removeprefix("**/")}
    )


def _with_parents(name: str) -> Iterator[str]:
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
