"""Every kind of list that Arrow has, in Arrow IPC and in Parquet. Checked with pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import FormatError
from l2cli.formats.arrow.reader import ArrowReader
from l2cli.formats.parquet import ParquetReader
from l2cli.formats.tabular.lists import list_window
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path

F4 = pa.float32()
REQUIRED = pa.field("item", F4, nullable=False)
LISTS = [
    pa.list_view(F4),
    pa.large_list_view(F4),
    pa.list_view(REQUIRED),
    pa.list_(F4, 3),
    pa.list_(REQUIRED, 3),
    pa.list_(REQUIRED),
    pa.large_list(REQUIRED),
    pa.list_(pa.field("x", pa.float64(), nullable=False), 3),
    pa.list_view(pa.float16()),
]
ROWS: list[Any] = [[1, 2, 3], None, [4, 5, 6], [7, 8, 9], None, [10, 11, 12]]


def save(path: Path, column: Any) -> Path:
    table = pa.table({"id": pa.array(range(len(column))), "emb": column})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=4)
        return path
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path


def load(path: Path) -> Any:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    return pa.ipc.open_file(str(path)).read_all()


def twice(rows: list[Any]) -> list[Any]:
    return [row and [x if x is None else 2 * x for x in row] for row in rows]


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
@pytest.mark.parametrize("arrow_type", LISTS, ids=str)
def test_null_rows_of_every_type_of_list(
    tmp_path: Path, arrow_type: Any, suffix: str, batch_size: int | None
) -> None:
    source = save(tmp_path / f"x.{suffix}", pa.array(ROWS, arrow_type))
    before, after = load(source), load(double(source, "emb", batch_size=batch_size))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after["emb"].to_pylist() == twice(ROWS)
    after.validate(full=True)


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
@pytest.mark.parametrize("arrow_type", [pa.list_view(F4), pa.large_list_view(F4)], ids=str)
def test_views_of_rows_of_all_lengths(tmp_path: Path, arrow_type: Any, suffix: str) -> None:
    rows = [[1, 2, 3], [], None, [4, None], [None], [5, 6, 7]]
    source = save(tmp_path / f"x.{suffix}", pa.array(rows, arrow_type))
    after = load(double(source, "emb"))
    assert after["emb"].type == load(source)["emb"].type
    assert after["emb"].to_pylist() == twice(rows)


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
@pytest.mark.parametrize("arrow_type", [LISTS[0], LISTS[1], LISTS[3], LISTS[5]], ids=str)
def test_another_dtype_and_fewer_components(tmp_path: Path, arrow_type: Any, suffix: str) -> None:
    source = save(tmp_path / f"x.{suffix}", pa.array(ROWS, arrow_type))
    after = load(double(source, "emb", dtype="float64", dim=2))["emb"]
    assert after.type.value_type == pa.float64()
    assert type(after.type) is type(arrow_type)
    assert after.to_pylist() == [row and [2 * x for x in row[:2]] for row in ROWS]


VIEWS = {
    "in another order": ([6, 3, 0], [3, 3, 3], None),
    "with holes": ([0, 6, 9], [3, 3, 3], None),
    "that overlap": ([0, 1, 0], [3, 3, 6], None),
    "of the same components": ([3, 3, 3], [3, 3, 3], None),
    "some null and out of order": ([9, 3, 0], [3, 3, 3], [True, False, True]),
}


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_views_of_any_components(tmp_path: Path, name: str, is_large: bool) -> None:
    offsets, sizes, valid = VIEWS[name]
    numbers = pa.array(range(12), F4)
    make, width = (
        (pa.LargeListViewArray, pa.int64()) if is_large else (pa.ListViewArray, pa.int32())
    )
    mask = None if valid is None else pa.array([not entry for entry in valid])
    column = make.from_arrays(pa.array(offsets, width), pa.array(sizes, width), numbers, mask=mask)
    source = save(tmp_path / "x.arrow", column)
    after = load(double(source, "emb"))["emb"]
    assert after.type == column.type
    assert after.to_pylist() == twice(column.to_pylist())


def test_a_slice_of_views() -> None:
    """pyarrow's own cast of a slice of views to lists has wrong rows."""
    for arrow_type in (pa.list_view(F4), pa.large_list_view(F4), pa.list_(F4, 3)):
        window = list_window(pa.array(ROWS, arrow_type)[2:])
        (part,) = window.parts
        assert part.index.tolist() == [0, 1, 3]
        assert part.rows.tolist() == [ROWS[2], ROWS[3], ROWS[5]]
        (array,) = window.rebuild([part.rows], "float32", None)
        assert array.to_pylist() == ROWS[2:]


