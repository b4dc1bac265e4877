"""HDF5 datatypes as the dtypes that the rest of the library knows, and back.

Readers describe datasets with it, and writers make datatypes. Nothing here opens a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
from h5py import h5t

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec

_STANDARD_FLOATS = {
    ("float16", h5t.ORDER_LE): h5t.IEEE_F16LE,
    ("float16", h5t.ORDER_BE): h5t.IEEE_F16BE,
    ("float32", h5t.ORDER_LE): h5t.IEEE_F32LE,
    ("float32", h5t.ORDER_BE): h5t.IEEE_F32BE,
    ("float64", h5t.ORDER_LE): h5t.IEEE_F64LE,
    ("float64", h5t.ORDER_BE): h5t.IEEE_F64BE,
}
_CLASS_NAMES = {
    h5t.STRING: "string",
    h5t.BITFIELD: "bit field",
    h5t.OPAQUE: "opaque",
    h5t.REFERENCE: "reference",
    h5t.ARRAY: "array",
    h5t.VLEN: "list",
    h5t.TIME: "time",
}
NOT_NUMBERS = "not numbers"
_LISTS = (
    "lists of a length of their own (HDF5's vlen), which HDF5 can't overwrite where they lie; "
    "write them as rows of one length, or as a list column of Parquet"
)
_SEVERAL = 2
"""Stands for a length that differs from element to element."""


def dtype_of(stored: h5t.TypeID) -> tuple[str, str]:
    """Return the dtype of a stored type, and why it can't be normalized (empty if it can)."""
    type_class = stored.get_class()
    if type_class == h5t.FLOAT:
        return _float_dtype(stored)
    if type_class == h5t.INTEGER:
        return _integer_dtype(stored)
    if type_class == h5t.ENUM:
        return ("bool" if h5py.check_enum_dtype(stored.dtype) is None else "enum"), NOT_NUMBERS
    if type_class == h5t.COMPOUND:
        return ("complex" if is_complex(stored) else "compound"), NOT_NUMBERS
    if type_class == h5t.VLEN and stored.get_super().get_class() == h5t.FLOAT:
        return "list of floats", _LISTS
    if type_class in _CLASS_NAMES:
        return _CLASS_NAMES[type_class], NOT_NUMBERS
    return "unknown", "its type can't be read"


def may_hold_vectors(stored: h5t.TypeID, shape: tuple[int, ...]) -> bool:
    """Return whether a dataset of a type and a shape may hold vectors.

    Those are floats of any format, in rows of more than one, or in lists.
    """
    type_class = stored.get_class()
    if type_class == h5t.ARRAY:
        return may_hold_vectors(stored.get_super(), shape + stored.get_array_dims())
    if type_class == h5t.VLEN:
        return may_hold_vectors(stored.get_super(), (*shape, _SEVERAL))
    if type_class == h5t.COMPOUND and not is_complex(stored):
        members = map(stored.get_member_type, range(stored.get_nmembers()))
        return any(may_hold_vectors(member, shape[:1]) for member in members)
    return bool(type_class == h5t.FLOAT and len(shape) > 1 and shape[-1] != 1)


def array_shape(stored: h5t.TypeID) -> tuple[int, ...]:
    """Return the lengths of the array that an element of a type is; empty for another element."""
    if stored.get_class() != h5t.ARRAY:
        return ()
    lengths: tuple[int, ...] = stored.get_array_dims()
    return lengths + array_shape(stored.get_super())


def is_complex(stored: h5t.TypeID) -> bool:
    """Return whether a type is what h5py stores complex numbers as."""
    if stored.get_class() != h5t.COMPOUND or stored.get_nmembers() != 2:
        return False
    parts = [(stored.get_member_name(index), stored.get_member_class(index)) for index in (0, 1)]
    return parts == [(b"r", h5t.FLOAT), (b"i", h5t.FLOAT)]


def is_big_endian(stored: h5t.TypeID) -> bool:
    """Return whether a number type has its most significant byte first."""
    number = stored.get_class() in (h5t.FLOAT, h5t.INTEGER)
    return number and stored.get_size() > 1 and bool(stored.get_order() == h5t.ORDER_BE)


def stored_type(output: ArraySpec, old: h5t.TypeID) -> h5t.TypeID:
    """Return the type that stores the elements of ``output``, in the byte order of ``old``.

    ``old`` itself where it does already: it may be a named type that others share.
    """
    if old.get_class() == h5t.ARRAY:
        inner = old.get_super()
        end = len(output.shape) - len(array_shape(inner))
        lengths = tuple(n or 0 for n in output.shape[end - len(old.get_array_dims()) : end])
        numbers = stored_type(output, inner)
        is_same = lengths == old.get_array_dims() and numbers.equal(inner)
        return old if is_same else h5t.array_create(numbers, lengths)
    if dtype_of(old)[0] == output.dtype:
        return old
    return _STANDARD_FLOATS[output.dtype, old.get_order()]


def _float_dtype(stored: h5t.TypeFloatID) -> tuple[str, str]:
    # Only an exact match will do: bfloat16 and float16, say, differ in nothing but the fields.
    for (dtype, _order), standard in _STANDARD_FLOATS.items():
        if stored.equal(standard):
            return dtype, ""
    refusal = "a non-standard float type; write it again as float32 or float64"
    return f"{8 * stored.get_size()}-bit float", refusal


def _integer_dtype(stored: h5t.TypeIntegerID) -> tuple[str, str]:
    bits = 8 * stored.get_size()
    if bits not in (8, 16, 32, 64) or stored.get_precision() != bits:
        return f"{stored.get_precision()}-bit integer", "a non-standard integer type"
    sign = "u" if stored.get_sign() == h5t.SGN_NONE else ""
    return f"{sign}int{bits}", ""
