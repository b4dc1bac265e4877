"""The levels of dense rows: rows of one length in which nothing is null.

Levels say where rows begin and what is null. They are encoded as a hybrid of runs and of bits
packed by eights: ``Encodings.md`` of apache/parquet-format. Where nothing is null all definition
levels are the largest, and the repetition level is 0 where a row begins and 1 within it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from l2cli.formats.parquet.thrift import decode_varint, encode_varint

Array = np.ndarray[Any, Any]

_PACKED_LENGTH = 32
"""Shorter rows take fewer bytes packed than in runs."""


def definition_levels(num_values: int, level: int) -> bytes:
    """Encode ``level`` for every value."""
    return _run(num_values, level)


def repetition_levels(num_rows: int, length: int) -> bytes:
    """Encode where rows of ``length`` values begin."""
    if length < _PACKED_LENGTH:
        return _packed(np.arange(num_rows * length) % length > 0)
    return (_packed(np.arange(8) > 0) + _run(length - 8, 1)) * num_rows


@lru_cache(maxsize=16)  # for most pages have the levels of the page before
def are_of_rows(levels: tuple[bytes, bytes], num_values: int, level: int, length: int) -> bool:
    """Return whether levels are those of rows of one length in which nothing is null.

    Parameters
    ----------
    levels : (bytes, bytes)
        The repetition levels and the definition levels of some values.
    num_values : int
        How many values they are of.
    level : int
        The largest definition level.
    length : int
        Of the rows, in values; the last may go on in another page.
    """
    try:
        repetition = _decode(levels[0], 1, num_values)
        definition = _decode(levels[1], level.bit_length(), num_values)
    except (ValueError, IndexError):
        return False
    expected = np.arange(num_values) % length > 0
    return np.array_equal(repetition, expected) and bool((definition == level).all())


def _decode(raw: bytes, bit_width: int, num_values: int) -> Array:
    """Decode levels. Invalid ones raise ValueError or IndexError."""
    levels = np.empty(num_values, np.uint8)
    position = start = 0
    decoded: Any
    while start < num_values:
        header, position = decode_varint(raw, position)
        if header & 1:
            size = (header >> 1) * bit_width
            packed = np.frombuffer(raw[position : position + size], np.uint8)
            bits = np.unpackbits(packed, bitorder="little").reshape(-1, bit_width)
            decoded = (bits @ (1 << np.arange(bit_width)))[: num_values - start]
            count = len(decoded)
        else:
            size, count, decoded = 1, header >> 1, raw[position]
        levels[start : start + count] = decoded
        position, start = position + size, start + count
    return levels


def _run(count: int, level: int) -> bytes:
    output = bytearray()
    encode_varint(count << 1, output)
    return bytes(output) + bytes([level])


def _packed(levels: Array) -> bytes:
    packed = np.packbits(levels, bitorder="little").tobytes()
    output = bytearray()
    encode_varint(len(packed) << 1 | 1, output)
    return bytes(output) + packed
