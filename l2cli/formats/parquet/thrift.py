"""Thrift's compact protocol, decoded and encoded without a schema and without loss.

Parquet keeps its metadata in Thrift structs. A library that knows their fields drops the ones
that it doesn't know. This codec knows no fields at all: a struct is a mapping from field id to
``(type, value)``, and what isn't changed is encoded to the same bytes. Values by type:

==========================  ============================================================
``TRUE``, ``FALSE``         bool (a field's type is its value; a list's is one of the two)
``BYTE I16 I32 I64``        int
``DOUBLE``, ``UUID``        the 8 or 16 bytes
``BINARY``                  bytes
``LIST``, ``SET``           :class:`Items`
``MAP``                     :class:`Pairs`
``STRUCT``                  a mapping again
==========================  ============================================================

Type 0 is the end of a struct. Some writers give it to the elements of an empty list too, where
it does no harm: there are none.

Described in ``thrift-compact-protocol.md`` of Apache Thrift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Struct = dict[int, tuple[int, Any]]
"""Field id to (type, value), in the order that the fields stand in."""

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
MAX_DEPTH = 32
"""Structs and containers in each other; Parquet's own go six deep."""


class Items(NamedTuple):
    """A list or a set: the type of its elements, and the elements."""

    element_type: int
    values: list[Any]


class Pairs(NamedTuple):
    """A map: the types of its keys and values, and the pairs."""

    key_type: int
    value_type: int
    pairs: list[tuple[Any, Any]]


def decode(buffer: bytes, offset: int = 0) -> tuple[Struct, int]:
    """Decode the struct at ``offset``, and return it and the offset of what follows.

    Raises
    ------
    ValueError
        If the bytes are no such struct, or end before it does.
    """
    try:
        return _struct(buffer, offset, 0)
    except IndexError as exc:
        raise ValueError("the metadata is cut off") from exc
    except KeyError as exc:
        raise ValueError(f"the metadata has a value of unknown type {exc}") from exc


def encode(struct: Struct) -> bytes:
    """Encode ``struct``."""
    output = bytearray()
    _encode_struct(struct, output)
    return bytes(output)


def decode_varint(buffer: bytes, position: int) -> tuple[int, int]:
    """Decode an unsigned number, and return it and the position of what follows."""
    value = shift = 0
    while (byte := buffer[position]) >= 0x80 and shift < 63:
        value |= (byte & 0x7F) << shift
        shift += 7
        position += 1
    if shift == 63 and byte > 1:
        raise ValueError("the metadata has an integer of more than 64 bits")
    return value | byte << shift, position + 1


def encode_varint(value: int, output: bytearray) -> None:
    """Append an unsigned number, seven bits to the byte, the lowest first."""
    while value >= 0x80:
        output.append(value & 0x7F | 0x80)
        value >>= 7
    output.append(value)


# Decoding. Each function takes the position of its value and returns the value and the next
# position, and is as flat as can be: a footer may hold a million values. Every element takes a
# byte at least, so memory is bounded by the size of the buffer; reading past its end is an
# IndexError, except by a slice, which is checked.


def _struct(buffer: bytes, position: int, depth: int) -> tuple[Struct, int]:
    if depth > MAX_DEPTH:
        _check_depth(depth)
    fields: Struct = {}
    field_id = 0
    while header := buffer[position]:
        position += 1
        field_type = header & 0x0F
        if header >> 4:
            field_id += header >> 4
        else:
            field_id, position = _integer(buffer, position, depth)
        if field_id in fields:
            raise ValueError(f"the metadata has field {field_id} twice")
        if TRUE <= field_type <= FALSE:  # a field's bool is in its header
            fields[field_id] = field_type, field_type == TRUE
        elif I16 <= field_type <= I64 and buffer[position] < 0x80:  # most by far: save the call
            value = buffer[position]
            position += 1
            fields[field_id] = field_type, (value >> 1) ^ -(value & 1)
        else:
            value, position = _DECODERS[field_type](buffer, position, depth)
            fields[field_id] = field_type, value
    return fields, position + 1


def _integer(buffer: bytes, position: int, _: int) -> tuple[int, int]:
    value = buffer[position]
    position += 1
    if value >= 0x80:
        value, position = decode_varint(buffer, position - 1)
    return (value >> 1) ^ -(value & 1), position


def _binary(buffer: bytes, position: int, _: int) -> tuple[bytes, int]:
    size = buffer[position]
    if size < 0x80:
        position += 1
    else:
        size, position = decode_varint(buffer, position)
    return _take(buffer, position, size)


