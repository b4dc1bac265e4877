"""Rows as bytes at a position in a file: read and written there, by any thread.

The formats that know where their rows lie use it; it knows nothing of formats. It uses ``pread``
and ``pwrite`` into one's own memory, not a memory map: mapped pages count as the process's
memory, and a truncated file would end the process, not raise an error.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import FormatError

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

_BLOCK_BYTES = 2**20


def byte_view(array: Array) -> memoryview:
    """Return the bytes of a contiguous array."""
    # By way of uint8: memoryview knows neither bfloat16 nor float16's format everywhere.
    return array.reshape(-1).view(np.uint8).data


def read_exactly(file: int, array: Array, position: int, label: str) -> None:
    """Fill a contiguous ``array`` with what lies from byte ``position`` of ``file`` on.

    Raises
    ------
    FormatError
        Where the file, which messages call ``label``, ends before.
    """
    buffer = byte_view(array)
    while buffer:
        count = os.preadv(file, [buffer], position)
        if not count:
            raise FormatError(f"{label} became shorter while it was read; start again")
        buffer, position = buffer[count:], position + count


def write_fully(file: int, array: Array, position: int) -> None:
    """Write a contiguous ``array`` from byte ``position`` of ``file`` on."""
    buffer = byte_view(array)
    while buffer:
        count = os.pwrite(file, buffer, position)
        buffer, position = buffer[count:], position + count


def copy_range(source: int, target: IO[bytes], start: int, stop: int, label: str) -> None:
    """Copy the bytes from ``start`` to ``stop`` of a file to where ``target`` stands.

    Parameters
    ----------
    label : str
        As for :func:`read_exactly`.
    """
    block = np.empty(min(_BLOCK_BYTES, stop - start), np.uint8)
    for position in range(start, stop, _BLOCK_BYTES):
        piece = block[: stop - position]
        read_exactly(source, piece, position, label)
        target.write(byte_view(piece))
