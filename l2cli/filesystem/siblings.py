"""Temporary siblings and folders: what they are called, and removing those of the killed."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_PREFIX = ".l2norm"
"""What the names of l2norm's own files begin with: manifest and temporary siblings."""
_PREFIX = f"{OWN_PREFIX}-"
_NAME = re.compile(rf"{re.escape(_PREFIX)}([0-9]+)-")


def sibling_prefix(pid: int) -> str:
    """Return what the names of process ``pid``'s temporary siblings begin with."""
    return f"{_PREFIX}{pid}-"


def remove_siblings(folder: Path, pid: int) -> None:
    """Remove what process ``pid``, which is gone, left in ``folder`` and in temporary folders."""
    for parent in (folder, Path(tempfile.gettempdir())):
        for left in parent.glob(f"{sibling_prefix(pid)}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def is_abandoned(name: str) -> bool:
    """Whether this is the name of a temporary sibling or folder whose process is gone."""
    match = _NAME.match(name)
    return match is not None and not is_running(int(match[1]))


def is_running(pid: int) -> bool:
    """Whether process ``pid`` lives on this machine; one that nobody buried yet does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not os.path.isdir("/proc/self")
    return state not in "ZX"


@functools.cache
def remove_abandoned(folder: str) -> None:
    """Remove what killed processes of this user left in ``folder``, once in a process's life.

    A process that seems gone may live in another container. So nothing is removed that is
    locked, as :func:`temporary_folder` is, or open for writing, as a sibling is.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if is_abandoned(entry.name) and _is_own(entry):
                    _remove_unused(entry)


@contextlib.contextmanager
def temporary_folder(parent: str | Path | None = None, label: str = "") -> Iterator[Path]:
    """Yield an empty folder, locked, that is gone when the block has ended.

    Parameters
    ----------
    parent
        The folder that it is made in; ``None`` for where the system keeps temporary files.
    label
        What its name has behind :func:`sibling_prefix`.
    """
    if parent is None:
        remove_abandoned(tempfile.gettempdir())
    prefix = sibling_prefix(os.getpid()) + label
    with (
        tempfile.TemporaryDirectory(
            dir=parent, prefix=prefix, ignore_cleanup_errors=True
        ) as folder,
        _locked(folder),
    ):
        yield Path(folder)


def _is_own(entry: os.DirEntry[str]) -> bool:
    return entry.stat(follow_symlinks=False).st_uid == os.geteuid()


def _remove_unused(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        with _locked(entry.path) as is_locked:
            if is_locked:
                shutil.rmtree(entry.path, ignore_errors=True)
    elif entry.is_file(follow_symlinks=False) and not _is_being_written(entry.path):
        os.unlink(entry.path)


def _is_being_written(path: str) -> bool:
    """Whether a process, in whatever container, has a file open for writing; true in doubt."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False  # There are no containers, so that its process is gone indeed.
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
    """Try to hold the lock of a folder while the block runs, and yield whether that worked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Another has it, or the file system has no locks.
        is_locked = False
    else:
        is_locked = True
    try:
        yield is_locked
    finally:
        os.close(descriptor)