def _items(buffer: bytes, position: int, depth: int) -> tuple[Items, int]:
    _check_depth(depth)
    element_type, size = buffer[position] & 0x0F, buffer[position] >> 4
    position += 1
    if size == 0x0F:
        size, position = decode_varint(buffer, position)
    _check_size(buffer, position, size)
    if not size:  # an empty list has no elements, so some writers give them no type
        return Items(element_type, []), position
    decoder, elements = _DECODERS[element_type], []
    for _ in range(size):
        element, position = decoder(buffer, position, depth + 1)
        elements.append(element)
    return Items(element_type, elements), position


def _pairs(buffer: bytes, position: int, depth: int) -> tuple[Pairs, int]:
    _check_depth(depth)
    size, position = decode_varint(buffer, position)
    if not size:
        return Pairs(0, 0, []), position
    _check_size(buffer, position, size)
    key_type, value_type = buffer[position] >> 4, buffer[position] & 0x0F
    position += 1
    pairs = []
    for _ in range(size):
        key, position = _DECODERS[key_type](buffer, position, depth + 1)
        value, position = _DECODERS[value_type](buffer, position, depth + 1)
        pairs.append((key, value))
    return Pairs(key_type, value_type, pairs), position


def _bool(buffer: bytes, position: int, _: int) -> tuple[bool, int]:
    return buffer[position] == TRUE, position + 1


def _byte(buffer: bytes, position: int, _: int) -> tuple[int, int]:
    return (buffer[position] ^ 0x80) - 0x80, position + 1


def _double(buffer: bytes, position: int, _: int) -> tuple[bytes, int]:
    return _take(buffer, position, 8)


def _uuid(buffer: bytes, position: int, _: int) -> tuple[bytes, int]:
    return _take(buffer, position, 16)


def _nested(buffer: bytes, position: int, depth: int) -> tuple[Struct, int]:
    return _struct(buffer, position, depth + 1)


_DECODERS: dict[int, Callable[[bytes, int, int], tuple[Any, int]]] = {
    TRUE: _bool,
    FALSE: _bool,
    BYTE: _byte,
    I16: _integer,
    I32: _integer,
    I64: _integer,
    DOUBLE: _double,
    BINARY: _binary,
    LIST: _items,
    SET: _items,
    MAP: _pairs,
    STRUCT: _nested,
    UUID: _uuid,
}


def _take(buffer: bytes, position: int, size: int) -> tuple[bytes, int]:
    stop = position + size
    if stop > len(buffer):
        _check_size(buffer, position, size)
    return buffer[position:stop], stop


def _check_size(buffer: bytes, position: int, size: int) -> None:
    if size > len(buffer) - position:
        raise ValueError(f"the metadata promises {size} values or bytes and is cut off before")


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"the metadata is nested deeper than {MAX_DEPTH} levels")


# Encoding


def _encode_struct(struct: Struct, output: bytearray) -> None:
    previous = 0
    for field_id, (field_type, value) in struct.items():
        if field_type <= FALSE:
            field_type = TRUE if value else FALSE
        if 0 < field_id - previous <= 0x0F:
            output.append((field_id - previous) << 4 | field_type)
        else:
            output.append(field_type)
            _encode_integer(field_id, output)
        previous = field_id
        if field_type > FALSE:
            _encode_value(field_type, value, output)
    output.append(0)


def _encode_value(value_type: int, value: Any, output: bytearray) -> None:
    if I16 <= value_type <= I64:
        _encode_integer(value, output)
    elif value_type == BINARY:
        encode_varint(len(value), output)
        output += value
    elif value_type == STRUCT:
        _encode_struct(value, output)
    elif value_type in (LIST, SET):
        _encode_items(value, output)
    elif value_type == MAP:
        _encode_pairs(value, output)
    elif value_type in (DOUBLE, UUID):
        output += value
    elif value_type == BYTE:
        output.append(value & 0xFF)
    else:
        output.append(TRUE if value else FALSE)


def _encode_items(items: Items, output: bytearray) -> None:
    size = len(items.values)
    output.append(min(size, 0x0F) << 4 | items.element_type)
    if size >= 0x0F:
        encode_varint(size, output)
    for value in items.values:
        _encode_value(items.element_type, value, output)


def _encode_pairs(pairs: Pairs, output: bytearray) -> None:
    encode_varint(len(pairs.pairs), output)
    if pairs.pairs:
        output.append(pairs.key_type << 4 | pairs.value_type)
    for key, value in pairs.pairs:
        _encode_value(pairs.key_type, key, output)
        _encode_value(pairs.value_type, value, output)


def _encode_integer(value: int, output: bytearray) -> None:
    encode_varint(value << 1 if value >= 0 else ~(value << 1), output)
