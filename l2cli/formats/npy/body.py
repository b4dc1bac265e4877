"""The numbers behind an npy header, read and written by windows of rows, in either order.

The reader and the writer of ``.npy`` use it, and those of ``.npz`` for members in Fortran order.
The file must be seekable. Nothing here parses a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import empty_rows
from l2cli.filesystem.byte_ranges import read_exactly, write_fully

if TYPE_CHECKING:
    from l2cli.formats.npy.header import NpyHeader

    Array = np.ndarray[Any, Any]


def read_rows(
    file: int, header: NpyHeader, start: int, stop: int, label: str, position: int = 0
) -> Array:
    """Return rows ``start`` to ``stop`` in the machine's byte order, records as they are stored.

    Parameters
    ----------
    position : int
        Where the header begins in ``file``, in bytes.
    """
    dtype, row_shape = header.stored_dtype, header.shape[1:]
    if header.fortran_order:
        # Each component of a row is a run of its own: read as the transpose, row by row.
        runs = np.empty((*reversed(row_shape), stop - start), dtype)
        for offset, run in _runs(header, runs, start):
            read_exactly(file, run, position + offset, label)
        rows = _transposed(runs)
    else:
        rows = empty_rows((stop - start, *row_shape), dtype)
        offset = len(header.raw) + start * _row_bytes(header)
        read_exactly(file, rows, position + offset, label)
    return native(rows)


def native(rows: Array) -> Array:
    """Return ``rows`` in the machine's byte order, but for records, which stay as they are."""
    if rows.dtype.names is not None:
        return rows
    return rows.astype(rows.dtype.newbyteorder("="), copy=False)


def write_rows(file: int, header: NpyHeader, start: int, rows: Array, position: int = 0) -> None:
    """Write ``rows`` at row ``start``, in the byte order and the memory order of the header.

    Parameters
    ----------
    position : int
        As for :func:`read_rows`.
    """
    rows = rows.astype(header.stored_dtype, copy=False)
    if header.fortran_order:
        for offset, run in _runs(header, _transposed(rows), start):
            write_fully(file, run, position + offset)
    else:
        offset = len(header.raw) + start * _row_bytes(header)
        write_fully(file, np.ascontiguousarray(rows), position + offset)


def _transposed(array: Array) -> Array:
    """Return the transpose in C order. Of records, the bytes between their fields come along."""
    if array.dtype.names is None:
        return np.ascontiguousarray(array.T)
    return np.ascontiguousarray(array.view(f"V{array.dtype.itemsize}").T).view(array.dtype)


def _row_bytes(header: NpyHeader) -> int:
    return int(np.prod(header.shape[1:], dtype=np.int64)) * header.stored_dtype.itemsize


def _runs(header: NpyHeader, transpose: Array, start: int) -> list[tuple[int, Array]]:
    itemsize = header.stored_dtype.itemsize
    runs = transpose.reshape(-1, transpose.shape[-1])
    begin = len(header.raw) + start * itemsize
    stride = header.shape[0] * itemsize
    return [(begin + index * stride, run) for index, run in enumerate(runs)]
