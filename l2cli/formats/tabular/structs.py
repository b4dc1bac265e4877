"""Columns inside structs: taken out of their structs, and put back with new values.

Readers and writers of ``arrow`` and ``parquet`` get their windows here. Nothing here knows names
of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.formats.tabular.lists import list_window
from l2cli.formats.tabular.rows import Array, ArrowArray, Part, WideWindow, Window, validity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.tabular.types import ArrowField


class StructWindow(Window):
    """Rows of a list column inside structs.

    Parameters
    ----------
    column : ArrowArray
        The top-level column.
    path : sequence of int
        The number of the child to take at each struct on the way.
    """

    def __init__(self, column: ArrowArray, path: Sequence[int]) -> None:
        self.num_rows = len(column)
        self._column = column
        self._path = path
        child, valid = child_of(column, path)
        self._lists = list_window(_stored(child), valid)

    @property
    def is_dense(self) -> bool:
        """Whether there is a row, all are in one part, and nothing is null."""
        return self._lists.is_dense

    @property
    def parts(self) -> list[Part]:
        """Those of the lists."""
        return self._lists.parts

    def rebuild(self, results: Sequence[Array], dtype: str, length: int | None) -> list[ArrowArray]:
        """Return the top-level column with new rows in place of those of the parts."""
        (lists,) = self._lists.rebuild(results, dtype, length)
        return [with_child(self._column, self._path, lists)]


def window_of(
    columns: Sequence[ArrowArray], path: Sequence[int] = (), *, is_wide: bool = False
) -> Window:
    """Return the rows of one array that some top-level columns of equal length hold.

    Parameters
    ----------
    path : sequence of int
        The way to the list column inside the one column; empty for the column itself.
    is_wide : bool
        Whether each column holds one component.
    """
    if path:
        return StructWindow(columns[0], path)
    stored = [_stored(column) for column in columns]
    return WideWindow(stored) if is_wide else list_window(stored[0])


def child_of(array: ArrowArray, path: Sequence[int]) -> tuple[ArrowArray, Array | None]:
    """Return a column inside structs, and which rows no struct around it makes null."""
    valid: Array | None = None
    for number in path:
        not_null = validity(array)
        if not_null is not None:
            valid = not_null if valid is None else valid & not_null
        array = array.field(number)
    return array, valid


def with_child(array: ArrowArray, path: Sequence[int], child: ArrowArray) -> ArrowArray:
    """Return a top-level column with ``child`` in place of a column inside it, or of itself."""
    if not path:
        is_bare = isinstance(array, pa.ExtensionArray) and not isinstance(child, pa.ExtensionArray)
        return array.type.wrap_array(child) if is_bare else child
    children = [array.field(number) for number in range(array.type.num_fields)]
    children[path[0]] = with_child(children[path[0]], path[1:], child)
    fields: list[ArrowField] = list(array.type)
    fields[path[0]] = fields[path[0]].with_type(children[path[0]].type)
    valid = validity(array)
    mask = None if valid is None else pa.array(np.logical_not(valid))
    return pa.StructArray.from_arrays(children, fields=fields, mask=mask)


def inside_structs(array: ArrowArray, fields: Sequence[ArrowField]) -> ArrowArray:
    """Return ``array`` inside structs that hold nothing else, none of which is null.

    Parameters
    ----------
    fields : sequence of ArrowField
        The fields on the way to it, its own last.
    """
    for field in reversed(fields[1:]):
        array = pa.StructArray.from_arrays([array], fields=[field.with_type(array.type)])
    return array


def _stored(array: Any) -> ArrowArray:
    return array.storage if isinstance(array, pa.ExtensionArray) else array
