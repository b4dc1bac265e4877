"""Paths that stand for a stream: a named pipe, ``/dev/stdin``, what a shell makes of ``<(…)``.

:mod:`l2cli.io` and the command ask here whether a path can be read twice. Nothing here reads data.
"""

from __future__ import annotations

import os
import re
import stat
import weakref
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DESCRIPTORS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_NUMBERED = re.compile(r"/dev/fd/(\d{1,9})")


def is_stream(path: Path) -> bool:
    """Whether ``path`` is read or written front to back, and once."""
    if descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def descriptor(path: Path) -> int | None:
    """Return the open file that ``path`` is a name of, ``None`` where it is no such name.

    It may be a regular file. Where that is read or written goes on from where it is.
    """
    numbered = _NUMBERED.fullmatch(str(path))
    return int(numbered[1]) if numbered else _DESCRIPTORS.get(str(path))


def open_input(path: Path) -> IO[bytes]:
    """Open such a stream to read it, unbuffered. Of a named pipe, that waits for its writer.

    It is closed when nobody has it any more: who reads it may still wait for more.
    """
    number = _open(path, os.O_RDONLY)
    stream = os.fdopen(number, "rb", buffering=0, closefd=False)
    weakref.finalize(stream, os.close, number)
    return stream


def open_output(path: Path) -> IO[bytes]:
    """Open such a stream to write it. Of a named pipe, that waits for its reader."""
    return os.fdopen(_open(path, os.O_WRONLY), "wb")


def _open(path: Path, flags: int) -> int:
    number = descriptor(path)
    return os.open(path, flags) if number is None else os.dup(number)
