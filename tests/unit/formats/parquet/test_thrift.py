"""The Thrift codec: what it decodes it encodes to the same bytes, and garbage is refused."""

from __future__ import annotations

import io
from functools import partial
from struct import unpack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from l2cli.formats.parquet.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    MAX_DEPTH,
    STRUCT,
    TRUE,
    UUID,
    Items,
    Pairs,
    Struct,
    decode,
    encode,
)
from tests.support import thrift_decoder


def test_a_real_footer_comes_back_to_the_byte() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1.5, None], "name": ["a", "b"]}), sink)
    raw = sink.getvalue()
    footer = raw[-8 - int.from_bytes(raw[-8:-4], "little") : -8]
    struct, end = decode(footer)
    assert end == len(footer)
    assert encode(struct) == footer
    assert struct[3] == (I64, 2)
    assert _values(struct) == thrift_decoder.decode(footer)[0]


EVERY_TYPE: Struct = {
    1: (TRUE, True),
    2: (TRUE + 1, False),
    3: (BYTE, -3),
    4: (I16, -300),
    5: (I32, 2**31 - 1),
    6: (I64, -(2**63)),
    7: (DOUBLE, b"\x01\x00\x00\x00\x00\x00\xf8\x3f"),
    8: (BINARY, b"\xff" * 200),
    30: (LIST, Items(TRUE, [True, False])),
    29: (LIST, Items(I64, list(range(100)))),
    31: (MAP, Pairs(BINARY, I32, [(b"key", 7)])),
    32: (MAP, Pairs(0, 0, [])),
    33: (STRUCT, {1: (LIST, Items(STRUCT, [{}, {2: (I32, 1)}]))}),
    34: (UUID, bytes(range(16))),
}


def test_every_type_comes_back() -> None:
    raw = encode(EVERY_TYPE)
    assert decode(b"before" + raw + b"after", 6) == (EVERY_TYPE, 6 + len(raw))


def test_every_type_has_the_value_that_an_independent_decoder_finds() -> None:
    assert _values(EVERY_TYPE) == thrift_decoder.decode(encode(EVERY_TYPE))[0]


def _values(struct: Struct) -> thrift_decoder.Struct:
    """Return the values of a struct without their types."""
    return {field_id: _value(value_type, value) for field_id, (value_type, value) in struct.items()}


def _value(value_type: int, value: Any) -> Any:
    if value_type == STRUCT:
        return _values(value)
    if isinstance(value, Items):
        return [_value(value.element_type, element) for element in value.values]
    if isinstance(value, Pairs):
        return dict(value.pairs)
    return unpack("<d", value)[0] if value_type == DOUBLE else value


def test_a_struct_cut_off_anywhere_is_refused() -> None:
    raw = encode(EVERY_TYPE)
    for size in range(len(raw)):
        with pytest.raises(ValueError, match="cut off"):
            decode(raw[:size])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x1c" * 1000, "nested deeper"),
        (b"\x19" * 2 + b"\x19" * 1000, "nested deeper"),
        (b"\x19\xfc\xff\xff\xff\xff\x07", "promises 2147483647"),
        (b"\x18\xff\xff\xff\xff\x0f", "promises 4294967295"),
        (b"\x16" + b"\xff" * 9 + b"\x02\x00", "more than 64 bits"),
        (b"\x1e\x00", "unknown type 14"),
        (b"\x10\x00", "unknown type 0"),
        (b"\x19\x10\x00\x00", "unknown type 0"),
        (b"\x1a\x20\x00\x00\x00", "unknown type 0"),
        (b"\x1b\x01\x08\x00\x00", "unknown type 0"),
        (b"\x1b\x01\x50\x02\x00", "unknown type 0"),
        (b"\x15\x02\x05\x02\x04\x00", "field 1 twice"),
    ],
)
def test_garbage_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(raw)


@pytest.mark.parametrize("variant", [9, 10])
def test_an_empty_list_needs_no_type(variant: int) -> None:
    raw = bytes([0x10 | variant, 0, 0x15, 2, 0])
    assert decode(raw) == ({1: (variant, Items(0, [])), 2: (I32, 1)}, 5)
    assert encode(decode(raw)[0]) == raw


def test_a_struct_ends_at_its_first_zero() -> None:
    assert decode(b"\x00\x10\x00") == ({}, 1)


def test_depth_is_limited_where_it_says() -> None:
    struct: Struct = {}
    for _ in range(MAX_DEPTH):
        struct = {1: (STRUCT, struct)}
    assert decode(encode(struct))[0] == struct
    with pytest.raises(ValueError, match="nested deeper"):
        decode(encode({1: (STRUCT, struct)}))


@given(st.binary(max_size=300))
@example(b"\x10\x00")  # a field of type 0, which is none
@example(b"\x19\x00\x00")  # an empty list of type 0, which does no harm
@example(b"\x19\x0e\x00")  # an empty list of a type that there isn't
def test_any_bytes_decode_or_raise_value_error(raw: bytes) -> None:
    try:
        struct, end = decode(raw)
    except ValueError:
        return
    assert end <= len(raw)
    encoded = encode(struct)
    assert decode(encoded) == (struct, len(encoded))


INTEGERS = st.integers(-(2**63), 2**63 - 1)
FIELD_IDS = st.integers(-(2**15), 2**15 - 1)
SCALARS: dict[int, st.SearchStrategy[object]] = {
    TRUE: st.booleans(),
    BYTE: st.integers(-128, 127),
    I16: INTEGERS,
    I32: INTEGERS,
    I64: INTEGERS,
    DOUBLE: st.binary(min_size=8, max_size=8),
    BINARY: st.binary(max_size=20),
    UUID: st.binary(min_size=16, max_size=16),
}


def _field(variant: int, value: object) -> tuple[int, object]:
    return (variant, value) if variant != TRUE or value else (TRUE + 1, False)


def _structs(values: st.SearchStrategy[tuple[int, object]]) -> st.SearchStrategy[Struct]:
    return st.dictionaries(FIELD_IDS, values, max_size=4)


def _containers(
    values: st.SearchStrategy[tuple[int, object]],
) -> st.SearchStrategy[tuple[int, object]]:
    structs = _structs(values)
    scalars = [st.tuples(st.just(variant), st.lists(entry)) for variant, entry in SCALARS.items()]
    items = st.one_of(*scalars, st.tuples(st.just(STRUCT), st.lists(structs, max_size=3)))
    lists = items.map(lambda pair: (LIST, Items(*pair)))
    empty = st.integers(0, 15).map(lambda variant: (LIST, Items(variant, [])))
    pairs = st.lists(st.tuples(SCALARS[BINARY], structs), min_size=1, max_size=3)
    maps = pairs.map(lambda pairs: (MAP, Pairs(BINARY, STRUCT, pairs)))
    return st.one_of(structs.map(lambda struct: (STRUCT, struct)), lists, empty, maps)


FIELDS = st.recursive(
    st.one_of(*(entry.map(partial(_field, variant)) for variant, entry in SCALARS.items())),
    _containers,
    max_leaves=12,
)


@given(_structs(FIELDS))
def test_any_struct_comes_back(struct: Struct) -> None:
    raw = encode(struct)
    assert decode(raw) == (struct, len(raw))
    assert encode(decode(raw)[0]) == raw
