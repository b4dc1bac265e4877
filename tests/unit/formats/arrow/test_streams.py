"""Several Arrow IPC streams end to end: all of them, or one refusal. Checked with pyarrow."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import FormatError
from l2cli.filesystem.buffered_stream import BufferedStream
from l2cli.formats.arrow.reader import ArrowReader, ArrowStreamReader
from l2cli.formats.parquet.create import NewParquetWriter
from l2cli.formats.tabular.table import transcode
from l2cli.normalization.file import normalize_file
from tests.support import tables
from tests.support.arrow_files import END_OF_STREAM, file_of, stream_of
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path

DIM = 6
ROWS = np.random.default_rng(0).standard_normal((10, DIM)).astype("f4")


def table(number: int = 0, num_rows: int = 10) -> Any:
    """Return a table whose metadata and words are its own."""
    vectors = pa.array((ROWS[:num_rows] + number).tolist(), pa.list_(pa.float32()))
    words = pa.array([f"{number} {i % 3}" for i in range(num_rows)], pa.string())
    metadata = {"number": str(number)}
    return tables.table(
        vectors, words=words.dictionary_encode(), first_id=10 * number, metadata=metadata
    )


def read_all(content: bytes) -> list[Any]:
    """Return the tables of all streams in ``content``."""
    file, result = io.BytesIO(content), []
    while file.tell() < len(content):
        with pa.ipc.open_stream(file) as opened:
            result.append(opened.read_all())
    return result


def doubled_pipe(content: bytes) -> bytes:
    """Double the vectors of what comes in a pipe."""
    target = io.BytesIO()
    target.close = lambda: None  # type: ignore[method-assign]
    reader = ArrowStreamReader(BufferedStream(io.BytesIO(content)), "standard input")
    spec = reader.arrays()[1]
    reader._stream.stop_buffering()
    writer = reader.stream_writer(target, {"emb": spec})
    assert writer is not None
    for batch in reader.batches([spec], None):
        writer.write(replace(batch, rows=batch.rows * 2))
    writer.finish()
    return target.getvalue()


def doubled_file(tmp_path: Path, content: bytes) -> bytes:
    source = tmp_path / "x.arrows"
    source.write_bytes(content)
    return double(source, "emb").read_bytes()


@pytest.mark.parametrize("is_pipe", [False, True])
@pytest.mark.parametrize("lengths", [(10, 10), (10, 3, 7), (0, 10), (10, 0), (0, 5, 0, 5), (0, 0)])
def test_all_streams_are_read_and_written(
    tmp_path: Path, lengths: tuple[int, ...], is_pipe: bool
) -> None:
    tables = [table(number, length) for number, length in enumerate(lengths)]
    content = b"".join(map(stream_of, tables))
    doubled = doubled_pipe(content) if is_pipe else doubled_file(tmp_path, content)
    after = read_all(doubled)
    assert len(after) == len(tables)
    for result, expected in zip(after, tables, strict=True):
        assert result.schema.equals(expected.schema, check_metadata=True)
        assert result.drop(["emb"]).equals(expected.drop(["emb"]))
        rows = [[2 * x for x in row] for row in expected["emb"].to_pylist()]
        assert result["emb"].to_pylist() == rows


def test_the_rows_of_all_streams_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "x.arrows"
    source.write_bytes(stream_of(table(0)) + stream_of(table(1, 7)))
    with ArrowReader(source) as reader:
        assert reader.arrays()[1].shape == (17, None)
        spec = reader.arrays()[1]
        numbers = [batch.row_number(0) for batch in reader.batches([spec], None)]
    assert numbers == [0, 4, 8, 10, 14]


def test_a_conversion_takes_all_streams(tmp_path: Path) -> None:
    source, destination = tmp_path / "x.arrows", tmp_path / "y.parquet"
    source.write_bytes(stream_of(table(0)) + stream_of(table(1)))
    with ArrowReader(source) as reader:
        transcode(reader.table(), NewParquetWriter, destination)
    assert pq.read_table(destination)["id"].to_pylist() == list(range(20))


def test_streams_of_a_pipe_come_out_as_unit_rows(tmp_path: Path) -> None:
    content = stream_of(table(0)) + stream_of(table(1))
    normalize_file(io.BytesIO(content), tmp_path / "y.npy")
    result = np.load(tmp_path / "y.npy")
    rows = np.concatenate([ROWS, ROWS + np.float32(1)]).astype("f8")
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def other_columns() -> bytes:
    return stream_of(table(1).drop(["word"]))


def other_type() -> bytes:
    changed = table(1)
    column = changed["emb"].cast(pa.large_list(pa.float32()))
    return stream_of(changed.set_column(1, "emb", column))


@pytest.mark.parametrize("is_pipe", [False, True])
@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (other_columns, "stream number 2 has other columns than the first.*take them apart"),
        (other_type, "stream number 2 has other columns than the first.*take them apart"),
        (lambda: file_of(table(1)), r"behind the end .* begins with b'ARROW1.*; cut it off"),
        (lambda: b"\x00\x00text", r"behind the end .* begins with b'text'; cut it off"),
        (lambda: bytes(100) + b"\x01", r"begins with b'\\x01'"),
        (lambda: END_OF_STREAM, r"begins with b'\\xff"),
        (lambda: stream_of(table(1))[:-9], "cut off|Expected to be able to read"),
        (lambda: stream_of(table(1))[:-8], "cut off|metadata of a message"),
        (lambda: stream_of(table(1))[:6], "cut off|begins with|damaged"),
    ],
)
def test_what_follows_and_is_no_stream_of_these_columns(
    tmp_path: Path, rest: Any, words: str, is_pipe: bool
) -> None:
    content = stream_of(table(0)) + rest()
    with pytest.raises(FormatError, match=words) as caught:
        doubled_pipe(content) if is_pipe else doubled_file(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert ("standard input" if is_pipe else "x.arrows") in str(caught.value)


@pytest.mark.parametrize("num_zeros", [1, 8, 4096])
def test_zeros_behind_the_end_hold_nothing(tmp_path: Path, num_zeros: int) -> None:
    content = stream_of(table(0)) + bytes(num_zeros)
    for doubled in (doubled_pipe(content), doubled_file(tmp_path, content)):
        assert len(read_all(doubled)) == 1


def test_a_file_of_streams_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inlets: list[BufferedStream] = []

    def spy(raw: Any) -> BufferedStream:
        inlets.append(BufferedStream(raw))
        return inlets[-1]

    monkeypatch.setattr("l2cli.formats.arrow.reader.BufferedStream", spy)
    doubled_file(tmp_path, stream_of(table(0)) + stream_of(table(1)))
    assert [len(entry._kept) for entry in inlets] == [8]
