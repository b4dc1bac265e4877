"""Parquet files as other programs write them: what is peculiar in their footers, and what isn't.

The footers of programs that aren't Python libraries are made by hand, from their descriptions.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import DestinationError, FormatError
from l2cli.formats.parquet import ParquetReader, thrift
from tests.support.assertions import assert_doubled, twice
from tests.unit.formats.parquet.test_rewriting import (
    NUM_ROWS,
    Paths,
    footer_of,
    paths,
    rewrite,
    table,
    vectors,
    with_footer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["paths"]

ROWS = [[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]]
EMPTY_LIST = thrift.LIST, thrift.Items(0, [])

FASTPARQUET_WIDE = (
    "eNqtlEFr2zAYhr+4qfGhVxl7ZGAELR0kIU5K2Upg3m2HHkoPO2zrjGypq4Ytu7Y8ErJAjvtR/TH7KZWcpLEhZDvM"
    "ByN93/PqfS0Z3Xy49RGgC/S2j0w1MJEF8IoaAGB2AIIAYPUeGs8BeBVsmKABX6FpA359voYVDaRzfBHpQfyCG+71"
    "R7OMH1hKkAnIQgEynGPK03DUmvmATk4NpyvZTJ4C2Kbbc6dnVg9ZLgJ3o0CGbdqf7M8u2NbU6eqP0W+FA7g9pMPp"
    "MGdRS+Y3ZFEtW+2XPXV66KTW1TFq2Vf7m5I9daaXLdb+rZqq4Jg5EZSUzp/uAsdZUqUi5IKyGSvxlfdlge85S2go"
    "SMrUXFRJ0vdwyiShRJJdpd0XVZrPQznPdQ1n0Q8WS6zqa6uXRspnjA64kOw7K/DyThHrBPuscb2B+JD7DmkHuE8y"
    "IifjPQm2nWXf22fn/93O/092+rwOu22Jf9zcSvA4o2yzrQUjMitUfYETHhWkmNd5SClzUjxWrF7hJytKngndGY/G"
    "l8N3w5GOiuv/IWwczd3OrqkZToaTdZJCcqmqLc0SnEHDcJDP5UMmvM0C3tbRO48qnlBv9AZ+HQHcqMvgGUnlAPk="
)
"""Columns ``dim_0``, ``dim_1`` and ``text``; with them, three empty lists whose type byte is 0."""
FASTPARQUET_JSON = (
    "eNqVUs9rwjAUjh0rCgrbIaWFHkpA2aCWTjdhw8tuHmVXkS61USNt2rXpsIiXHcf+6L2q0wpjsBySl+97731ffoyf"
    "X+4wwiv8amMVAhXXEXoYKQghtdaAedJ3XPvecaeXras7CN3r1tCFtQcQOgysGPZIzWZLFlGsINxsK3qDRT4LAi4W"
    "7Q7SVMM0zE7dxE0DI6NCYkVTta+a9lEzkFYfDhAyTLABLaFvSagA6GpCRUAz/fNiQ2ZxmEfC4yJga5aRJ2uyIXPO"
    "wsATNGKwF3kY2haJmKQBlfSEnPMij5LCk0VSYiT2V2wmCeB7qSMR8TULulxItmAp2U4hY+/gN2lyPBf5y8F52n+M"
    "HAykjMo4BXRDQu6nNC3KjDnNZELTt5zt6t9ZmvFYlEzP7Q2cR8clW8B3N+dVDjE9iVVrnL7T3/tIJZeAntVskd6t"
    "CHaTQi5jYR0aWD+K1o2f8zCw3FvUgScdw3f7Bjr9rjg="
)
"""A column ``embedding``: each row's list as JSON text."""


def unpacked(fixture: str) -> bytes:
    return zlib.decompress(base64.b64decode(fixture))


def columns_of(path: Path) -> list[list[Any]]:
    return [column.to_pylist() for column in pq.read_table(path).columns]


# fastparquet


