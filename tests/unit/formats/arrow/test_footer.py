"""Arrow IPC files are read by their footer, which may be hostile. Checked with pyarrow, polars."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import polars
import pyarrow as pa
import pytest

from l2cli.errors import FormatError
from l2cli.formats.arrow.reader import ArrowReader
from tests.support import tables
from tests.support.arrow_files import (
    END_OF_STREAM,
    MAGIC,
    Parts,
    file_of,
    list_length_place,
    take_apart,
)
from tests.support.assertions import assert_doubled, load_table
from tests.support.doubling import double

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NUM_ROWS, DIM = 12, 8
ROWS = np.random.default_rng(0).standard_normal((NUM_ROWS, DIM)).astype("f4")
GAP = b"\xff\xff\xff\xff" + bytes(range(60))


def table() -> Any:
    return tables.table(pa.array(ROWS.tolist(), pa.list_(pa.float32(), DIM)))


def parts(**options: Any) -> Parts:
    return take_apart(file_of(table(), **options))


def without_schema() -> bytes:
    """Return a file as Polars 2.1 writes it: what stands first is no message of a stream."""
    made = parts()
    made.head = MAGIC + bytes(2) + b"\x04\x00\x00\x00" + made.head[12:]
    return made.joined(end=END_OF_STREAM)


def table_doubled(source: Path) -> Any:
    """Double the vectors, and return the table that pyarrow and Polars read then."""
    destination = double(source, "emb")
    assert_doubled(source, destination, "emb")
    after = load_table(destination)
    assert polars.read_ipc(destination.read_bytes())["emb"].to_list() == after["emb"].to_pylist()
    return after


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(without_schema, id="no schema before them"),
        pytest.param(lambda: parts().joined(), id="no end of a stream"),
        pytest.param(lambda: parts().joined(gap=GAP), id="bytes between"),
        pytest.param(lambda: parts().joined(gap=GAP, end=GAP), id="bytes behind"),
        pytest.param(lambda: parts().joined(order=[3, 1, 0, 2]), id="another order"),
        pytest.param(lambda: parts(compression="zstd").joined(gap=bytes(64)), id="compressed"),
    ],
)
def test_all_rows_that_the_footer_lists(tmp_path: Path, make: Callable[[], bytes]) -> None:
    source = tmp_path / "x.arrow"
    source.write_bytes(make())
    with ArrowReader(source) as reader:
        assert reader.arrays()[1].shape == (NUM_ROWS, DIM)
    assert table_doubled(source)["id"].to_pylist() == list(range(NUM_ROWS))


def test_the_order_is_that_of_the_footer(tmp_path: Path) -> None:
    made = parts()
    made.joined()
    listed = [made.block(number) for number in (3, 1, 2)]
    for number, block in zip((1, 2, 3), listed, strict=True):
        made.list_as(number, *block)
    source = tmp_path / "x.arrow"
    source.write_bytes(made.head + b"".join(made.messages) + made.tail)
    assert table_doubled(source)["id"].to_pylist() == [8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7]


def test_what_the_footer_does_not_list_is_not_there(tmp_path: Path) -> None:
    made = parts()
    content = made.joined()
    place = list_length_place(bytes(made.footer), 3)
    struct.pack_into("<I", made.footer, place, 2)
    source = tmp_path / "x.arrow"
    source.write_bytes(content[: -len(made.tail)] + made.tail)
    assert len(table_doubled(source)) == 8


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
@pytest.mark.parametrize("dtype", [polars.List, lambda inner: polars.Array(inner, DIM)])
def test_files_of_polars(tmp_path: Path, dtype: Any, compression: Any) -> None:
    source = tmp_path / "x.arrow"
    rows = polars.Series(ROWS.tolist(), dtype=dtype(polars.Float32))
    polars.DataFrame({"id": range(NUM_ROWS), "text": ["a"] * NUM_ROWS, "emb": rows}).write_ipc(
        source, compression=compression
    )
    assert len(table_doubled(source)) == NUM_ROWS


def _moved(number: int, *block: int) -> bytes:
    made = parts()
    content = made.joined()
    made.list_as(
        number,
        *(offset + by for offset, by in zip(made.block(number), block, strict=True)),
    )
    return content[: -len(made.tail)] + made.tail


def _many(count: int) -> bytes:
    made = parts()
    content = made.joined()
    place = list_length_place(bytes(made.footer), 3)
    struct.pack_into("<I", made.footer, place, count)
    return content[: -len(made.tail)] + made.tail


def _footer_of(length: int) -> bytes:
    return parts().joined()[:-10] + struct.pack("<i", length) + MAGIC


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: _moved(1, 2**40, 0, 0), "footer lists a message at byte .* which isn't there"),
        (lambda: _moved(1, -(2**40), 0, 0), "which isn't there"),
        (lambda: _moved(1, -(2**62), 0, 2**62), "which isn't there"),
        (lambda: _moved(2, 0, 2**30, 0), "which isn't there"),
        (lambda: _moved(2, 0, -(2**30), 0), "which isn't there"),
        (lambda: _moved(3, 0, 0, 2**62), "which isn't there"),
        (lambda: _moved(1, 0, 0, 64), "overlap"),
        (lambda: _moved(2, -8, 0, 0), "overlap"),
        (lambda: _moved(3, 0, 0, -8), "has a body of .* bytes, the footer lists"),
        (lambda: _moved(3, 8, 0, -8), "make no sense|isn't the message"),
        (lambda: _many(2**31), "its footer makes no sense"),
        (lambda: _many(2**20), "its footer makes no sense"),
        (lambda: _footer_of(-1), "claims a footer of -1 bytes"),
        (lambda: _footer_of(2**31 - 1), "claims a footer of 2147483647 bytes"),
        (lambda: _footer_of(0), "claims a footer of 0 bytes"),
        (lambda: _footer_of(4), "its footer makes no sense"),
        (lambda: parts().joined()[:-1], "is cut off, or more follows it"),
        (lambda: parts().joined() + b"more", "is cut off, or more follows it"),
        (lambda: MAGIC, "is cut off"),
    ],
)
def test_a_hostile_footer_is_one_line(
    tmp_path: Path, make: Callable[[], bytes], words: str
) -> None:
    source = tmp_path / "bad.arrow"
    source.write_bytes(make())
    with pytest.raises(FormatError, match=rf"bad\.arrow: .*({words})") as caught:
        double(source, "emb")
    assert "\n" not in str(caught.value)


def test_a_message_of_another_type_is_refused(tmp_path: Path) -> None:
    made = parts()
    content = made.joined()
    dictionary, first = made.block(0), made.block(1)
    made.list_as(0, *first)
    made.list_as(1, *dictionary)
    source = tmp_path / "bad.arrow"
    source.write_bytes(content[: -len(made.tail)] + made.tail)
    with pytest.raises(FormatError, match="isn't the message that its footer lists there"):
        double(source, "emb")


@pytest.mark.parametrize("lengths", [(12, 12), (12, 4), (4, 12), (12, 0), (0, 12)])
def test_several_files_end_to_end_are_refused(tmp_path: Path, lengths: tuple[int, int]) -> None:
    source = tmp_path / "two.arrow"
    source.write_bytes(b"".join(file_of(table()[:length]) for length in lengths))
    with pytest.raises(FormatError, match=r"several Arrow files put end to end.*take them apart"):
        double(source, "emb")


def test_a_footer_that_was_written_anew_behind_the_old_one(tmp_path: Path) -> None:
    """Some writers append so: record batches and a footer, behind the footer that was last."""
    made = parts()
    head = made.head + b"".join(made.messages[:2]) + made.tail
    content = head + bytes(-len(head) % 8)
    made.joined()
    for number in (2, 3):
        made.list_as(number, len(content), *made.block(number)[1:])
        content += made.messages[number]
    source = tmp_path / "x.arrow"
    source.write_bytes(content + made.tail)
    assert table_doubled(source)["id"].to_pylist() == list(range(NUM_ROWS))
