"""Windows: some rows of an array in a table as Arrow holds them, as NumPy arrays, and back.

A window is what one call of pyarrow yields and what is encoded at once. Its size depends on
the file alone, so that the bytes written do not depend on the size of the batches. NumPy has
neither nulls nor lists of different lengths. So a window is taken apart into *parts*, in each
of which all rows have the same length, and is put together again from the same parts.

A row is left out of the parts, and comes through as it was, where it is null, where it has no
component, and where all its components are null. Where only some are null they are NaN in the
part, and null again in the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.arrays import Batch, windows
from l2cli.formats.tabular.types import ARROW_TYPES, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.arrays import ArraySpec

ArrowArray = Any
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """Rows of one shape.

    Attributes
    ----------
    index : ndarray
        Which ones of the window they are, in order; the same one more than once where each of
        its vectors is a row here.
    rows : ndarray
        Their components.
    incomplete : ndarray or None
        Which of them have null components; ``None`` where none has.
    """

    index: Array
    rows: Array
    incomplete: Array | None = None


@dataclass(frozen=True)
class Piece:
    """What one batch has of a window: some rows of one of its parts."""

    window: Window
    part: int
    start: int
    stop: int
    is_last: bool

    @property
    def index(self) -> Array:
        """Which rows of the window they are."""
        return self.window.parts[self.part].index[self.start : self.stop]

    @property
    def rows(self) -> Array:
        """The rows."""
        return self.window.parts[self.part].rows[self.start : self.stop]

    def batch(self, spec: ArraySpec, first_row: int, context: Any) -> Batch:
        """Return the batch, where ``first_row`` is the row number of the window's first row."""
        index, num_null = self.index, self.window.num_null
        is_dense = bool((np.diff(index) == 1).all())
        incomplete = self.window.parts[self.part].incomplete
        is_first = self.part == self.start == 0
        return Batch(
            array=spec,
            rows=_shaped(self.rows, spec),
            start=first_row + int(index[0]) if len(index) else first_row,
            row_numbers=None if is_dense else index + first_row,
            num_null=num_null if is_first else 0,
            first_null=first_row + self.window.first_null if num_null else None,
            incomplete=None if incomplete is None else incomplete[self.start : self.stop],
            context=context,
        )


class Window(ABC):
    """Some rows of one array.

    Attributes
    ----------
    num_rows : int
        Rows, with those that are left out of the parts.
    """

    num_rows: int

    @property
    @abstractmethod
    def is_dense(self) -> bool:
        """Whether there is a row, all are in one part, and no component is null."""

    @property
    @abstractmethod
    def parts(self) -> list[Part]:
        """The rows by length, in order of first appearance; an empty part where there is none."""

    @abstractmethod
    def rebuild(self, results: Sequence[Array], dtype: str, length: int | None) -> list[ArrowArray]:
        """Return the Arrow columns with new rows in place of those of the parts.

        Parameters
        ----------
        results : sequence of ndarray
            For each part its new rows.
        dtype : str
            Of the new rows.
        length : int or None
            Where rows were cut, how many components are left of each.
        """

    @cached_property
    def num_null(self) -> int:
        """How many rows are in no part."""
        return int(self._missing().sum())

    @cached_property
    def first_null(self) -> int:
        """Which row is the first in no part; there must be one."""
        return int(self._missing().argmax())

    def pieces(self, batch_size: int | None) -> list[Piece]:
        """Cut the parts up into batches of ``batch_size`` rows at most."""
        cuts = []
        for number, part in enumerate(self.parts):
            num_rows = len(part.index)
            ranges = list(windows(num_rows, batch_size or max(1, num_rows))) or [(0, 0)]
            cuts += [(number, start, stop) for start, stop in ranges]
        return [Piece(self, *cut, is_last=cut == cuts[-1]) for cut in cuts]

    def _missing(self) -> Array:
        missing = np.ones(self.num_rows, bool)
        for part in self.parts:
            missing[part.index] = False
        return missing


class WideWindow(Window):
    """Rows whose components stand in a column each.

    Parameters
    ----------
    columns : sequence of ArrowArray
        One primitive array per component.
    """

    def __init__(self, columns: Sequence[ArrowArray]) -> None:
        self.num_rows = len(columns[0])
        self._columns = columns
        self._valid = [validity(column) for column in columns]

    @property
    def is_dense(self) -> bool:
        """No: their components don't lie together."""
        return False

    @cached_property
    def parts(self) -> list[Part]:
        """The rows that have any component, as one part."""
        dtype = NUMBERS[self._columns[0].type]
        rows = np.empty((self.num_rows, len(self._columns)), dtype)
        live = np.zeros(self.num_rows, bool)
        for number, (column, valid) in enumerate(zip(self._columns, self._valid, strict=True)):
            rows[:, number] = numbers_of(column)
            if valid is None:
                live[:] = True
            else:
                rows[~valid, number] = np.nan
                live |= valid
        index = np.flatnonzero(live)
        nulls = [~valid for valid in self._valid if valid is not None]
        incomplete = np.any(nulls, axis=0)[index] if nulls else None
        return [Part(index, rows if len(index) == self.num_rows else rows[index], incomplete)]

    def rebuild(self, results: Sequence[Array], dtype: str, length: int | None) -> list[ArrowArray]:
        """Return a column for each component. The writer refuses to cut these rows."""
        columns = []
        for number, valid in enumerate(self._valid):
            flat = np.zeros(self.num_rows, dtype)
            flat[self.parts[0].index] = results[0][:, number]
            columns.append(primitive_array(flat, valid))
        return columns


def _shaped(rows: Array, spec: ArraySpec) -> Array:
    """Return rows of the shape that the column's type says, if it says one."""
    shape = [length or 0 for length in spec.shape[1:]]
    if not len(rows):
        return np.empty((0, *shape), spec.dtype)
    return rows if rows.ndim == len(spec.shape) else rows.reshape(len(rows), *shape)


def primitive_array(numbers: Array, valid: Array | None) -> ArrowArray:
    """Return an Arrow array over ``numbers`` without copying them."""
    buffers = [bitmap_of(valid), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(ARROW_TYPES[numbers.dtype.name], len(numbers), buffers)


def bitmap_of(valid: Array | None) -> Any:
    """Return Arrow's buffer of what :func:`validity` returns."""
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def validity(array: ArrowArray) -> Array | None:
    """Return which slots are not null, ``None`` where all are."""
    if not array.null_count:
        return None
    valid: Array = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def numbers_of(array: ArrowArray) -> Array:
    """Return the slots of a primitive array without copying, whatever is in the null ones."""
    dtype = np.dtype(NUMBERS[array.type])
    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)