def test_a_table_of_fastparquet(paths: Paths) -> None:
    paths[0].write_bytes(unpacked(FASTPARQUET_WIDE))
    rewrite(*paths, names=("dim_*",))
    expected = [[6.0, 2.0, 0.0], [8.0, 0.0, 4.0], ["a", "b", "c"]]
    assert columns_of(paths[1]) == expected
    assert pl.read_parquet(paths[1]).rows() == list(zip(*expected, strict=True))
    before, after = (footer_of(path.read_bytes())[0] for path in paths)
    assert list(after) == list(before)
    assert [after[i] for i in (1, 2, 3, 5, 6)] == [before[i] for i in (1, 2, 3, 5, 6)]
    chunks = [footer[4][1].values[0][1][1].values[2] for footer in (before, after)]
    assert chunks[0][3][1][8] == chunks[1][3][1][8] == EMPTY_LIST


def test_another_dtype_is_told_to_pandas_too(paths: Paths) -> None:
    paths[0].write_bytes(unpacked(FASTPARQUET_WIDE))
    rewrite(*paths, names=("dim_*",), dtype="float64")
    after = pd.read_parquet(paths[1])
    assert after.dtypes.astype(str).tolist()[:2] == ["float64", "float64"]
    assert after["text"].tolist() == ["a", "b", "c"]
    assert np.array_equal(after[["dim_0", "dim_1"]].to_numpy(), 2 * np.array(ROWS))


def test_lists_that_fastparquet_wrote_as_json_are_refused(paths: Paths) -> None:
    paths[0].write_bytes(unpacked(FASTPARQUET_JSON))
    with ParquetReader(paths[0]) as reader:
        (spec,) = reader.arrays()
    assert "JSON text; lists that fastparquet wrote so" in spec.refusal


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"row_group_offsets": [0, 2]}, {"compression": "GZIP"}])
def test_fastparquet_itself(paths: Paths, dtype: str, options: dict[str, Any]) -> None:
    fastparquet = pytest.importorskip("fastparquet")
    frame = pd.DataFrame(np.array(ROWS, dtype), columns=["x0", "x1"]).assign(id=range(3))
    fastparquet.write(str(paths[0]), frame, **options)
    rewrite(*paths, names=("x*",))
    for frame in (
        fastparquet.ParquetFile(str(paths[1])).to_pandas(),
        pq.read_table(paths[1]).to_pandas(ignore_metadata=True),
        pl.read_parquet(paths[1]).to_pandas(),
    ):
        assert np.array_equal(frame[["x0", "x1"]].to_numpy(), 2 * np.array(ROWS))
        assert frame["id"].tolist() == [0, 1, 2]


def test_duckdb_itself(paths: Paths) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = "select [i, i + 1]::float[] as vector, i::varchar as id from range(50) as t(i)"
    duckdb.sql(f"copy ({query}) to '{paths[0]}' (format parquet, row_group_size 20)")
    rewrite(*paths)
    assert_doubled(*paths, "vector")
    rows = duckdb.sql(f"select vector, id from '{paths[1]}'").fetchall()
    assert rows == [([2.0 * i, 2.0 * i + 2], str(i)) for i in range(50)]


def test_float16_of_fastparquet_is_float32_in_the_file(paths: Paths) -> None:
    """pandas is told float16 then; what it is told must not outlive another dtype."""
    frame = pd.DataFrame(np.array(ROWS, "float32"), columns=["x0", "x1"])
    told = frame.astype("float16").dtypes
    pq.write_table(pa.Table.from_pandas(frame), paths[0])
    schema = pq.read_schema(paths[0])
    words = schema.metadata[b"pandas"].replace(b"float32", b"float16")
    schema = schema.with_metadata({b"pandas": words})
    pq.write_table(pa.Table.from_pandas(frame).cast(schema), paths[0])
    assert json.loads(words)["columns"][0]["numpy_type"] == str(told.iloc[0])
    rewrite(*paths, names=("x*",), dtype="float64")
    columns = json.loads(pq.read_schema(paths[1]).metadata[b"pandas"])["columns"]
    assert [column["numpy_type"] for column in columns[:2]] == ["float64", "float64"]
    assert [column["pandas_type"] for column in columns[:2]] == ["float64", "float64"]


# Empty lists without a type, wherever they stand


def _chunks(footer: thrift.Struct) -> list[Any]:
    return [column for group in footer[4][1].values for column in group[1][1].values]


def _in_footer(footer: thrift.Struct) -> None:
    footer[5] = EMPTY_LIST


