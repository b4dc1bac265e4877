"""A file that appears whole or not at all: a temporary sibling, flushed, then renamed.

Every module that writes a file goes through :func:`replacing`. Temporary files and the messages
about what the system refuses to write lie here as well. Nothing here knows what a file holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import DestinationError, reason
from l2cli.filesystem.siblings import (
    clean_system_folder,
    sibling_path,
    system_folder,
    temporary_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTORS = Path("/proc/self/fd")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(destination: Path, *, like: Path | None, overwrite: bool) -> Iterator[Path]:
    """Yield an empty temporary sibling that becomes ``destination`` when the block ends.

    The sibling is flushed to disk and renamed, in one step. If the block raises, whatever it
    raises, the sibling is removed. A symbolic link at ``destination`` is followed.

    Parameters
    ----------
    like : Path or None
        The file whose permission bits a new destination gets, ``None`` for the usual ones; one
        that is replaced keeps its own.
    overwrite : bool
        Whether a destination that exists may be replaced.

    Raises
    ------
    DestinationError
        Where it exists already, isn't a regular file, or its folder can't be written to.
    """
    target = Path(os.path.realpath(destination))
    check_destination(destination, overwrite=overwrite)
    model = target if target.exists() else like
    with _sibling(target, destination) as sibling:
        yield sibling
        check_destination(destination, overwrite=overwrite)
        _publish(sibling, target, model)


def check_destination(destination: Path, *, overwrite: bool) -> None:
    """Raise ``DestinationError`` where :func:`replacing` would, without writing anything."""
    target = Path(os.path.realpath(destination))
    if os.path.isdir(target):
        raise DestinationError(f"{destination} is a folder, expected a file name")
    if os.path.lexists(target) and not os.path.isfile(target):
        raise DestinationError(f"{destination} is not a regular file; name one to write")
    if os.path.exists(target) and not overwrite:
        raise DestinationError(
            f"{destination} exists; replace it with `overwrite=True`, or name another"
        )
    check_parent(target, destination)


def check_parent(target: Path, destination: Path) -> None:
    """Raise ``DestinationError`` where nothing can be written beside ``target``.

    Parameters
    ----------
    destination : Path
        What the user calls it.
    """
    if not os.path.isdir(target.parent):
        raise DestinationError(f"{destination}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise DestinationError(f"{destination}: no permission to write in {target.parent}")


@contextlib.contextmanager
def temporary_file(*, named: bool = False) -> Iterator[Path]:
    """Yield an empty file, where the system keeps such, that is gone when the block has ended.

    Parameters
    ----------
    named : bool
        Whether its name has to stand in a folder. If not, then on Linux it doesn't, so that
        not even ``kill -9`` leaves the file behind. Else the next temporary file removes it.
    """
    if not named and _DESCRIPTORS.is_dir():
        import tempfile

        clean_system_folder()
        with tempfile.TemporaryFile() as file:
            yield _DESCRIPTORS / str(file.fileno())
        return
    with temporary_folder() as folder:
        path = folder / "file"
        path.touch()
        yield path


@contextlib.contextmanager
def write_errors(label: str, consequence: str = "nothing of it was left") -> Iterator[None]:
    """Name what the system refused to write; a pipe that nobody reads is left to the caller.

    Parameters
    ----------
    consequence : str
        What that means for it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise DestinationError(f"{label} can't be written: {reason(exc)}; {consequence}") from exc


@contextlib.contextmanager
def temporary_errors() -> Iterator[None]:
    """Say where it was that the system refused to write a temporary file."""
    try:
        yield
    except OSError as exc:
        raise DestinationError(
            f"a temporary file can't be written in {system_folder()}: {reason(exc)}; "
            "name a folder with more room in TMPDIR"
        ) from exc


def reserve(file: int, start: int, stop: int) -> None:
    """Let the file system find room for the bytes from ``start`` to ``stop``, if it knows how to.

    Raises
    ------
    OSError
        Where there isn't that much room.
    """
    import ctypes

    # Not os.posix_fallocate: where the file system can't, that writes to every block.
    allocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if allocate is None or start == stop:
        return
    extent = ctypes.c_int64(start), ctypes.c_int64(stop - start)
    if allocate(file, 0, *extent) and ctypes.get_errno() in _NO_ROOM:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def flush(file: Path) -> None:
    """Have the bytes of ``file`` reach the disk."""
    with file.open("rb") as written:
        os.fsync(written.fileno())


def flush_folder(folder: Path) -> None:
    """Have the names in ``folder`` reach the disk, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _sibling(target: Path, destination: Path) -> Iterator[Path]:
    """Yield an empty file beside ``target`` that is gone if the block raises.

    It stays open for writing while the block runs, which tells others that it isn't abandoned.
    """
    sibling, descriptor = _create_sibling(target, destination)
    try:
        yield sibling
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            sibling.unlink()
        raise
    finally:
        os.close(descriptor)


def _create_sibling(target: Path, destination: Path) -> tuple[Path, int]:
    while True:
        sibling = sibling_path(target)
        try:
            return sibling, os.open(sibling, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except FileExistsError:
            continue
        except OSError as exc:
            raise DestinationError(f"{destination} can't be written: {reason(exc)}") from exc


def _publish(sibling: Path, target: Path, model: Path | None) -> None:
    flush(sibling)
    if model == target:
        # Only root can keep a file somebody else's; for others the new file is their own.
        with contextlib.suppress(PermissionError):
            os.chown(sibling, target.stat().st_uid, target.stat().st_gid)
    sibling.chmod(_usual_mode() if model is None else stat.S_IMODE(model.stat().st_mode))
    sibling.replace(target)
    flush_folder(target.parent)


def _usual_mode() -> int:
    """Return the permission bits of a file that nothing is said about."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
