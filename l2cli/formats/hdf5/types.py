"""HDF5 datatypes as the dtypes that the rest of the library speaks of, and back."""

from __future__ import annotations

import h5py
from h5py import h5t

_STANDARD_FLOATS = {
    ("float16", h5t.ORDER_LE): h5t.IEEE_F16LE,
    ("float16", h5t.ORDER_BE): h5t.IEEE_F16BE,
    ("float32", h5t.ORDER_LE): h5t.IEEE_F32LE,
    ("float32", h5t.ORDER_BE): h5t.IEEE_F32BE,
    ("float64", h5t.ORDER_LE): h5t.IEEE_F64LE,
    ("float64", h5t.ORDER_BE): h5t.IEEE_F64BE,
}
_WORDS = {
    h5t.STRING: "string",
    h5t.BITFIELD: "bit field",
    h5t.OPAQUE: "opaque",
    h5t.REFERENCE: "reference",
    h5t.ARRAY: "array",
    h5t.VLEN: "list",
    h5t.TIME: "time",
}
NOT_NUMBERS = "not numbers"


def dtype_of(stored: h5t.TypeID) -> tuple[str, str]:
    """Return the dtype of a stored type, and why it can't be normalized (empty if it can)."""
    kind = stored.get_class()
    if kind == h5t.FLOAT:
        return _float_dtype(stored)
    if kind == h5t.INTEGER:
        return _integer_dtype(stored)
    if kind == h5t.ENUM:
        return ("bool" if h5py.check_enum_dtype(stored.dtype) is None else "enum"), NOT_NUMBERS
    if kind == h5t.COMPOUND:
        return ("complex" if stored.dtype.kind == "c" else "compound"), NOT_NUMBERS
    if kind in _WORDS:
        return _WORDS[kind], NOT_NUMBERS
    return "unknown", "its type can't be read"


def is_big_endian(stored: h5t.TypeID) -> bool:
    """Return whether a number type has its most significant byte first."""
    number = stored.get_class() in (h5t.FLOAT, h5t.INTEGER)
    return number and stored.get_size() > 1 and bool(stored.get_order() == h5t.ORDER_BE)


def stored_type(dtype: str, old: h5t.TypeID) -> h5t.TypeID:
    """Return the type that stores ``dtype`` in the byte order of ``old``.

    ``old`` itself where it does already: it may be a named type that others share.
    """
    if dtype_of(old)[0] == dtype:
        return old
    return _STANDARD_FLOATS[dtype, old.get_order()]


def _float_dtype(stored: h5t.TypeFloatID) -> tuple[str, str]:
    # Only an exact match will do: bfloat16 and float16, say, differ in nothing but the fields.
    for (dtype, _order), standard in _STANDARD_FLOATS.items():
        if stored.equal(standard):
            return dtype, ""
    return f"{8 * stored.get_size()}-bit float", "a non-standard float type"


def _integer_dtype(stored: h5t.TypeIntegerID) -> tuple[str, str]:
    bits = 8 * stored.get_size()
    if bits not in (8, 16, 32, 64) or stored.get_precision() != bits:
        return f"{stored.get_precision()}-bit integer", "a non-standard integer type"
    sign = "u" if stored.get_sign() == h5t.SGN_NONE else ""
    return f"{sign}int{bits}", ""
