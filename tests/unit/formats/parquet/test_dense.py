"""Dense rows of Parquet, read and written without pyarrow: with the results that it has.

Rows are doubled on their way through, and read back with pyarrow, pandas and Polars.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from l2cli.errors import FormatError
from l2cli.formats.parquet import ParquetReader, thrift
from l2cli.formats.parquet.columns import single_columns
from l2cli.formats.parquet.dense.decode import dense_windows
from l2cli.formats.parquet.dense.encode import encode_dense
from l2cli.formats.parquet.footer import Footer
from l2cli.formats.parquet.section import Section
from l2cli.formats.parquet.writer_properties import WriterProperties
from l2cli.formats.tabular.lists import ListWindow
from tests.support import thrift_decoder
from tests.support.doubling import rewrite

if TYPE_CHECKING:
    from pathlib import Path

Rows = np.ndarray[Any, Any]

LENGTHS = [1, 2, 7, 8, 9, 31, 32, 33, 48, 768, 1001]
CODECS = ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]
LIST_TYPES = ["list", "large_list", "required", "fixed"]


def random_rows(num_rows: int, length: int, dtype: str = "float32") -> Rows:
    return np.random.default_rng(length).standard_normal((num_rows, length)).astype(dtype)


def column_of(rows: Rows, list_type: str = "list") -> Any:
    values = pa.array(rows.reshape(-1))
    offsets = np.arange(0, rows.size + 1, rows.shape[1])
    if list_type == "fixed":
        return pa.FixedSizeListArray.from_arrays(values, rows.shape[1])
    if list_type == "large_list":
        return pa.LargeListArray.from_arrays(offsets, values)
    field = pa.field("element", values.type, nullable=list_type != "required")
    return pa.ListArray.from_arrays(offsets.astype("i4"), values, pa.list_(field))


def write(path: Path, rows: Rows, list_type: str = "list", **options: Any) -> Path:
    """Write ``rows`` with pyarrow, as a column of lists."""
    column = column_of(rows, list_type)
    field = pa.field("vector", column.type, nullable=list_type != "required")
    table = pa.table([column], schema=pa.schema([field]))
    pq.write_table(table, path, **{"use_dictionary": False, **options})
    return path


def double(source: Path, *, batch_size: int | None = None) -> Path:
    """Double the vectors of a file, and return the file that holds them.

    The rows and the statistics are the same with pyarrow, which reads and writes all of them then.
    """
    results = []
    for dense in (False, True):
        destination = source.with_name(f"doubled-{dense}.parquet")
        reader = partial(ParquetReader, dense=dense)
        rewrite(source, destination, batch_size=batch_size, reader=reader)
        results.append(destination)
    columns = [pq.read_table(path, page_checksum_verification=True)["vector"] for path in results]
    assert columns[0].type == columns[1].type
    assert pc.list_value_length(columns[0]).equals(pc.list_value_length(columns[1]))
    numbers = [pc.list_flatten(column).to_numpy().tobytes() for column in columns]
    assert numbers[0] == numbers[1]
    assert statistics_bytes(results[0]) == statistics_bytes(results[1])
    return results[1]


def dense_rows(path: Path) -> list[tuple[int, int]]:
    """Return which rows of each row group are read without pyarrow."""
    ranges = []
    with path.open("rb") as file:
        footer = Footer.read(file)
        (columns,) = single_columns(footer, pq.read_schema(path))
        for number, group in enumerate(footer.row_groups):
            section = Section(columns, number, group, 0, WINDOW_ROWS)
            start, windows = dense_windows(section, footer, file) or (group.num_rows, iter(()))
            ranges.append((start, start + sum(window.num_rows for window in windows)))
    return ranges


def assert_dense(path: Path, rows: Rows) -> None:
    """Check that all rows of a file are read, and would be written again, without pyarrow."""
    num_rows = [pq.read_metadata(path).row_group(0).num_rows, len(rows)]
    assert dense_rows(path)[0] == (0, num_rows[0])
    window = ListWindow(column_of(rows))
    with path.open("rb") as file:
        properties = WriterProperties.of(file, Footer.read(file).row_groups[0].chunks[0])
    pages = encode_dense(window, [rows], rows.dtype.name, 2, properties)
    assert pages is not None
    assert sum(page.metadata[5][1] for page in pages) == rows.size


def read(path: Path) -> Rows:
    column = pq.read_table(path, page_checksum_verification=True)["vector"]
    (length,) = pc.list_value_length(column).unique().to_pylist()
    rows: Rows = pc.list_flatten(column).to_numpy().reshape(-1, length)
    return rows


def bodies(path: Path) -> list[bytes]:
    """Return the bytes of the pages of the first row group, without their headers."""
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    raw = path.read_bytes()
    start, stop = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
    pages = []
    while start < stop:
        header, body = thrift_decoder.decode(raw, start)
        start = body + header[3]
        pages.append(raw[body:start])
    return pages


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
def test_the_pages_are_those_of_pyarrow(tmp_path: Path, codec: str, version: str) -> None:
    options: dict[str, Any] = {
        "compression": codec,
        "data_page_version": version,
        "write_page_checksum": True,
    }
    rows = random_rows(1000, 768)
    doubled = double(write(tmp_path / "x.parquet", rows, **options))
    expected = write(tmp_path / "expected.parquet", rows * 2, **options)
    assert len(bodies(expected)) == 3
    assert bodies(doubled) == bodies(expected)
    if codec in ("none", "snappy", "zstd"):
        assert_dense(expected, rows)
    assert np.array_equal(read(doubled), rows * 2)
    chunks = [pq.ParquetFile(p).metadata.row_group(0).column(0) for p in (doubled, expected)]
    names = ("total_compressed_size", "total_uncompressed_size", "encodings", "num_values")
    assert [getattr(chunks[0], name) for name in names] == [
        getattr(chunks[1], name) for name in names
    ]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("list_type", LIST_TYPES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_length_of_row_for_any_reader(
    tmp_path: Path, dtype: str, list_type: str, version: str
) -> None:
    for length in LENGTHS:
        rows = random_rows(11, length, dtype)
        source = write(tmp_path / "x.parquet", rows, list_type, data_page_version=version)
        doubled = double(source)
        assert np.array_equal(read(doubled), rows * 2)
        for column in (pl.read_parquet(doubled)["vector"], pd.read_parquet(doubled)["vector"]):
            assert np.array_equal(np.stack(column.to_list()), rows * 2)


@pytest.mark.parametrize("page_bytes", [10_000, 123_456, 2**24])
def test_row_groups_of_many_windows(tmp_path: Path, page_bytes: int) -> None:
    rows = random_rows(300_000, 9)
    options: dict[str, Any] = {"row_group_size": 200_000, "data_page_size": page_bytes}
    source = write(tmp_path / "x.parquet", rows, **options)
    doubled = double(source)
    assert len(bodies(doubled)) == 7
    assert np.array_equal(read(doubled), rows * 2)
    again = doubled.read_bytes()
    assert double(source, batch_size=12_345).read_bytes() == again


def test_rows_that_are_larger_than_a_page(tmp_path: Path) -> None:
    rows = random_rows(3, 300_000)
    doubled = double(write(tmp_path / "x.parquet", rows))
    assert np.array_equal(read(doubled), rows * 2)


BOUNDS = [
    [1.0, 2.0],
    [-1.0, -2.0],
    [-3.0, 2.0],
    [0.0, 0.0],
    [-0.0, -0.0],
    [0.0, -0.0],
    [0.0, 5.0],
    [-5.0, -0.0],
    [np.nan, 1.0],
    [-1.0, -np.nan],
    [np.nan, -np.nan],
    [-np.inf, np.inf],
    [np.inf, np.nan],
    [6e-8, -6e-8],
]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("numbers", BOUNDS, ids=str)
def test_statistics_are_those_of_pyarrow(tmp_path: Path, numbers: list[float], dtype: str) -> None:
    rows = np.array([numbers] * 2, dtype)
    doubled = double(write(tmp_path / "x.parquet", rows))
    expected = write(tmp_path / "expected.parquet", rows * rows.dtype.type(2))
    assert statistics_bytes(doubled) == statistics_bytes(expected)


def statistics_bytes(path: Path) -> Any:
    return thrift_decoder.read_footer(path.read_bytes())[4][0][1][0][3][12]


def test_statistics_of_several_pages_are_merged(tmp_path: Path) -> None:
    rows = random_rows(3000, 400)
    rows[:700] = np.nan
    doubled = double(write(tmp_path / "x.parquet", rows))
    expected = write(tmp_path / "expected.parquet", rows * 2)
    assert statistics_bytes(doubled) == statistics_bytes(expected)
    assert pq.ParquetFile(doubled).metadata.row_group(0).column(0).statistics.has_min_max


# What pyarrow decodes


def assert_read(path: Path, expected: Rows, dense: tuple[int, int]) -> None:
    """Check what is read, and from which row to which without pyarrow."""
    with ParquetReader(path) as reader:
        batches = list(reader.batches(reader.arrays(), None))
    np.testing.assert_array_equal(np.concatenate([batch.rows for batch in batches]), expected)
    assert dense_rows(path) == [dense]


WINDOW_ROWS = 87381
"""Of nine components."""


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "none"}], ids=str)
def test_nothing_where_all_pages_are_dense(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = random_rows(300_000, 9)
    source = write(tmp_path / "x.parquet", rows, **options)
    assert_read(source, rows, (0, 300_000))


NOT_DENSE: list[dict[str, Any]] = [
    {"compression": "gzip"},
    {"compression": "lz4"},
    {"use_byte_stream_split": True},
    {"use_dictionary": True},
]


@pytest.mark.parametrize("options", NOT_DENSE, ids=str)
def test_other_codecs_and_encodings(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = random_rows(100, 9)
    source = write(tmp_path / "x.parquet", rows, **options)
    assert_read(source, rows, (100, 100))


def test_a_page_of_so_many_values_that_their_levels_take_memory(tmp_path: Path) -> None:
    rows = random_rows(5000, 1000, "float16")
    source = write(tmp_path / "x.parquet", rows, data_page_size=2**24)
    assert len(bodies(source)) == 1
    assert_read(source, rows, (5000, 5000))


def test_windows_before_a_dictionary_is_full(tmp_path: Path) -> None:
    rows = random_rows(300_000, 9)
    options: dict[str, Any] = {"use_dictionary": True, "dictionary_pagesize_limit": 2**20}
    source = write(tmp_path / "x.parquet", rows, **options)
    assert_read(source, rows, (WINDOW_ROWS, 300_000))


@pytest.mark.parametrize("list_type", ["list", "fixed"])
def test_windows_after_a_null_component(tmp_path: Path, list_type: str) -> None:
    rows = random_rows(300_000, 9)
    rows[250_000, 3] = np.nan
    values = pa.array(rows.reshape(-1), from_pandas=True)
    column = column_of(rows, list_type)
    buffers = column.buffers()[: column.type.num_buffers]
    column = pa.Array.from_buffers(column.type, len(column), buffers, children=[values])
    pq.write_table(pa.table({"vector": column}), tmp_path / "x.parquet", use_dictionary=False)
    assert_read(tmp_path / "x.parquet", rows, (0, 2 * WINDOW_ROWS))


def test_rows_of_other_lengths_with_as_many_values(tmp_path: Path) -> None:
    columns: list[list[list[float] | None]] = [
        [[1, 2, 3], [4, 5], [6, 7, 8, 9]],
        [[1, 2, 3], [4, 5, 6, 7, 8], []],
        [[1], None, [2], []],
    ]
    for number, lists in enumerate(columns):
        source = tmp_path / f"{number}.parquet"
        column = pa.array(lists, pa.list_(pa.float32()))
        pq.write_table(pa.table({"vector": column}), source, use_dictionary=False)
        doubled = pq.read_table(double(source))["vector"].to_pylist()
        assert doubled == [row and [2 * x for x in row] for row in lists]


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip"])
def test_a_page_that_yields_less_than_it_promises(tmp_path: Path, codec: str) -> None:
    source = write(tmp_path / "x.parquet", random_rows(100, 9), compression=codec)
    raw = source.read_bytes()
    footer_start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    header, body = thrift.decode(raw, 4)
    footer, _ = thrift.decode(raw, footer_start)
    whole = pa.decompress(raw[body:footer_start], header[2][1], codec, asbytes=True)
    short = pa.compress(whole[:-36], codec, asbytes=True)
    header[3] = thrift.I32, len(short)
    page = thrift.encode(header) + short
    footer[4][1].values[0][1][1].values[0][3][1][7] = thrift.I64, len(page)
    end = thrift.encode(footer)
    source.write_bytes(raw[:4] + page + end + len(end).to_bytes(4, "little") + raw[-4:])
    with pytest.raises(FormatError, match=r"x.parquet is damaged \(.*([dD]ecompress|Corrupt)"):
        double(source)
