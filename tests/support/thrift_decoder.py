"""Thrift's compact protocol, decoded for tests: nothing of it comes from the code under test.

A struct is a mapping from field id to value, a list or a set is a list, a map is a dict.
"""

from __future__ import annotations

import struct
from typing import Any

Struct = dict[int, Any]


def read_footer(raw: bytes) -> Struct:
    """Return the FileMetaData of a Parquet file."""
    return decode(raw, len(raw) - 8 - int.from_bytes(raw[-8:-4], "little"))[0]


def decode(raw: bytes, start: int = 0) -> tuple[Struct, int]:
    """Decode the struct at ``start``, and return it and the offset of what follows."""
    return _value(12, raw, start)


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    end = next(i for i in range(at, len(raw)) if raw[i] < 0x80) + 1
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(raw[at:end])), end


def _value(compact_type: int, raw: bytes, at: int) -> tuple[Any, int]:
    if compact_type in (1, 2):  # in a list; a field has its bool in its header
        return raw[at] == 1, at + 1
    if compact_type == 3:
        return struct.unpack_from("b", raw, at)[0], at + 1
    if compact_type in (4, 5, 6):
        number, at = _varint(raw, at)
        return number // 2 if number % 2 == 0 else -(number + 1) // 2, at
    if compact_type == 7:
        return struct.unpack_from("<d", raw, at)[0], at + 8
    if compact_type == 8:
        size, at = _varint(raw, at)
        return raw[at : at + size], at + size
    if compact_type in (9, 10):
        size, element_type, at = raw[at] >> 4, raw[at] & 15, at + 1
        size, at = _varint(raw, at) if size == 15 else (size, at)
        return _sequence([element_type] * size, raw, at)
    if compact_type == 11:
        size, at = _varint(raw, at)
        types, at = (divmod(raw[at], 16), at + 1) if size else ((0, 0), at)
        flat, at = _sequence([*types] * size, raw, at)
        return dict(zip(flat[::2], flat[1::2], strict=True)), at
    if compact_type == 12:
        return _fields(raw, at)
    assert compact_type == 13
    return raw[at : at + 16], at + 16


def _sequence(types: list[int], raw: bytes, at: int) -> tuple[list[Any], int]:
    values = []
    for compact_type in types:
        value, at = _value(compact_type, raw, at)
        values.append(value)
    return values, at


def _fields(raw: bytes, at: int) -> tuple[Struct, int]:
    fields: Struct = {}
    field_id = 0
    while raw[at]:
        delta, field_type = divmod(raw[at], 16)
        field_id, at = (field_id + delta, at + 1) if delta else _value(4, raw, at + 1)
        if field_type in (1, 2):
            fields[field_id] = field_type == 1
        else:
            fields[field_id], at = _value(field_type, raw, at)
    return fields, at + 1
