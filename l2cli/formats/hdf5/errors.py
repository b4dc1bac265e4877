"""The errors of HDF5 as errors of this library: one line that says what to do.

All modules of this package translate with it. ``formats/errors.py`` does the same for errors of
Python and the system, and comes after.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h5py

from l2cli.errors import DestinationError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

RAISED_BY_H5PY = (
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
    (
        r"(bad|wrong|unknown|incorrect)( \w+)* version( number)?( (for|in) [\w ]+)?"
        r"|version out of bounds|unknown object header status flag|unknown message"
        r"|invalid layout class",
        rf"HDF5 {h5py.version.hdf5_version}, which h5py uses here, doesn't know its format (\g<0>):"
        " it was written by a newer HDF5, or is damaged; upgrade h5py, or write it again with"
        " `h5repack --high=2 OLD NEW` where it was made",
    ),
    (
        r"cache image",
        "its metadata cache image, which its last writer left, is damaged;"
        " `h5clear -m FILE` removes it, on a copy of the file",
    ),
    (r"invalid dataset size", "its bytes don't fit into the file, which is damaged or cut off"),
    (r"required filter '([^']*)' is not registered", r"the HDF5 filter '\1' isn't installed"),
    (r"error message = '([^']*)'", r"\1"),
)

_DAMAGED = re.compile(
    r"\b(bad|wrong|incorrect|corrupt\w*|invalid|checksum|signature|ran off|not aligned|heap|"
    r"out of bounds|out of range|beyond|past (the )?end|exceeds|overlap\w*|unable to decode|"
    r"addr(ess)? overflow|temporary file space|truncated|unusually large|during read|"
    r"unknown|undefined|not found|doesn't exist|greater than|B-tree|H5DSiterate\w*|"
    r"constant message|(unable to|can't) (open|read|get))\b",
    re.IGNORECASE,
)
"""What HDF5 says of what it reads, and not of what it writes."""


def explain(exc: BaseException) -> str:
    """Return what ``exc`` says, in one line and in words that help."""
    return _known(exc) or _text(exc)


def diagnose(exc: BaseException) -> str:
    """Return what ``exc``, met while something was read, says of it, and what to do."""
    return _known(exc) or f"it is damaged ({_reason(exc)}); fetch or write the file again"


@contextmanager
def translated(subject: object) -> Iterator[None]:
    """Raise what h5py raises while it reads as an error of the source, led by ``subject``."""
    try:
        yield
    except RAISED_BY_H5PY as exc:
        raise FormatError(f"{subject}: {diagnose(exc)}") from exc


@contextmanager
def writing(subject: object, source: object = "") -> Iterator[None]:
    """Raise what h5py raises while it writes as an error of the destination, led by ``subject``.

    Parameters
    ----------
    source : object
        What the destination begins as a copy of: damage is its own.
    """
    try:
        yield
    except RAISED_BY_H5PY as exc:
        if source and _DAMAGED.search(_text(exc)) and not _is_of_the_system(exc):
            raise FormatError(f"{source}: {diagnose(exc)}") from exc
        raise DestinationError(f"{subject}: {explain(exc)}") from exc


def _known(exc: BaseException) -> str:
    if isinstance(exc, MemoryError):
        return "not enough memory; a smaller batch size may help"
    for pattern, sentence in _KNOWN:
        if match := re.search(pattern, _text(exc), re.IGNORECASE):
            return match.expand(sentence)
    return ""


def _text(exc: BaseException) -> str:
    text = " ".join(str(exc.args[0] if isinstance(exc, KeyError) and exc.args else exc).split())
    return text or type(exc).__name__


def _reason(exc: BaseException) -> str:
    """Return the reason that HDF5 gives, without what it was about to do."""
    match = re.fullmatch(r"(?:Unable to|Can't|Link) [^()]*\((.*)\)", _text(exc))
    return match[1] if match else _text(exc)


def _is_of_the_system(exc: BaseException) -> bool:
    return "error message = '" in _text(exc) or (isinstance(exc, OSError) and bool(exc.errno))
