"""What an element of a dataset is made of: a number, an array of them, or a record with some.

HDF5 reads and writes one field of its records and leaves the others alone, and an array in an
element lies there as the last axes of a larger array would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from h5py import h5t

from l2cli.dtypes import numpy_dtype
from l2cli.formats.hdf5.types import (
    array_shape,
    dtype_of,
    is_big_endian,
    is_complex,
    may_hold_vectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Element:
    """The part of a dataset's elements that is one array.

    Attributes
    ----------
    stored : h5py.h5t.TypeID
        Its type, the whole element's if that is no record.
    fields : tuple of bytes
        The fields that lead to it, from the outermost to the innermost.
    """

    stored: h5t.TypeID
    fields: tuple[bytes, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the array that each element holds; empty for a number."""
        return array_shape(self.stored)

    @property
    def numbers(self) -> h5t.TypeID:
        """The type of one number."""
        stored = self.stored
        while stored.get_class() == h5t.ARRAY:
            stored = stored.get_super()
        return stored

    @property
    def suffix(self) -> str:
        """What follows the dataset's name in the array's."""
        return "".join(f".{field.decode('utf-8', 'surrogateescape')}" for field in self.fields)

    @property
    def layout(self) -> list[str]:
        """How it is stored, for people, beyond what is said of the dataset."""
        parts = [*(["in records"] if self.fields else []), *(["in arrays"] if self.shape else [])]
        return parts + (["big-endian"] if is_big_endian(self.numbers) else [])

    def memory_type(self, dtype: str) -> h5t.TypeID:
        """Return the type by which HDF5 reads and writes rows of ``dtype`` that lie together."""
        memory = _with_arrays(h5t.py_create(numpy_dtype(dtype)), self.stored)
        for field in reversed(self.fields):
            record = h5t.create(h5t.COMPOUND, memory.get_size())
            record.insert(field, 0, memory)
            memory = record
        return memory


def elements(stored: h5t.TypeID) -> list[Element]:
    """Return what arrays a dataset of a type holds: one, or one a field where one has vectors."""
    fields = list(_fields(stored, ()))
    has_vectors = any(
        may_hold_vectors(field.stored, (1,)) and not dtype_of(field.numbers)[1] for field in fields
    )
    return fields if has_vectors else [Element(stored)]


def element_of(stored: h5t.TypeID, fields: tuple[bytes, ...]) -> Element:
    """Return the part of a type that ``fields`` lead to."""
    for field in fields:
        stored = stored.get_member_type(stored.get_member_index(field))
    return Element(stored, fields)


def _with_arrays(number: h5t.TypeID, stored: h5t.TypeID) -> h5t.TypeID:
    """Return the type of ``number`` in arrays as those of ``stored``."""
    if stored.get_class() != h5t.ARRAY:
        return number
    inner = _with_arrays(number, stored.get_super())
    return h5t.array_create(inner, stored.get_array_dims())


def _fields(stored: h5t.TypeID, outer: tuple[bytes, ...]) -> Iterator[Element]:
    if stored.get_class() != h5t.COMPOUND or is_complex(stored):
        return
    for index in range(stored.get_nmembers()):
        member, fields = stored.get_member_type(index), (*outer, stored.get_member_name(index))
        inner = list(_fields(member, fields))
        yield from inner or [Element(member, fields)]
