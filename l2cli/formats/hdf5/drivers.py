"""One file of a set: HDF5's drivers that store a file in several, named in its superblock.

The reader asks when HDF5 can't open a file, to say which driver it takes. It reads bytes, and
never asks HDF5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK_BYTES = 4096
"""Where the driver is named at the latest: in the superblock, or in the extension behind it."""

_SETS = {
    b"NCSAfami": (
        "it is one file of a set (HDF5's family driver), and the vectors may lie in any of them;"
        " `h5repart -family_to_single NAME%05d.h5 NEW.h5`, or h5repack, makes one file of them,"
        " where %05d stands for the number in their names; normalize that"
    ),
    b"NCSAmult": (
        "it is one file of a set (HDF5's multi or split driver), and the vectors lie in another;"
        " `h5repack NAME NEW.h5` makes one file of them, where NAME is what their names begin"
        " with, as far as it is the same; normalize that"
    ),
}


def set_of(path: Path) -> str:
    """Return what to say of a file that can't be opened alone; empty where it is no set's."""
    with path.open("rb") as file:
        start = file.read(_SUPERBLOCK_BYTES)
    if not start.startswith(_SIGNATURE):
        return ""
    return next((text for driver, text in _SETS.items() if driver in start), "")
