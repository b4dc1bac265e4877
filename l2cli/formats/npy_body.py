"""The numbers behind an npy header, by row windows, in a file that can be read anywhere.

Plain ``pread`` and ``pwrite`` into one's own memory, not a memory map: mapped pages count as
the process's memory, and a truncated file would end the process, not raise an error.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import FormatError

if TYPE_CHECKING:
    from l2cli.formats.npy_header import NpyHeader

    Array = np.ndarray[Any, Any]
_ALIGNMENT = 64
"""Bytes."""


def read_rows(file: int, header: NpyHeader, start: int, stop: int, label: str) -> Array:
    """Return rows ``start`` to ``stop`` in the machine's byte order.

    Parameters
    ----------
    file
        A descriptor whose first bytes are the header's.
    """
    dtype, row_shape = header.stored_dtype, header.shape[1:]
    if header.fortran_order:
        # Each component of a row is a run of its own: read as the transpose, row by row.
        runs = np.empty((*reversed(row_shape), stop - start), dtype)
        for position, run in _runs(header, runs, start):
            _read_exactly(file, run, position, label)
        rows = np.ascontiguousarray(runs.T)
    else:
        rows = empty_rows((stop - start, *row_shape), dtype)
        _read_exactly(file, rows, len(header.raw) + start * _row_bytes(header), label)
    return rows.astype(dtype.newbyteorder("="), copy=False)


def write_rows(file: int, header: NpyHeader, start: int, rows: Array) -> None:
    """Write ``rows`` at row ``start``, in the byte order and the memory order of the header."""
    rows = rows.astype(header.stored_dtype, copy=False)
    if header.fortran_order:
        for position, run in _runs(header, np.ascontiguousarray(rows.T), start):
            _write_fully(file, run, position)
    else:
        position = len(header.raw) + start * _row_bytes(header)
        _write_fully(file, np.ascontiguousarray(rows), position)


def empty_rows(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array to read into, aligned so that XLA on CPU takes it without a copy."""
    num_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(num_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + num_bytes].view(dtype).reshape(shape)


def byte_view(array: Array) -> memoryview:
    """Return the bytes of a contiguous array."""
    # By way of uint8: memoryview knows neither bfloat16 nor float16's format everywhere.
    return array.reshape(-1).view(np.uint8).data


def _row_bytes(header: NpyHeader) -> int:
    return int(np.prod(header.shape[1:], dtype=np.int64)) * header.stored_dtype.itemsize


def _runs(header: NpyHeader, transpose: Array, start: int) -> list[tuple[int, Array]]:
    itemsize = header.stored_dtype.itemsize
    runs = transpose.reshape(-1, transpose.shape[-1])
    begin = len(header.raw) + start * itemsize
    stride = header.shape[0] * itemsize
    return [(begin + index * stride, run) for index, run in enumerate(runs)]


def _read_exactly(file: int, array: Array, position: int, label: str) -> None:
    buffer = byte_view(array)
    while buffer:
        count = os.preadv(file, [buffer], position)
        if not count:
            raise FormatError(f"{label} became shorter while it was read; start again")
        buffer, position = buffer[count:], position + count


def _write_fully(file: int, array: Array, position: int) -> None:
    buffer = byte_view(array)
    while buffer:
        count = os.pwrite(file, buffer, position)
        buffer, position = buffer[count:], position + count
