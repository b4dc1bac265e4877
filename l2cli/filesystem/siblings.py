"""Names of temporary files and folders: made here, read here, and removed here when abandoned.

A temporary sibling stands beside the file that it is to become, perhaps on a disk that several
machines share. So its name holds the machine, the process and its start time, and a random
part: ``.l2norm-HOST-PID-START-RANDOM``. No other module spells or parses such names. Nothing
here knows what the files hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from l2cli.runtime.processes import host_name, is_running, own_start_time

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL_PREFIX = ".l2norm"
"""What the names of all files begin with that only l2norm uses: manifests, temporary files."""
LEASE_SECONDS = 24 * 3600
"""How long a temporary file of another machine is left alone after its last change.

Whether a process of another machine is alive can't be asked. Each write to a file renews its
lease, so one that is being written is never taken for abandoned.
"""
_NAME = re.compile(rf"{re.escape(TOOL_PREFIX)}-([^-]+)-([0-9]+)-([0-9]+)-")


class Owner(NamedTuple):
    """The process that made a temporary file.

    Attributes
    ----------
    host : str
        The machine, as :func:`host_label` has it.
    pid : int
        The process id on that machine.
    started : int
        When the process was started, in clock ticks since boot; 0 where that is not known.
    """

    host: str
    pid: int
    started: int


def host_label() -> str:
    """Return this machine's name as it stands in file names, without ``-`` and ``/``."""
    return re.sub(r"[^A-Za-z0-9._]", "_", host_name()) or "localhost"


def name_prefix(owner: Owner | None = None) -> str:
    """Return what the names of a process's temporary files begin with; of this process, if None."""
    host, pid, started = owner or Owner(host_label(), os.getpid(), own_start_time())
    return f"{TOOL_PREFIX}-{host}-{pid}-{started}-"


def sibling_path(path: Path, label: str = "tmp") -> Path:
    """Return a new name beside ``path`` that no process on any machine uses.

    Parameters
    ----------
    path : Path
        The file that the sibling is to become.
    label : str
        What the sibling is for; its name ends in it.
    """
    return path.with_name(f"{name_prefix()}{os.urandom(6).hex()}.{label}")


def owner_of(name: str) -> Owner | None:
    """Return the process that made a temporary file, by its name; ``None`` for another file."""
    match = _NAME.match(name)
    return Owner(match[1], int(match[2]), int(match[3])) if match else None


def is_abandoned(path: str | Path) -> bool:
    """Whether this is a temporary file or folder whose process is gone.

    One that another machine made is abandoned when its lease has run out.
    """
    owner = owner_of(os.path.basename(path))
    if owner is None:
        return False
    if owner.host == host_label():
        return not is_running(owner.pid, owner.started)
    return time.time() - _last_change(Path(path)) > LEASE_SECONDS


def remove_siblings(folder: Path, pid: int) -> None:
    """Remove the temporary files of a process of this machine, which is gone.

    Parameters
    ----------
    folder : Path
        Where it wrote. The folder of the system's temporary files is cleaned as well.
    pid : int
        The process.
    """
    host = host_label()
    for parent in (folder, Path(system_folder())):
        for path in parent.glob(f"{TOOL_PREFIX}-*"):
            owner = owner_of(path.name)
            if owner is None or (owner.host, owner.pid) != (host, pid):
                continue
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                path.unlink(missing_ok=True)


def remove_abandoned(folder: str | Path, *, is_exclusive: bool = False) -> None:
    """Remove what killed processes of this user left in ``folder``.

    A process that seems gone may be alive in another container. So nothing is removed that is
    locked, as :func:`temporary_folder` is, or open for writing, as a sibling is.

    Parameters
    ----------
    folder : str or Path
        The folder; those below it are not looked into.
    is_exclusive : bool
        Whether the caller keeps every other process of this machine out of the folder, so that
        no file in it can be in use. Not every file system can say whether one is.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if owner_of(entry.name) and _is_this_users(entry) and is_abandoned(entry.path):
                    _remove_unused(entry, is_exclusive=is_exclusive)


@contextlib.contextmanager
def temporary_folder(parent: str | Path | None = None, label: str = "") -> Iterator[Path]:
    """Yield an empty folder, locked, that is gone when the block has ended.

    Parameters
    ----------
    parent : str or Path, optional
        The folder that it is made in; by default where the system keeps temporary files.
    label : str
        What its name has in front of its random part.
    """
    import tempfile

    if parent is None:
        clean_system_folder()
    with (
        tempfile.TemporaryDirectory(
            dir=parent, prefix=name_prefix() + label, ignore_cleanup_errors=True
        ) as folder,
        _locked(folder),
    ):
        yield Path(folder)


def clean_system_folder() -> None:
    """Remove what is abandoned where the system keeps temporary files, once in a process."""
    _clean_once(system_folder())


def system_folder() -> str:
    """Return the folder where the system keeps temporary files."""
    import tempfile

    return tempfile.gettempdir()


@functools.cache
def _clean_once(folder: str) -> None:
    remove_abandoned(folder)


def _last_change(path: Path) -> float:
    """Return when a file, or anything in a folder, changed last, in seconds since the epoch.

    The time of change of the inode: unlike the time of modification, no program can set it back.
    """
    times = [path.lstat().st_ctime]
    if path.is_dir() and not path.is_symlink():
        for inner in path.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                times.append(inner.lstat().st_ctime)
    return max(times)


def _is_this_users(entry: os.DirEntry[str]) -> bool:
    return entry.stat(follow_symlinks=False).st_uid == os.geteuid()


def _remove_unused(entry: os.DirEntry[str], *, is_exclusive: bool) -> None:
    if entry.is_dir(follow_symlinks=False):
        with _locked(entry.path) as is_locked:
            if is_locked:
                _remove_tree(entry.path)
    elif is_exclusive or entry.is_symlink() or not _is_being_written(entry.path):
        os.unlink(entry.path)


def _remove_tree(folder: str | Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _is_being_written(path: str) -> bool:
    """Whether a process of this machine has a file open for writing; true in doubt."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False  # Not Linux: there are no containers, so its process is gone indeed.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[bool]:
    """Try to lock a folder while the block runs, and yield whether that worked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Another process has it, or the file system has no locks.
        is_locked = False
    else:
        is_locked = True
    try:
        yield is_locked
    finally:
        os.close(descriptor)