def _in_columns(footer: thrift.Struct) -> None:
    for column in _chunks(footer):
        column[3][1][8] = EMPTY_LIST


def _in_groups(footer: thrift.Struct) -> None:
    for group in footer[4][1].values:
        group[4] = EMPTY_LIST


def _in_fields_of_the_future(footer: thrift.Struct) -> None:
    footer[100] = EMPTY_LIST
    footer[101] = thrift.STRUCT, {1: EMPTY_LIST, 2: (thrift.SET, thrift.Items(0, []))}


@pytest.mark.parametrize("change", [_in_footer, _in_columns, _in_groups, _in_fields_of_the_future])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_an_empty_list_without_a_type(
    paths: Paths, change: Callable[[thrift.Struct], None], dtype: str | None
) -> None:
    pq.write_table(table(), paths[0], row_group_size=40, store_schema=False)
    footer, body = footer_of(paths[0].read_bytes())
    change(footer)
    paths[0].write_bytes(with_footer(body, footer))
    rewrite(*paths, dtype=dtype)
    before, after = pq.read_table(paths[0]), pq.read_table(paths[1])
    assert after["vector"].to_pylist() == twice(before["vector"])
    assert after.drop(["vector"]).equals(before.drop(["vector"]))
    raw = thrift.encode(footer_of(paths[1].read_bytes())[0])
    assert paths[1].read_bytes().endswith(raw + len(raw).to_bytes(4, "little") + b"PAR1")


def test_no_row_groups_at_all(paths: Paths) -> None:
    pq.write_table(table().slice(0, 0), paths[0])
    footer, body = footer_of(paths[0].read_bytes())
    footer[4] = EMPTY_LIST
    paths[0].write_bytes(with_footer(body, footer))
    rewrite(*paths)
    assert pq.read_table(paths[1]).num_rows == 0


