"""What HDF5 complains about, in one line that says what to do."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from l2cli.errors import FormatError, L2NormError

if TYPE_CHECKING:
    from collections.abc import Iterator

_RAISED_BY_H5PY = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    EOFError,
    SystemError,
)
"""A damaged file may surface as any of these, whatever the function that met it."""

_KNOWN = (
    (
        r"truncated file: eof = (\d+), sblock->base_addr = (\d+), stored_eof = (\d+)",
        r"the file is cut off: it holds \1 bytes where its header promises \3;"
        " fetch or write it again",
    ),
    (
        r"file signature not found",
        "not an HDF5 file: no HDF5 signature was found; check its name and how it was fetched",
    ),
    (
        r"file is already open for write",
        "the file is marked as open for writing: its writer still runs or crashed;"
        " if none runs, `h5clear -s FILE` clears the mark",
    ),
    (
        r"unable to lock file.*?error message = '([^']*)'",
        r"the file can't be locked (\1): close the program that has it open, or, on a network"
        " disk without locks, set HDF5_USE_FILE_LOCKING=FALSE",
    ),
    (r"invalid dataset size", "its bytes don't fit into the file, which is damaged or cut off"),
    (r"required filter '([^']*)' is not registered", r"the HDF5 filter '\1' isn't installed"),
    (r"error message = '([^']*)'", r"\1"),
)


def explain(exc: BaseException) -> str:
    """Return what ``exc`` says, in one line and in words that help."""
    if isinstance(exc, MemoryError):
        return "not enough memory; a smaller batch size may help"
    text = " ".join(str(exc.args[0] if isinstance(exc, KeyError) else exc).split())
    for pattern, sentence in _KNOWN:
        if found := re.search(pattern, text):
            return found.expand(sentence)
    return text or type(exc).__name__


@contextmanager
def translated(subject: object, error: type[L2NormError] = FormatError) -> Iterator[None]:
    """Raise what h5py raises inside the block as ``error``, its message led by ``subject``."""
    try:
        yield
    except _RAISED_BY_H5PY as exc:
        raise error(f"{subject}: {explain(exc)}") from exc
