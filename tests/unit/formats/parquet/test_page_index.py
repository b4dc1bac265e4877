"""The page index: true of the columns that change, where the file had one, and kept elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import thrift_decoder
from tests.support.assertions import assert_doubled
from tests.unit.formats.parquet.test_rewriting import (
    Paths,
    footer_of,
    odd_rows,
    paths,
    rewrite,
    table,
    vectors,
    with_footer,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["paths"]

TYPES = {4: "<f4", 5: "<f8", 7: "<f2"}


def groups_of(path: Path) -> list[list[thrift_decoder.Struct]]:
    return [group[1] for group in thrift_decoder.read_footer(path.read_bytes())[4]]


def pages_of(raw: bytes, chunk: thrift_decoder.Struct, num_rows: int) -> list[tuple[int, int]]:
    """Return the rows of each page, after looking whether it is where the offset index says."""
    index, end = thrift_decoder.decode(raw, chunk[4])
    assert end - chunk[4] == chunk[5]
    starts = [page[3] for page in index[1]]
    position = chunk[3][9]
    for page in index[1]:
        assert page[1] == position
        header, body = thrift_decoder.decode(raw, position)
        assert header[1] in (0, 3)
        assert body + header[3] == position + page[2]
        position += page[2]
    assert position == chunk[3][9] + chunk[3][7]
    return list(zip(starts, [*starts[1:], num_rows], strict=True))


def numbers_of(rows: list[Any]) -> tuple[list[float], int]:
    """Return the numbers of some rows, without NaN, and how many nulls there are beside them."""
    values = [v for row in rows for v in (row if isinstance(row, list) else [row]) or [None]]
    return [v for v in values if v is not None and not math.isnan(v)], values.count(None)


def assert_true_index(path: Path, column: int, group_rows: int) -> int:
    """Compare the index of a column with its values, and return how many pages it has."""
    raw, num_pages = path.read_bytes(), 0
    rows = pq.read_table(path).column(column).to_pylist()
    for number, chunks in enumerate(groups_of(path)):
        chunk = chunks[column]
        group = rows[number * group_rows : (number + 1) * group_rows]
        index, end = thrift_decoder.decode(raw, chunk[6])
        assert end - chunk[6] == chunk[7]
        are_null, least, greatest, order, counts = (index[i] for i in range(1, 6))
        expected = []
        pages = pages_of(raw, chunk, len(group))
        for page, (start, stop) in enumerate(pages):
            numbers, num_nulls = numbers_of(group[start:stop])
            assert are_null[page] == (not numbers)
            assert counts[page] == num_nulls
            bounds = b"".join((least[page], greatest[page]))
            stored = np.frombuffer(bounds, TYPES[chunk[3][1]])
            assert stored.tolist() == ([min(numbers), max(numbers)] if numbers else [])
            expected += [tuple(stored.tolist())] if numbers else []
        assert order == boundary_order(expected)
        num_pages += len(pages)
    return num_pages


def boundary_order(bounds: list[tuple[float, ...]]) -> int:
    for order, sign in ((1, 1), (2, -1)):
        parts = [sign * np.array([pair[i] for pair in bounds]) for i in (0, 1)]
        if bounds and all((np.diff(part) >= 0).all() for part in parts):
            return order
    return 0


# True where there was one


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dtype", [None, "float16", "float64"])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_dense_rows(paths: Paths, version: str, dtype: str | None, codec: str) -> None:
    rows = vectors(num_rows=1500, dim=600)
    options: dict[str, Any] = {"data_page_version": version, "compression": codec}
    source = table(pa.array(list(rows)))
    pq.write_table(source, paths[0], write_page_index=True, row_group_size=1000, **options)
    rewrite(*paths, dtype=dtype)
    assert assert_true_index(paths[1], 1, 1000) > 2
    assert pq.read_table(paths[1]).drop(["vector"]).equals(source.drop(["vector"]))


@pytest.mark.parametrize("variant", [pa.list_(pa.float32()), pa.large_list(pa.float32())])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_null_and_ragged_rows(
    paths: Paths, variant: Any, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l2cli.formats.parquet.reader.BATCH_BYTES", 2**13)  # several windows
    source = table(pa.array(odd_rows(None) * 200, variant))
    pq.write_table(
        source,
        paths[0],
        write_page_index=True,
        row_group_size=3000,
        data_page_version=version,
        use_dictionary=False,
    )
    rewrite(*paths)
    assert_doubled(*paths, "vector")
    assert assert_true_index(paths[1], 1, 3000) > 10


def test_a_wide_table(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2cli.formats.parquet.reader._WIDE_WINDOW_BYTES", 2**13)
    rows = np.sort(vectors(num_rows=5000, dim=3), axis=0)
    columns = {f"x{i}": rows[:, i] for i in range(3)}
    pq.write_table(pa.table({**columns, "id": range(5000)}), paths[0], write_page_index=True)
    rewrite(*paths, names=("x*",))
    assert all(assert_true_index(paths[1], column, 5000) > 1 for column in range(3))
    expected = rows[rows[:, 0] * 2 > 3] * 2
    result = pl.scan_parquet(paths[1]).filter(pl.col("x0") > 3).collect()
    assert np.array_equal(result.drop("id").to_numpy(), expected)


@pytest.mark.parametrize("rows", [[None] * 5, [[]] * 3, [[None, None]] * 4])
def test_pages_of_nulls(paths: Paths, rows: list[Any]) -> None:
    source = table(pa.array(rows, pa.list_(pa.float32())))
    pq.write_table(source, paths[0], write_page_index=True)
    rewrite(*paths)
    assert assert_true_index(paths[1], 1, len(rows)) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_pages_in_order(paths: Paths, sign: int) -> None:
    rows = np.sort(vectors(num_rows=1000, dim=1), axis=0) + np.zeros((1, 1000), "float32")
    pq.write_table(table(pa.array(list(rows[::sign]))), paths[0], write_page_index=True)
    rewrite(*paths)
    assert assert_true_index(paths[1], 1, 1000) > 2
    raw = paths[1].read_bytes()
    index, _ = thrift_decoder.decode(raw, groups_of(paths[1])[0][1][6])
    assert index[4] == (1 if sign == 1 else 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_of_both_signs_are_within_the_bounds(paths: Paths, dtype: str) -> None:
    rows = np.array([[0.0, -1.0], [-0.0, -2.0]], dtype)
    pq.write_table(table(pa.array(list(rows))), paths[0], write_page_index=True)
    rewrite(*paths)
    raw = paths[1].read_bytes()
    index, _ = thrift_decoder.decode(raw, groups_of(paths[1])[0][1][6])
    (greatest,) = np.frombuffer(index[3][0], dtype)
    assert greatest == 0
    assert not np.signbit(greatest)


# What can't be told, and what wasn't there


def test_a_page_of_nan_has_no_bounds_so_there_is_no_column_index(paths: Paths) -> None:
    rows = vectors(num_rows=1000, dim=1000)
    rows[200:900] = np.nan
    pq.write_table(table(pa.array(list(rows))), paths[0], write_page_index=True)
    rewrite(*paths)
    chunk = groups_of(paths[1])[0][1]
    assert 6 not in chunk
    assert 7 not in chunk
    assert len(pages_of(paths[1].read_bytes(), chunk, 1000)) > 1
    after = pq.read_table(paths[1])["vector"]
    assert np.array_equal(np.stack(after.to_numpy()), rows * 2, equal_nan=True)


def test_no_rows(paths: Paths) -> None:
    pq.write_table(table(pa.array([], pa.list_(pa.float32()))), paths[0], write_page_index=True)
    rewrite(*paths)
    assert pq.read_table(paths[1]).num_rows == 0


@pytest.mark.parametrize("column", ["vector", "x*"])
def test_no_index_where_there_was_none(paths: Paths, column: str) -> None:
    rows = vectors(dim=2)
    both = pa.table({"vector": list(rows), "x0": rows[:, 0], "x1": rows[:, 1]})
    pq.write_table(both, paths[0])
    rewrite(*paths, names=(column,))
    assert not [i for chunk in groups_of(paths[1])[0] for i in chunk if i in (4, 5, 6, 7)]


def test_an_offset_index_alone_stays_alone(paths: Paths) -> None:
    pq.write_table(table(), paths[0], write_page_index=True)
    footer, body = footer_of(paths[0].read_bytes())
    for chunk in footer[4][1].values[0][1][1].values:
        del chunk[6], chunk[7]
    paths[0].write_bytes(with_footer(body, footer))
    rewrite(*paths)
    chunk = groups_of(paths[1])[0][1]
    assert 6 not in chunk
    assert pages_of(paths[1].read_bytes(), chunk, 100) == [(0, 100)]


def test_an_index_without_statistics_stays_without(paths: Paths) -> None:
    """Of the column chunk and of the pages, whose bounds the index has."""
    pq.write_table(table(), paths[0], write_page_index=True)
    footer, body = footer_of(paths[0].read_bytes())
    for chunk in footer[4][1].values[0][1][1].values:
        del chunk[3][1][12]
    paths[0].write_bytes(with_footer(body, footer))
    rewrite(*paths)
    assert_doubled(*paths, "vector")
    assert assert_true_index(paths[1], 1, 100) == 1
    rewrite(*paths, batch_size=3, change=lambda rows: rows * 2)
    assert assert_true_index(paths[1], 1, 100) == 1


@pytest.mark.parametrize("options", [{}, {"use_byte_stream_split": ["vector.list.element"]}])
def test_the_order_of_fields_suits_readers_without_long_field_ids(
    paths: Paths, options: dict[str, Any]
) -> None:
    pq.write_table(table(), paths[0], write_page_index=True, use_dictionary=False, **options)
    rewrite(*paths)
    for chunk in groups_of(paths[1])[0]:
        assert list(chunk) == sorted(chunk)
        assert list(chunk[3]) == sorted(chunk[3])
    assert_true_index(paths[1], 1, 100)
