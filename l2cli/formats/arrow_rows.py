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
from l2cli.formats.arrow_columns import ARROW_TYPES, NUMBERS, without_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.formats.arrow_columns import ArrowType

ArrowArray = Any
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """Rows of one length: which ones of the window, and their components."""

    index: Array
    rows: Array


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

    def batch(self, spec: ArraySpec, first_row: int, carry: Any) -> Batch:
        """Return the batch, where ``first_row`` is the row number of the window's first row."""
        index, num_null = self.index, self.window.num_null
        is_dense = len(index) == 0 or index[-1] - index[0] + 1 == len(index)
        is_first = self.part == self.start == 0
        return Batch(
            array=spec,
            rows=_shaped(self.rows, spec),
            start=first_row + int(index[0]) if len(index) else first_row,
            row_numbers=None if is_dense else index + first_row,
            num_null=num_null if is_first else 0,
            first_null=first_row + self.window.first_null if num_null else None,
            incomplete=None if self.window.incomplete is None else self.window.incomplete[index],
            carry=carry,
        )


class Window(ABC):
    """Some rows of one array.

    Attributes
    ----------
    num_rows
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

    @property
    @abstractmethod
    def incomplete(self) -> Array | None:
        """Which rows have null components; ``None`` where no component is null."""

    @abstractmethod
    def rebuild(self, results: Sequence[Array], dtype: str, length: int | None) -> list[ArrowArray]:
        """Return the Arrow columns with new rows in place of those of the parts.

        Parameters
        ----------
        results
            For each part its new rows.
        dtype
            Of the new rows.
        length
            Where rows were cut, how many components are left of each.
        """

    @property
    def num_null(self) -> int:
        """How many rows are in no part."""
        return self.num_rows - sum(len(part.index) for part in self.parts)

    @property
    def first_null(self) -> int:
        """Which row is the first in no part; there must be one."""
        missing = np.ones(self.num_rows, bool)
        for part in self.parts:
            missing[part.index] = False
        return int(missing.argmax())

    def pieces(self, batch_size: int | None) -> list[Piece]:
        """Cut the parts up into batches of ``batch_size`` rows at most."""
        cuts = []
        for number, part in enumerate(self.parts):
            num_rows = len(part.index)
            ranges = list(windows(num_rows, batch_size or max(1, num_rows))) or [(0, 0)]
            cuts += [(number, start, stop) for start, stop in ranges]
        return [Piece(self, *cut, is_last=cut == cuts[-1]) for cut in cuts]


class ListWindow(Window):
    """Rows of a list column.

    Parameters
    ----------
    array
        A list, list view or fixed_size_list array, whole or sliced.
    """

    def __init__(self, array: ArrowArray) -> None:
        array = array.cast(without_view(array.type))
        self.array = array
        self.num_rows = len(array)
        offsets = _offsets(array)
        # The children of a slice are those of the whole.
        self._values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        self._offsets = offsets - offsets[0]
        self._valid = _validity(array)
        self._components_valid = _validity(self._values)

    @property
    def is_dense(self) -> bool:
        """Whether there is a row, all are in one part, and no component is null."""
        return self._components_valid is None and 0 < self.num_rows == len(self.parts[0].index)

    @cached_property
    def parts(self) -> list[Part]:
        """The rows by length, in order of first appearance; an empty part where there is none."""
        flat = self._flat()
        live = np.flatnonzero(self._live)
        lengths = self._lengths[live]
        distinct, first = np.unique(lengths, return_index=True)
        parts = []
        for length in distinct[np.argsort(first)]:
            index = live if len(distinct) == 1 else live[lengths == length]
            parts.append(Part(index, _gather(flat, self._offsets[index], int(length))))
        return parts or [Part(live, np.empty((0, 0), flat.dtype))]

    def rebuild(self, results: Sequence[Array], dtype: str, length: int | None) -> list[ArrowArray]:
        """Return the one column with new rows in place of those of the parts."""
        lengths = self._lengths if length is None else np.minimum(self._lengths, length)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        if len(results) == 1 and len(self.parts[0].index) == self.num_rows:
            flat = np.ascontiguousarray(results[0], dtype).reshape(-1)
        else:
            flat = np.zeros(offsets[-1], dtype)
            for part, rows in zip(self.parts, results, strict=True):
                _scatter(flat, offsets[part.index], rows)
        valid = self._components_valid
        if valid is not None and length is not None:
            valid = valid[_ranges(self._offsets[:-1], lengths)]
        return [self._list_of(primitive_array(flat, valid), offsets)]

    @cached_property
    def incomplete(self) -> Array | None:
        """Which rows have null components; ``None`` where no component is null."""
        return None if self._components_valid is None else self._num_valid < self._lengths

    @cached_property
    def _lengths(self) -> Array:
        return np.diff(self._offsets)

    @cached_property
    def _num_valid(self) -> Array:
        """How many components of each row are not null."""
        if self._components_valid is None:
            return self._lengths
        counts = np.concatenate(([0], np.cumsum(self._components_valid)))
        return np.diff(counts[self._offsets])

    @cached_property
    def _live(self) -> Array:
        """Which rows are in a part."""
        live = self._num_valid > 0
        return live if self._valid is None else live & self._valid

    def _flat(self) -> Array:
        """Return all components, NaN where one is null."""
        flat = _numbers(self._values)
        valid = self._components_valid
        if valid is None:
            return flat
        if flat.dtype.kind == "f":
            return np.where(valid, flat, flat.dtype.type("nan"))
        live = np.flatnonzero(self._live)
        if not valid[_ranges(self._offsets[live], self._lengths[live])].all():
            raise ValueError("a list of integers has a null component, which can't become NaN")
        return flat

    def _list_of(self, values: ArrowArray, offsets: Array) -> ArrowArray:
        return _list_array(self.array.type, bitmap(self._valid), values, offsets)


class WideWindow(Window):
    """Rows whose components stand in a column each.

    Parameters
    ----------
    columns
        One primitive array per component.
    """

    def __init__(self, columns: Sequence[ArrowArray]) -> None:
        self.num_rows = len(columns[0])
        self._columns = columns
        self._valid = [_validity(column) for column in columns]

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
            rows[:, number] = _numbers(column)
            if valid is None:
                live[:] = True
            else:
                rows[~valid, number] = np.nan
                live |= valid
        index = np.flatnonzero(live)
        return [Part(index, rows if len(index) == self.num_rows else rows[index])]

    @cached_property
    def incomplete(self) -> Array | None:
        """Which rows have null components; ``None`` where no component is null."""
        incomplete = [~valid for valid in self._valid if valid is not None]
        return np.any(incomplete, axis=0) if incomplete else None

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
    return rows.reshape(len(rows), *shape) if len(shape) > 1 else rows


def primitive_array(numbers: Array, valid: Array | None) -> ArrowArray:
    """Return an Arrow array over ``numbers`` without copying them."""
    buffers = [bitmap(valid), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(ARROW_TYPES[numbers.dtype.name], len(numbers), buffers)


def list_array(rows: Array, arrow_type: ArrowType) -> ArrowArray:
    """Return ``(num_rows, dim)`` as lists without copying the numbers."""
    offsets = np.arange(len(rows) + 1) * rows.shape[1]
    return _list_array(arrow_type, None, primitive_array(rows.reshape(-1), None), offsets)


def _list_array(source: ArrowType, bitmap: Any, values: ArrowArray, offsets: Array) -> ArrowArray:
    """Return lists of the same kind as ``source``, with ``values`` cut at ``offsets``."""
    field = source.value_field.with_type(values.type)
    buffers, num_rows = [bitmap], len(offsets) - 1
    if pa.types.is_fixed_size_list(source):
        size = len(values) // num_rows if num_rows else source.list_size
        arrow_type = pa.list_(field, size)
    else:
        is_large = pa.types.is_large_list(source)
        arrow_type = pa.large_list(field) if is_large else pa.list_(field)
        buffers.append(pa.py_buffer(offsets.astype(np.int64 if is_large else np.int32)))
    return pa.Array.from_buffers(arrow_type, num_rows, buffers, children=[values])


def bitmap(valid: Array | None) -> Any:
    """Return Arrow's bits for which slots are not null; ``None`` where all are."""
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _validity(array: ArrowArray) -> Array | None:
    """Return which slots are not null, ``None`` where all are."""
    if not array.null_count:
        return None
    valid: Array = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _offsets(array: ArrowArray) -> Array:
    """Return where in ``array.values`` each row begins, and where the last one ends."""
    if pa.types.is_fixed_size_list(array.type):
        offsets: Array = (np.arange(len(array) + 1) + array.offset) * array.type.list_size
    elif len(array):
        offsets = array.offsets.to_numpy().astype(np.int64)
    else:
        offsets = np.zeros(1, np.int64)
    return offsets


def _numbers(array: ArrowArray) -> Array:
    """Return the slots of a primitive array without copying, whatever is in the null ones."""
    dtype = np.dtype(NUMBERS[array.type])
    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


def _gather(flat: Array, starts: Array, length: int) -> Array:
    """Return the runs of ``length`` at ``starts`` as rows: a view if they are back to back."""
    if (np.diff(starts) == length).all():
        return flat[starts[0] : starts[0] + len(starts) * length].reshape(-1, length)
    return flat[starts[:, None] + np.arange(length)]


def _scatter(flat: Array, starts: Array, rows: Array) -> None:
    """Put rows where :func:`_gather` would find them."""
    length = rows.shape[1]
    if not rows.size:
        return
    if (np.diff(starts) == length).all():
        flat[starts[0] : starts[0] + rows.size] = rows.reshape(-1)
    else:
        flat[starts[:, None] + np.arange(length)] = rows


def _ranges(starts: Array, lengths: Array) -> Array:
    """Return ``start, start + 1, …`` for each pair, one after the other."""
    before = np.cumsum(lengths) - lengths
    ranges: Array = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
    return ranges
