"""The Thrift codec: what it decodes it encodes to the same bytes, and garbage is refused."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
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


def test_a_real_footer_comes_back_to_the_byte() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1.5, None], "name": ["a", "b"]}), sink)
    raw = sink.getvalue()
    footer = raw[-8 - int.from_bytes(raw[-8:-4], "little") : -8]
    struct, end = decode(footer)
    assert end == len(footer)
    assert encode(struct) == footer
    assert struct[3] == (I64, 2)


EVERY_KIND: Struct = {
    1: (TRUE, True),
    2: (TRUE + 1, False),
    3: (BYTE, -3),
    4: (I16, -300),
    5: (I32, 2**31 - 1),
    6: (I64, -(2**63)),
    7: (DOUBLE, b"\x01\x00\x00\x00\x00\x00\xf8\x7f"),
    8: (BINARY, b"\xff" * 200),
    30: (LIST, Items(TRUE, [True, False])),
    29: (LIST, Items(I64, list(range(100)))),
    31: (MAP, Pairs(BINARY, I32, [(b"key", 7)])),
    32: (MAP, Pairs(0, 0, [])),
    33: (STRUCT, {1: (LIST, Items(STRUCT, [{}, {2: (I32, 1)}]))}),
    34: (UUID, bytes(range(16))),
}


def test_every_kind_comes_back() -> None:
    raw = encode(EVERY_KIND)
    assert decode(b"before" + raw + b"after", 6) == (EVERY_KIND, 6 + len(raw))


def test_a_struct_cut_off_anywhere_is_refused() -> None:
    raw = encode(EVERY_KIND)
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
        (b"\x1e\x00", "unknown kind 14"),
        (b"\x15\x02\x05\x02\x04\x00", "field 1 twice"),
    ],
)
def test_garbage_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(raw)


def test_depth_is_limited_where_it_says() -> None:
    struct: Struct = {}
    for _ in range(MAX_DEPTH):
        struct = {1: (STRUCT, struct)}
    assert decode(encode(struct))[0] == struct
    with pytest.raises(ValueError, match="nested deeper"):
        decode(encode({1: (STRUCT, struct)}))


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_value_error(raw: bytes) -> None:
    try:
        struct, end = decode(raw)
    except ValueError:
        return
    assert end <= len(raw)
    assert decode(encode(struct))[0] == struct
