"""An npy array as it is stored, and the arrays in it: itself, or the fields of its records.

A structured array holds one record per row, such as
``[('id', '<i8'), ('embedding', '<f4', (8,))]``. Each field counts as an array of its own. The
records are written as they were, except for the fields that were normalized. Both ``.npy`` and
``.npz`` use it; it knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import BATCH_BYTES, Batch, rows_per_batch, windows
from l2cli.filesystem.byte_ranges import byte_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.formats.npy.header import NpyHeader

    Array = np.ndarray[Any, Any]
    ReadRows = Callable[[int, int], Array]


@dataclass(frozen=True)
class StoredArray:
    """One array behind one header.

    Attributes
    ----------
    name : str
        What it is called, empty where it has no name. Its fields are called ``name.field``, or
        ``field`` alone.
    position : int
        Where its header begins in the file, in bytes.
    layout : str
        How it is stored, for people, besides what the header says.
    """

    header: NpyHeader
    name: str = ""
    position: int = 0
    layout: str = ""

    @property
    def num_bytes(self) -> int:
        """Bytes of the header and of the numbers."""
        return len(self.header.raw) + self.header.num_bytes

    @cached_property
    def fields(self) -> dict[str, NpyHeader]:
        """From the name of each array in its records to what its header would be."""
        if not self.has_records:
            return {}
        fields = [_Field(entry).header(self.header) for entry in self.header.descr]
        before = f"{self.name}." if self.name else ""
        names = [_Field(entry).name for entry in self.header.descr]
        return {f"{before}{name}": field for name, field in zip(names, fields, strict=True) if name}

    @property
    def has_records(self) -> bool:
        """Whether its rows are records, the fields of which are arrays."""
        dtype, shape = self.header.stored_dtype, self.header.shape
        return bool(dtype.names and dtype.itemsize and shape) and not dtype.hasobject

    @cached_property
    def specs(self) -> list[ArraySpec]:
        """The arrays in it."""
        if not self.has_records:
            return [self.header.spec(self.name, self.layout)]
        layout = ", ".join(filter(None, ("a field of records", self.layout)))
        return [header.spec(name, layout) for name, header in self.fields.items()]

    def batches(
        self, arrays: Sequence[ArraySpec], batch_size: int | None, read: ReadRows
    ) -> Iterator[Batch]:
        """Yield the rows of those of ``arrays`` that are in it, window by window.

        Parameters
        ----------
        read : callable
            Returns what is stored from one row to another.
        """
        names = {array.name for array in self.specs}
        chosen = [array for array in arrays if array.name in names]
        if not chosen:
            return
        num_rows = chosen[0].num_rows
        for start, stop in windows(num_rows, self._batch_rows(chosen[0], batch_size)):
            stored = read(start, stop)
            for array in chosen:
                if self.has_records:
                    yield Batch(array, self._rows(stored, array.name), start, context=stored)
                else:
                    yield Batch(array, stored, start)

    def field_name(self, name: str) -> str:
        """Return what the array ``name`` is called in the records."""
        return name[len(self.name) + 1 :] if self.name else name

    def _batch_rows(self, array: ArraySpec, batch_size: int | None) -> int:
        if batch_size is not None or not self.has_records:
            return rows_per_batch(array, batch_size)
        record_bytes = self.header.num_bytes // max(1, array.num_rows)
        return max(1, BATCH_BYTES // max(1, record_bytes))

    def _rows(self, records: Array, name: str) -> Array:
        dtype = self.fields[name].stored_dtype
        rows = np.ascontiguousarray(records[self.field_name(name)]).view(dtype)
        return rows.astype(dtype.newbyteorder("="), copy=False)


class RowAssembler:
    """Puts the batches that come back together to what is stored.

    Parameters
    ----------
    outputs : mapping of str to ArraySpec
        What arrays become, those that are not in ``stored`` too.

    Attributes
    ----------
    names : set of str
        The arrays whose batches come back; none for one that stays as it is.
    header : NpyHeader
        Of what will be stored.
    """

    def __init__(self, stored: StoredArray, outputs: Mapping[str, ArraySpec]) -> None:
        chosen = {
            array.name: outputs[array.name] for array in stored.specs if array.name in outputs
        }
        self.names = set(chosen)
        self.stored = stored
        self._records: Array | None = None
        self._missing: set[str] = set()
        self.header = stored.header
        if stored.has_records:
            self._fields = {name: stored.fields[name].for_array(chosen[name]) for name in chosen}
            self.header = stored.header.with_descr([*map(self._entry, stored.header.descr)])
        elif chosen:
            self.header = stored.header.for_array(chosen[stored.name])

    @property
    def num_bytes(self) -> int:
        """Bytes of the header and of the numbers."""
        return len(self.header.raw) + self.header.num_bytes

    def add(self, batch: Batch) -> Array | None:
        """Return the rows to store; ``None`` while other fields of them have not come yet."""
        if not self.stored.has_records:
            return batch.rows
        if self._records is None:
            self._records, self._missing = self._copied(batch.context), set(self.names)
        name = batch.array.name
        target = self._records[self.stored.field_name(name)]
        rows = batch.rows.astype(self._fields[name].stored_dtype, copy=False)
        target[...] = np.ascontiguousarray(rows).view(target.dtype)
        self._missing.discard(name)
        if self._missing:
            return None
        records, self._records = self._records, None
        return records

    def _entry(self, entry: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the entry of a record's dtype that takes the place of ``entry``."""
        for name, header in self._fields.items():
            if self.stored.field_name(name) == _Field(entry).name:
                if header is self.stored.fields[name]:
                    return entry
                shape = header.shape[len(self.stored.header.shape) :]
                return (entry[0], header.descr, shape) if shape else (entry[0], header.descr)
        return entry

    def _copied(self, records: Array) -> Array:
        """Return ``records`` in the dtype that will be stored, to write the new rows into."""
        if self.header is self.stored.header:
            # Byte by byte: NumPy may leave out what lies between fields.
            return np.array(byte_view(records)).view(records.dtype).reshape(records.shape)
        copied = np.zeros(records.shape, self.header.stored_dtype)
        changed = {self.stored.field_name(name) for name in self.names}
        for field in set(records.dtype.names or ()) - changed:
            copied[field] = records[field]
        return copied


@dataclass(frozen=True)
class _Field:
    """An entry of a structured dtype as headers have it: ``(name, descr)`` or with a shape."""

    entry: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Its name, empty for bytes between fields. A title may come before it."""
        name = self.entry[0]
        return str(name[1] if isinstance(name, tuple) else name)

    def header(self, records: NpyHeader) -> NpyHeader:
        """Return the header that its values would have in an array of their own."""
        shape = self.entry[2] if len(self.entry) > 2 else ()
        shape = shape if isinstance(shape, tuple) else (shape,)
        return replace(
            records, raw=b"", descr=self.entry[1], fortran_order=False, shape=records.shape + shape
        )
