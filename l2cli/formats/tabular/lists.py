"""Windows of list columns: lists, large, of a fixed size, list views, and lists of lists.

Every list type comes down to components that lie end to end, and to offsets that say where a
row begins. So a row of lists of one length is a matrix, whose rows are the vectors. ``structs``
and the dense rows of Parquet use these windows; nothing here knows of files or names.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.errors import RowError
from l2cli.formats.tabular.rows import (
    Array,
    ArrowArray,
    Part,
    Window,
    bitmap_of,
    numbers_of,
    primitive_array,
    validity,
)
from l2cli.formats.tabular.types import is_large, is_list, is_view, list_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.tabular.types import ArrowType

_MOST_COMPONENTS = 2**31 - 1
"""What views of the same components may come to: no more fit the offsets of a list."""


def list_window(array: ArrowArray, parents_valid: Array | None = None) -> Window:
    """Return the window of a list column, whole or sliced.

    Parameters
    ----------
    parents_valid : ndarray or None
        Which rows are null because a struct around the list is; ``None`` where none is.
    """
    nested = is_list(array.type.value_type)
    return (NestedWindow if nested else ListWindow)(array, parents_valid)


class ListWindow(Window):
    """Rows of a list column, each a vector.

    Parameters
    ----------
    array : ArrowArray
    parents_valid : ndarray or None
        As for :func:`list_window`.
    """

    def __init__(self, array: ArrowArray, parents_valid: Array | None = None) -> None:
        self.num_rows = len(array)
        self._type = array.type
        self._valid = validity(array)
        self._parents_valid = parents_valid
        self._values, self._offsets = _flattened(array)
        self._components_valid = validity(self._values)

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
            rows = _gather(flat, self._offsets[index], int(length))
            parts.append(Part(index, rows, self._incomplete(index)))
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
        values = primitive_array(flat, valid)
        return [_list_array(self._type, bitmap_of(self._valid), values, offsets, length)]

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
        for valid in (self._valid, self._parents_valid):
            if valid is not None:
                live = live & valid
        return live

    def _incomplete(self, index: Array) -> Array | None:
        """Return which of some rows have null components."""
        if self._components_valid is None:
            return None
        incomplete: Array = (self._num_valid < self._lengths)[index]
        return incomplete

    def _flat(self) -> Array:
        """Return all components, NaN where one is null."""
        flat = numbers_of(self._values)
        valid = self._components_valid
        if valid is None:
            return flat
        if flat.dtype.kind == "f":
            return np.where(valid, flat, flat.dtype.type("nan"))
        live = np.flatnonzero(self._live)
        if not valid[_ranges(self._offsets[live], self._lengths[live])].all():
            raise RowError("a list of integers has a null component, which can't become NaN")
        return flat


class NestedWindow(Window):
    """Rows of a column of lists of lists: each inner list is a vector.

    Where all rows have as many vectors, of one length, a row is a matrix. Otherwise each vector
    is a row of one vector, whose number is that of the row that it is in.
    """

    def __init__(self, array: ArrowArray, parents_valid: Array | None = None) -> None:
        self.num_rows = len(array)
        self._type = array.type
        self._valid = validity(array)
        inner, self._offsets = _flattened(array)
        self._counts = np.diff(self._offsets)
        self._row_of = np.repeat(np.arange(self.num_rows), self._counts)
        live = np.ones(self.num_rows, bool)
        for valid in (self._valid, parents_valid):
            if valid is not None:
                live &= valid
        self._vectors = ListWindow(inner, live[self._row_of])

    @property
    def is_dense(self) -> bool:
        """No: its repetition levels are not those of a list."""
        return False

    @cached_property
    def parts(self) -> list[Part]:
        """The rows, or the vectors by length; an empty part where there is none."""
        vectors = self._vectors.parts
        index = np.unique(self._row_of[vectors[0].index])
        counts = self._counts[index]
        is_whole = len(vectors) == 1 and counts.sum() == len(vectors[0].index)
        if is_whole and len(set(counts.tolist())) == 1:
            return [self._matrices(vectors[0], index, int(counts[0]))]
        return [
            Part(self._row_of[part.index], part.rows[:, None], part.incomplete) for part in vectors
        ]

    def rebuild(self, results: Sequence[Array], dtype: str, length: int | None) -> list[ArrowArray]:
        """Return the one column with new vectors in place of those of the parts."""
        vectors = [
            rows.reshape(part.rows.shape)
            for part, rows in zip(self._vectors.parts, results, strict=True)
        ]
        (inner,) = self._vectors.rebuild(vectors, dtype, length)
        return [_list_array(self._type, bitmap_of(self._valid), inner, self._offsets)]

    @staticmethod
    def _matrices(vectors: Part, index: Array, count: int) -> Part:
        """Return vectors as rows, ``(num_rows, count, dim)``."""
        rows = vectors.rows.reshape(-1, count, vectors.rows.shape[1])
        if vectors.incomplete is None:
            return Part(index, rows)
        return Part(index, rows, np.any(vectors.incomplete.reshape(-1, count), axis=1))


def list_array(rows: Array, arrow_type: ArrowType) -> ArrowArray:
    """Return ``(num_rows, dim)`` as lists without copying the numbers."""
    offsets = np.arange(len(rows) + 1) * rows.shape[1]
    values = primitive_array(rows.reshape(-1), None)
    return _list_array(arrow_type, None, values, offsets, rows.shape[1])


def _list_array(
    source: ArrowType, bitmap: Any, values: ArrowArray, offsets: Array, length: int | None = None
) -> ArrowArray:
    """Return lists of the same kind as ``source``, with ``values`` cut at ``offsets``.

    Parameters
    ----------
    length : int or None
        Of each where they are of a fixed size, if that is another than before.
    """
    arrow_type = list_type(source, source.value_field.with_type(values.type), length)
    if pa.types.is_fixed_size_list(source):
        places = []
    elif is_view(source):
        places = [offsets[:-1], np.diff(offsets)]
    else:
        places = [offsets]
    dtype = np.int64 if is_large(source) else np.int32
    buffers = [bitmap, *(pa.py_buffer(place.astype(dtype)) for place in places)]
    return pa.Array.from_buffers(arrow_type, len(offsets) - 1, buffers, children=[values])


def _flattened(array: ArrowArray) -> tuple[ArrowArray, Array]:
    """Return the elements of the lists end to end, and where each list begins and the last ends."""
    elements = array.values  # Those of a slice are those of the whole.
    if pa.types.is_fixed_size_list(array.type):
        offsets: Array = (np.arange(len(array) + 1) + array.offset) * array.type.list_size
    elif is_view(array.type):
        return _flattened_views(array, elements)
    elif len(array):
        offsets = array.offsets.to_numpy().astype(np.int64)
    else:
        offsets = np.zeros(1, np.int64)
    return elements.slice(offsets[0], offsets[-1] - offsets[0]), offsets - offsets[0]


def _flattened_views(array: ArrowArray, elements: ArrowArray) -> tuple[ArrowArray, Array]:
    """Do as :func:`_flattened` for views, which may come in any order and overlap."""
    dtype = np.int64 if is_large(array.type) else np.int32
    starts, lengths = (
        np.frombuffer(buffer, dtype, len(array), array.offset * dtype(0).itemsize).astype(np.int64)
        for buffer in array.buffers()[1:3]
    )
    if (valid := validity(array)) is not None:
        lengths = np.where(valid, lengths, 0)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    total, used = offsets[-1], lengths > 0
    if (starts[used] - offsets[:-1][used] == starts[used][:1]).all():
        return elements.slice(starts[used][0] if total else 0, total), offsets
    if total > max(_MOST_COMPONENTS, len(elements)):
        raise ValueError(
            f"its list views overlap: they come to {total} components in place of "
            f"{len(elements)}; write it anew with lists"
        )
    return elements.take(pa.array(_ranges(starts, lengths))), offsets


def _gather(flat: Array, starts: Array, length: int) -> Array:
    """Return the runs of ``length`` at ``starts`` as rows: a view if they are back to back."""
    if (np.diff(starts) == length).all():
        return flat[starts[0] : starts[0] + len(starts) * length].reshape(-1, length)
    return flat[starts[:, None] + np.arange(length)]


def _scatter(flat: Array, starts: Array, rows: Array) -> None:
    """Put rows where :func:`_gather` would find them."""
    if not rows.size:
        return
    length = math.prod(rows.shape[1:])
    if (np.diff(starts) == length).all():
        flat[starts[0] : starts[0] + rows.size] = rows.reshape(-1)
    else:
        flat[starts[:, None] + np.arange(length)] = rows.reshape(-1, length)


def _ranges(starts: Array, lengths: Array) -> Array:
    """Return ``start, start + 1, …`` for each pair, one after the other."""
    before = np.cumsum(lengths) - lengths
    ranges: Array = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
    return ranges
