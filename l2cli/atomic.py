"""A destination that appears whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_counter = itertools.count()


@contextlib.contextmanager
def replacing(destination: Path, *, like: Path | None, overwrite: bool) -> Iterator[Path]:
    """Yield an empty temporary sibling that becomes ``destination`` when the block ends.

    The sibling is flushed to disk and renamed, in one step. If the block raises, whatever it
    raises, the sibling is removed. A symbolic link at ``destination`` is followed.

    Parameters
    ----------
    like
        The file whose permission bits a new destination gets, ``None`` for the usual ones; one
        that is replaced keeps its own.
    overwrite
        Whether a destination that exists may be replaced.

    Raises
    ------
    DestinationError
        Where it exists already, isn't a regular file, or its folder can't be written to.
    """
    target = Path(os.path.realpath(destination))
    check_destination(destination, overwrite=overwrite)
    model = target if target.exists() else like
    sibling = _create_sibling(target, destination)
    try:
        yield sibling
        check_destination(destination, overwrite=overwrite)
        _publish(sibling, target, model)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            sibling.unlink()
        raise


def check_destination(destination: Path, *, overwrite: bool) -> None:
    """Raise ``DestinationError`` where :func:`replacing` would, without writing anything."""
    target = Path(os.path.realpath(destination))
    if target.is_dir():
        raise DestinationError(f"{destination} is a folder, expected a file name")
    if os.path.lexists(target) and not target.is_file():
        raise DestinationError(f"{destination} is not a regular file; name one to write")
    if target.exists() and not overwrite:
        raise DestinationError(
            f"{destination} exists; replace it with --overwrite, or name another with -o"
        )
    if not target.parent.is_dir():
        raise DestinationError(f"{destination}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise DestinationError(f"{destination}: no permission to write in {target.parent}")


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder, where the system keeps such, that is gone when the block has ended."""
    with tempfile.TemporaryDirectory(prefix=sibling_prefix(os.getpid())) as folder:
        yield Path(folder)


def sibling_prefix(pid: int) -> str:
    """Return what the names of process ``pid``'s temporary siblings begin with."""
    return f".l2norm-{pid}-"


def remove_siblings(folder: Path, pid: int) -> None:
    """Remove what process ``pid``, which is gone, left in ``folder`` and in temporary folders."""
    for sibling in folder.glob(f"{sibling_prefix(pid)}*"):
        sibling.unlink(missing_ok=True)
    for temporary in Path(tempfile.gettempdir()).glob(f"{sibling_prefix(pid)}*/"):
        shutil.rmtree(temporary, ignore_errors=True)


def is_running(pid: int) -> bool:
    """Whether process ``pid`` lives on this machine; one that nobody buried yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not os.path.isdir("/proc/self")
    return state not in "ZX"


def _create_sibling(target: Path, destination: Path) -> Path:
    while True:
        sibling = target.with_name(f"{sibling_prefix(os.getpid())}{next(_counter)}.tmp")
        try:
            os.close(os.open(sibling, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            continue
        except OSError as exc:
            raise DestinationError(f"{destination} can't be written: {exc.strerror}") from exc
        return sibling


def _publish(sibling: Path, target: Path, model: Path | None) -> None:
    with sibling.open("rb") as written:
        os.fsync(written.fileno())
    if model == target and hasattr(os, "chown"):
        # Only root can keep a file somebody else's; for others the new file is their own.
        with contextlib.suppress(PermissionError):
            os.chown(sibling, target.stat().st_uid, target.stat().st_gid)
    sibling.chmod(_usual_mode() if model is None else stat.S_IMODE(model.stat().st_mode))
    sibling.replace(target)
    _flush_folder(target.parent)


def _usual_mode() -> int:
    """Return the permission bits of a file that nothing is said about."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