@pytest.mark.parametrize("value", [b"\x10", b"\x19\x10\x00", b"\x1b\x01\x08\x00", b"\xf0\x02\x02"])
def test_type_0_elsewhere_is_refused(paths: Paths, value: bytes) -> None:
    pq.write_table(table(), paths[0])
    raw = paths[0].read_bytes()
    footer, body = footer_of(raw)
    encoded = thrift.encode({i: footer[i] for i in (1, 2, 3, 4)})[:-1] + value + b"\x00"
    paths[0].write_bytes(body + encoded + len(encoded).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(FormatError, match="unknown type 0"):
        ParquetReader(paths[0])


# A footer that says 0 rows


@pytest.mark.parametrize("dtype", [None, "float64"])
def test_a_footer_that_does_not_count(paths: Paths, dtype: str | None) -> None:
    pq.write_table(table(), paths[0], row_group_size=40)
    true = pq.read_table(paths[0])
    footer, body = footer_of(paths[0].read_bytes())
    footer[3] = thrift.I64, 0
    paths[0].write_bytes(with_footer(body, footer))
    with ParquetReader(paths[0]) as reader:
        assert reader.notes == [
            "the footer says 0 rows and the row groups have 100; what is written says the latter"
        ]
        assert reader.arrays()[1].shape == (NUM_ROWS, None)
    rewrite(*paths, dtype=dtype)
    after = pq.read_table(paths[1])
    assert after["vector"].to_pylist() == twice(true["vector"])
    assert pq.read_metadata(paths[1]).num_rows == NUM_ROWS
    assert pl.read_parquet(paths[1]).height == NUM_ROWS  # of the source it reads none


def test_a_row_group_that_says_0_rows_over_values_is_refused(paths: Paths) -> None:
    pq.write_table(table(), paths[0])
    footer, body = footer_of(paths[0].read_bytes())
    footer[4][1].values[0][3] = thrift.I64, 0
    paths[0].write_bytes(with_footer(body, footer))
    with pytest.raises(FormatError, match="have 0 rows, not the 100"):
        ParquetReader(paths[0])


# Names and levels of lists, by program


SPARK = {
    b"org.apache.spark.version": b"3.5.1",
    b"org.apache.spark.sql.parquet.row.metadata": b'{"type":"struct","fields":[]}',
}


def as_written_by(
    path: Path, names: tuple[bytes, bytes], creator: bytes, key_values: dict[bytes, bytes]
) -> None:
    """Write a table, with other names for the levels of the list, and no schema of Arrow's."""
    pq.write_table(table(), path, store_schema=False, row_group_size=40)
    footer, body = footer_of(path.read_bytes())
    middle, leaf = footer[2][1].values[3:5]
    middle[4], leaf[4] = ((thrift.BINARY, name) for name in names)
    for column in _chunks(footer)[1::3]:
        column[3][1][3][1].values[1:] = names
    footer[6] = thrift.BINARY, creator
    pairs = [{1: (thrift.BINARY, k), 2: (thrift.BINARY, v)} for k, v in key_values.items()]
    footer[5] = thrift.LIST, thrift.Items(thrift.STRUCT, pairs)
    path.write_bytes(with_footer(body, dict(sorted(footer.items()))))


@pytest.mark.parametrize(
    ("names", "creator", "key_values"),
    [
        ((b"list", b"element"), b"parquet-mr version 1.13.1 (build db4183109d5b)", SPARK),
        ((b"bag", b"array"), b"parquet-mr version 1.10.1 (build a89df8f9932b)", SPARK),
        ((b"bag", b"array_element"), b"parquet-mr version 1.8.1", {}),
        ((b"list", b"item"), b"Parquet.Net v5.0.0", {}),
        ((b"list", b"array"), b"https://github.com/gaborcsardi/nanoparquet", {}),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_names_of_the_levels_of_a_list(
    paths: Paths,
    names: tuple[bytes, bytes],
    creator: bytes,
    key_values: dict[bytes, bytes],
    dtype: str | None,
) -> None:
    as_written_by(paths[0], names, creator, key_values)
    rewrite(*paths, dtype=dtype)
    after = pq.read_table(paths[1])
    assert after["vector"].to_pylist() == twice(pq.read_table(paths[0])["vector"])
    before, footer = (footer_of(path.read_bytes())[0] for path in paths)
    assert [footer[5], footer[6]] == [before[5], before[6]]
    assert [e[4] for e in footer[2][1].values] == [e[4] for e in before[2][1].values]
    assert _chunks(footer)[1][3][1][3] == _chunks(before)[1][3][1][3]
    assert pl.read_parquet(paths[1])["vector"].to_list() == after["vector"].to_pylist()


@pytest.mark.parametrize("name", [b"array", b"vector_tuple"])
def test_names_that_make_an_element_of_the_middle_level(paths: Paths, name: bytes) -> None:
    """By the format's rules these are lists of structs, as Avro and Thrift write them."""
    as_written_by(paths[0], (name, b"x"), b"parquet-mr", {})
    assert pq.read_schema(paths[0]).field(1).type.value_type == pa.struct({"x": pa.float32()})
    with ParquetReader(paths[0]) as reader:
        assert reader.arrays()[1].refusal


def test_fields_that_only_newer_readers_know_stay(paths: Paths) -> None:
    """``unknown-logical-type.parquet`` of parquet-testing, and what a later version may add."""
    pq.write_table(table(), paths[0], store_schema=False)
    footer, body = footer_of(paths[0].read_bytes())
    future: tuple[int, thrift.Struct] = thrift.STRUCT, {2555: (thrift.STRUCT, {})}
    footer[2][1].values[1][10] = future
    footer[100] = thrift.BINARY, b"later"
    _chunks(footer)[0][100] = thrift.MAP, thrift.Pairs(thrift.BINARY, thrift.I32, [(b"a", 1)])
    paths[0].write_bytes(with_footer(body, footer))
    rewrite(*paths)
    after, _ = footer_of(paths[1].read_bytes())
    assert after[2][1].values[1][10] == future
    assert after[100] == footer[100]
    assert _chunks(after)[0][100] == _chunks(footer)[0][100]


def test_an_offset_of_0_for_a_dictionary_that_is_not_there(paths: Paths) -> None:
    """``dict-page-offset-zero.parquet`` of parquet-testing."""
    pq.write_table(table(), paths[0], use_dictionary=False, row_group_size=40)
    footer, body = footer_of(paths[0].read_bytes())
    for column in _chunks(footer):
        column[3][1][11] = thrift.I64, 0
        column[2] = thrift.I64, 0
    paths[0].write_bytes(with_footer(body, footer))
    rewrite(*paths)
    after = pq.read_table(paths[1])["vector"].to_pylist()
    assert after == twice(table()["vector"])


# Schemas of other programs in the metadata

SPARK_KEY = b"org.apache.spark.sql.parquet.row.metadata"


def spark_schema(number: str) -> dict[str, Any]:
    array = {"type": "array", "elementType": number, "containsNull": True}
    fields = [
        {"name": "id", "type": "long", "nullable": True, "metadata": {}},
        {"name": "vector", "type": array, "nullable": True, "metadata": {"float": "float"}},
        {"name": "float", "type": "float", "nullable": True, "metadata": {}},
    ]
    return {"type": "struct", "fields": fields}


def avro_schema(number: str) -> dict[str, Any]:
    array = {"type": "array", "items": ["null", number], "default": []}
    fields = [{"name": "vector", "type": ["null", array]}, {"name": "x", "type": "float"}]
    return {"type": "record", "name": "float", "fields": fields}


def avro_schema_of_three_levels(number: str) -> dict[str, Any]:
    element = {"name": "element", "type": ["null", number], "default": None}
    record = {"type": "record", "name": "list", "fields": [element]}
    return {
        **avro_schema(number),
        "fields": [{"name": "vector", "type": {"type": "array", "items": record}}],
    }


def iceberg_schema(number: str) -> dict[str, Any]:
    array = {"type": "list", "element-id": 3, "element": number, "element-required": False}
    fields = [{"id": 2, "name": "vector", "required": False, "type": array}]
    return {"type": "struct", "schema-id": 0, "fields": fields}


EMBEDDED = [
    (SPARK_KEY, spark_schema),
    (b"parquet.avro.schema", avro_schema),
    (b"parquet.avro.schema", avro_schema_of_three_levels),
    (b"iceberg.schema", iceberg_schema),
]


@pytest.mark.parametrize(
    ("key", "schema"), EMBEDDED, ids=lambda value: getattr(value, "__name__", "")
)
def test_embedded_schemas_name_the_new_dtype(
    paths: Paths, key: bytes, schema: Callable[[str], dict[str, Any]]
) -> None:
    written = {key: json.dumps(schema("float")).encode(), b"other": b"float"}
    as_written_by(paths[0], (b"list", b"element"), b"parquet-mr", written)
    rewrite(*paths, dtype="float64")
    metadata = pq.read_metadata(paths[1]).metadata
    assert json.loads(metadata[key]) == schema("double")
    assert metadata[b"other"] == b"float"
    rewrite(*paths)
    assert pq.read_metadata(paths[1]).metadata[key] == written[key]
    with pytest.raises(DestinationError, match="schema, which has no float16; use `dtype="):
        rewrite(*paths, dtype="float16")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"fields": 3}', b'{"fields": [[]]}', b"null"])
def test_a_schema_in_no_known_form_stays(paths: Paths, text: bytes) -> None:
    as_written_by(paths[0], (b"list", b"element"), b"parquet-mr", {SPARK_KEY: text})
    rewrite(*paths, dtype="float64")
    assert pq.read_metadata(paths[1]).metadata == {SPARK_KEY: text}


@pytest.mark.parametrize("writer", ["pandas", "polars", "pyarrow"])
def test_footers_come_back_to_the_byte(writer: str) -> None:
    sink = io.BytesIO()
    if writer == "pandas":
        pd.DataFrame({"vector": list(vectors()), "x": 1.5}).to_parquet(sink)
    elif writer == "polars":
        pl.DataFrame({"vector": vectors().tolist(), "x": ["a"] * NUM_ROWS}).write_parquet(sink)
    else:
        pq.write_table(table(), sink, write_page_index=True, sorting_columns=[pq.SortingColumn(0)])
    footer, body = footer_of(sink.getvalue())
    assert with_footer(body, footer) == sink.getvalue()


@pytest.mark.parametrize("fixture", [FASTPARQUET_WIDE, FASTPARQUET_JSON])
def test_footers_of_fastparquet_come_back_to_the_byte(fixture: str) -> None:
    footer, body = footer_of(unpacked(fixture))
    assert with_footer(body, footer) == unpacked(fixture)
