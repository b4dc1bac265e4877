"""Changing single bytes of an HDF5 file, as a newer HDF5 or a bad disk would have them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import h5py

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATASPACE, DATATYPE, FILL_VALUE, LAYOUT, PIPELINE, SYMBOL_TABLE = 1, 3, 5, 8, 11, 17
_PREFIX_BYTES = 16
"""Of an object header of version 1, before its messages."""


def address(path: Path, name: str) -> int:
    """Return where the object header of ``name`` begins."""
    with h5py.File(path) as file:
        return int(h5py.h5o.get_info(file[name].id).addr)


def patch(path: Path, position: int, raw: bytes) -> None:
    """Overwrite some bytes."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(raw)


def messages(path: Path, name: str) -> Iterator[tuple[int, int]]:
    """Yield the type of each message in a header of version 1, and where its content begins."""
    whole, start = path.read_bytes(), address(path, name)
    size = struct.unpack_from("<I", whole, start + 8)[0]
    position = start + _PREFIX_BYTES
    while position < start + _PREFIX_BYTES + size:
        message, length = struct.unpack_from("<HH", whole, position)
        yield message, position + 8
        position += 8 + length


def patch_message(path: Path, name: str, message: int, raw: bytes, offset: int = 0) -> None:
    """Overwrite the content of the first message of a type, from ``offset`` on."""
    position = next(start for result, start in messages(path, name) if result == message)
    patch(path, position + offset, raw)