def test_views_that_come_to_too_much_are_refused(tmp_path: Path) -> None:
    """A bomb: few bytes that claim to be many."""
    count = 2**17
    numbers = pa.array(np.ones(2**15, "f4"))
    starts, sizes = np.zeros(count, "i4"), np.full(count, len(numbers), "i4")
    column = pa.ListViewArray.from_arrays(pa.array(starts), pa.array(sizes), numbers)
    source = tmp_path / "x.arrow"
    table = pa.table({"emb": column})
    with pa.ipc.new_file(str(source), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(FormatError, match=r"list views overlap: they come to 4294967296 comp"):
        double(source, "emb")


def _dictionary(lists: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None], "int32"), lists)


def _runs(lists: Any) -> Any:
    return pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], "int32"), lists)


PAIR = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(F4))
REFUSED = {
    "dictionary-encoded lists are not supported; decode them": _dictionary(PAIR),
    "dictionary-encoded lists": _dictionary(PAIR.cast(pa.list_(F4, 2))),
    "run-end-encoded lists are not supported; decode them": _runs(PAIR),
    "a list of dictionary": pa.ListArray.from_arrays(
        pa.array([0, 2, 4, 6, 8], "int32"), pa.array([0.5, 1.5] * 4, F4).dictionary_encode()
    ),
    "a list of run_end_encoded": pa.ListArray.from_arrays(
        pa.array([0, 2, 4], "int32"), _runs(pa.array([1.0, 2.0], F4))
    ),
    "lists inside a list of struct": pa.array([[{"v": [1.0]}], None]),
    "lists inside it are not supported": pa.array(
        [[("a", [1.0])], None], pa.map_(pa.string(), pa.list_(F4))
    ),
    "lists nested 3 deep": pa.array([[[[1.0]]], None]),
    "stored as plain bytes": pa.array([[b"ab"]], pa.list_(pa.binary(2))),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_may_hold_vectors_and_is_refused(tmp_path: Path, words: str) -> None:
    source = save(tmp_path / "x.arrow", REFUSED[words])
    with ArrowReader(source) as reader:
        spec = reader.arrays()[1]
    assert words in spec.refusal
    assert spec.may_be_vectors


@pytest.mark.parametrize(
    "words", ["lists inside a list of struct", "lists inside it are", "stored"]
)
def test_parquet_refuses_the_same(tmp_path: Path, words: str) -> None:
    (name,) = (name for name in REFUSED if name.startswith(words))
    source = save(tmp_path / "x.parquet", REFUSED[name])
    with ParquetReader(source) as reader:
        spec = reader.arrays()[1]
    assert words in spec.refusal
    assert spec.may_be_vectors


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a"], None]),
        pa.array([[1, 2], None]),
        pa.array(["a", None]).dictionary_encode(),
        pa.array([1.5, None]),
        pa.array([[b"abcd"]], pa.list_(pa.binary(4))),
        pa.array([[{"x": 1.5}], None]),
        pa.array([[("a", 1.5)], None], pa.map_(pa.string(), F4)),
        pa.array([[1, 2]], pa.list_(pa.decimal128(3, 1))),
        pa.array([None, None]),
    ],
    ids=lambda column: str(column.type),
)
def test_what_is_no_list_of_floats(tmp_path: Path, column: Any) -> None:
    source = save(tmp_path / "x.arrow", column)
    with ArrowReader(source) as reader:
        assert not reader.arrays()[1].may_be_vectors


def test_two_columns_of_a_name_may_hold_vectors(tmp_path: Path) -> None:
    source = tmp_path / "x.arrow"
    table = pa.table([PAIR, PAIR, pa.array([1, 2])], names=["emb", "emb", "id"])
    with pa.ipc.new_file(str(source), table.schema) as writer:
        writer.write_table(table)
    with ArrowReader(source) as reader:
        result = [(spec.refusal, spec.may_be_vectors) for spec in reader.arrays()]
    assert result[:2] == [("two columns have this name", True)] * 2
    assert result[2] == ("not a list of numbers", False)
