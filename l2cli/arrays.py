"""What an array in a container looks like, and the windows it is read in.

Readers describe their arrays with it, and everything that chooses, reads or writes arrays uses it.
It knows no format and reads nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from l2cli.dtypes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

BATCH_BYTES = 3 * 2**20
"""Bytes of one batch where the user names no ``batch_size``: larger ones fall out of cache."""

ITEM_SIZES = {name: dtype.itemsize for name, dtype in DTYPES.items()}
"""Bytes of one component, for each dtype that can be read."""

ALIGNMENT = 64
"""Bytes to which memory has to be aligned for XLA on CPU to use it as it is."""


@dataclass(frozen=True)
class ArraySpec:
    """One array in a container.

    Attributes
    ----------
    name : str
        The npz member, HDF5 path or Parquet column; empty for an ``.npy``, which holds one.
    shape : tuple of (int or None)
        ``(num_rows, ...)``. ``None`` for a length that differs from row to row.
    dtype : str
        ``float32``, ``bfloat16``, ``int64`` …, or the container's own word for another type.
    layout : str
        How it is stored, for people: byte order, chunks, codec.
    refusal : str
        Why it can't be normalized even if it is named; empty where it can.
    doubt : str
        Why it isn't taken unless it is named, as far as the format itself can tell: a search
        index, a part of a sparse matrix; empty where nothing speaks against it.
    may_be_vectors : bool
        Of one with a ``refusal``: whether it may hold the vectors all the same, whatever it is
        called. Nothing else is taken in its place, and its file doesn't count as one without
        vectors.
    reversed_by : str
        The language that stored its axes in reverse order, so that only a user knows along which
        one a vector lies; empty where none did.
    aliases : tuple of str
        Other names that lead to the same array.
    approximate_bytes : int
        Bytes of all rows, where ``shape`` doesn't tell.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    layout: str = ""
    refusal: str = ""
    doubt: str = ""
    may_be_vectors: bool = False
    reversed_by: str = ""
    aliases: tuple[str, ...] = ()
    approximate_bytes: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """All names that lead to the array, its own first."""
        return (self.name, *self.aliases)

    @property
    def label(self) -> str:
        """The name as messages show it."""
        return f"array '{self.name}'" if self.name else "array"

    @property
    def num_rows(self) -> int:
        """Length of the first axis; 0 for a scalar."""
        return (self.shape[0] if self.shape else None) or 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, 0 where the length differs from row to row."""
        return math.prod(length or 0 for length in self.shape[1:]) * ITEM_SIZES[self.dtype]

    @property
    def num_bytes(self) -> int:
        """Bytes of all rows, or about that where their lengths differ."""
        return self.approximate_bytes if None in self.shape else self.num_rows * self.row_bytes


@dataclass
class Batch:
    """Some rows of one array on their way through.

    Attributes
    ----------
    array : ArraySpec
        The array that the rows are of.
    rows : ndarray
        ``(batch_rows, ...)`` in the machine's byte order. Null rows are left out. Rows that are
        all alike may be one in memory (:func:`is_one_row`), and may not be written to.
    start : int
        The row number of ``rows[0]`` in the array.
    row_numbers : ndarray or None
        The row number of each row, where they are not consecutive.
    num_null : int
        How many null rows were left out.
    first_null : int or None
        The row number of the first of them.
    incomplete : ndarray or None
        Which rows have null components, which are NaN in them; ``None`` where none has.
    norms : ndarray or None
        Of rows that were normalized, the float64 norms that they had: of the shape of ``rows``
        without the axes that a vector lies along. ``None`` where they aren't kept.
    context : object
        What the format must hand from its reader to its writer.
    """

    array: ArraySpec
    rows: np.ndarray[Any, Any]
    start: int
    row_numbers: np.ndarray[Any, Any] | None = None
    num_null: int = 0
    first_null: int | None = None
    incomplete: np.ndarray[Any, Any] | None = None
    norms: np.ndarray[Any, Any] | None = None
    context: Any = field(default=None, repr=False)

    def row_number(self, index: int) -> int:
        """Return the row number in the array of ``rows[index]``."""
        return self.start + index if self.row_numbers is None else int(self.row_numbers[index])

    def is_incomplete(self, index: int) -> bool:
        """Return whether ``rows[index]`` has null components."""
        return self.incomplete is not None and bool(self.incomplete[index])


def is_one_row(rows: np.ndarray[Any, Any]) -> bool:
    """Return whether ``rows`` are one row in memory, many times over."""
    return len(rows) > 1 and rows.ndim > 1 and rows.strides[0] == 0


def rows_per_batch(array: ArraySpec, batch_size: int | None, multiple: int = 1) -> int:
    """Return how many rows of ``array`` a batch takes.

    Parameters
    ----------
    batch_size : int or None
        The user's wish in rows; ``None`` to fill :data:`BATCH_BYTES`.
    multiple : int
        A number of rows that the container stores together: the result is a multiple of it
        where a batch holds that many.
    """
    if batch_size is not None:
        return batch_size
    if 0 in array.shape[1:]:
        return max(1, array.num_rows)
    rows = max(1, BATCH_BYTES // max(ITEM_SIZES[array.dtype], array.row_bytes))
    return rows - rows % multiple if rows > multiple else rows


def empty_rows(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return an array to be filled, aligned so that XLA on CPU takes it without a copy."""
    import numpy as np

    num_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(num_bytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + num_bytes].view(dtype).reshape(shape)


def windows(num_rows: int, batch_rows: int) -> Iterator[tuple[int, int]]:
    """Yield ``(start, stop)`` over ``num_rows`` rows, ``batch_rows`` at a time."""
    for start in range(0, num_rows, batch_rows):
        yield start, min(start + batch_rows, num_rows)
