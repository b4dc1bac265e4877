"""From every format to every other, checked with NumPy, h5py and pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import DestinationError, FormatError, OptionError, RowError, SelectionError
from l2cli.normalization.file import normalize_file
from l2cli.options import FileOptions, NormalizeOptions
from tests.support import tables
from tests.support.reference import BFLOAT16, worst_ulp

if TYPE_CHECKING:
    from pathlib import Path

Rows = np.ndarray[Any, Any]
ROWS = np.random.default_rng(0).standard_normal((40, 6)).astype("f4")
IDS = np.arange(40)
SUFFIXES = ("npy", "npz", "h5", "parquet", "arrow")


def table(rows: Any = None) -> Any:
    column = pa.array(list(ROWS) if rows is None else rows, pa.list_(pa.float32()))
    words = [f"word {i}" for i in range(len(column))]
    return tables.table(column, "embedding", words=words)


def save(path: Path, content: Any = None) -> Path:
    """Write ROWS as ``embedding``, with what else a file of that format may hold."""
    suffix = path.suffix
    if suffix == ".npy":
        np.save(path, ROWS.astype(">f4"))
    elif suffix == ".npz":
        np.savez(path, embedding=ROWS, id=IDS, word=np.array(["a"]))
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["embedding"], file["id"], file["word"] = ROWS, IDS, "a"
            file.attrs["made by"] = "a test"
    else:
        _save_table(path, table() if content is None else content)
    return path


def _save_table(path: Path, content: Any) -> None:
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=15)
    else:
        with pa.ipc.new_file(str(path), content.schema) as writer:
            writer.write_table(content, max_chunksize=15)


def load(path: Path) -> dict[str, Any]:
    if path.suffix == ".npy":
        return {"embedding": np.load(path)}
    if path.suffix == ".npz":
        return dict(np.load(path))
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return {name: file[name][()] for name in file}
    content = pq.read_table(path) if path.suffix == ".parquet" else _load_arrow(path)
    numbers = {name: content[name].to_numpy() for name in content.column_names}
    return {**numbers, "embedding": np.stack(numbers["embedding"])}


def _load_arrow(path: Path) -> Any:
    return pa.ipc.open_file(path.read_bytes()).read_all()


@pytest.mark.parametrize("after", SUFFIXES)
@pytest.mark.parametrize("before", SUFFIXES)
def test_every_format_becomes_every_other(tmp_path: Path, before: str, after: str) -> None:
    source, destination = save(tmp_path / f"x.{before}"), tmp_path / f"y.{after}"
    report = normalize_file(source, destination, NormalizeOptions(batch_size=7))
    actual = load(destination)
    assert worst_ulp(actual["embedding"].astype("f4"), ROWS) <= 0.501
    assert report.arrays[0].counts.num_rows == 40
    if before != after:
        assert actual["embedding"].dtype == np.dtype("<f4")
    assert set(actual) - {"embedding"} == _names_that_stay(before, after)
    if "id" in actual:
        np.testing.assert_array_equal(actual["id"], IDS)


def _names_that_stay(before: str, after: str) -> set[str]:
    """Return which of the arrays beside the embedding a conversion keeps."""
    if "npy" in (before, after):
        return set()
    if before == after or {before, after} == set(TABLES):
        return {"id", "word"}
    return {"id"} if before in ("npz", "h5") else set()  # Arrays of numbers alone.


TABLES = ("parquet", "arrow")


@pytest.mark.parametrize("before", TABLES)
@pytest.mark.parametrize("after", TABLES)
def test_a_table_becomes_the_other_whole(tmp_path: Path, before: str, after: str) -> None:
    rows: list[Any] = [[3.0, 4.0], None, [], [1.0], [0.0, 0.0], [None, 2.0]]
    source = save(tmp_path / f"x.{before}", table(rows))
    destination = tmp_path / f"y.{after}"
    options = NormalizeOptions(nonfinite="keep")
    report = normalize_file(source, destination, options)
    actual = pq.read_table(destination) if after == "parquet" else _load_arrow(destination)
    assert actual.drop(["embedding"]).equals(table(rows).drop(["embedding"]))
    assert actual.schema.equals(table().schema)
    assert actual.schema.metadata == table().schema.metadata
    expected = [np.float32(x).item() for x in (0.6, 0.8)]
    assert actual["embedding"].to_pylist()[:5] == [expected, None, [], [1.0], [0.0, 0.0]]
    assert not [note for note in report.notes if "left out" in note]


def test_what_has_no_place_is_named(tmp_path: Path) -> None:
    options = NormalizeOptions(select=("embedding",))
    expected = {
        "parquet": "left out, as npy has no place for it: 'id', 'word'",
        "npz": "left out, as npy has no place for it: 'id.npy', 'word.npy'",
        "h5": "left out, as npy has no place for it: 'id', 'word', attribute 'made by'",
    }
    for suffix, note in expected.items():
        source = save(tmp_path / f"x.{suffix}")
        report = normalize_file(
            source, tmp_path / "y.npy", options, files=FileOptions(overwrite=True)
        )
        assert report.notes == [note]
    wide = pa.table({"embedding": list(ROWS), **{f"column {i}": IDS for i in range(33)}})
    report = normalize_file(save(tmp_path / "w.parquet", wide), tmp_path / "w.npy")
    assert report.notes[0].endswith("'column 28', 'column 29' and 3 more")


def test_a_column_that_parquet_lacks_is_named(tmp_path: Path) -> None:
    unions = pa.UnionArray.from_sparse(pa.array([0] * 40, "int8"), [pa.array(IDS)])
    source = save(tmp_path / "x.arrow", table().append_column("odd", unions))
    report = normalize_file(source, tmp_path / "y.parquet")
    assert report.notes == ["left out, as Parquet has no place for it: 'odd'"]
    assert pq.read_table(tmp_path / "y.parquet").column_names == ["id", "embedding", "word"]


@pytest.mark.parametrize("before", TABLES)
@pytest.mark.parametrize("after", ["npy", "npz", "h5"])
def test_rows_that_arrays_lack_are_refused(tmp_path: Path, before: str, after: str) -> None:
    rows: list[Any] = list(ROWS)
    source, destination = tmp_path / f"x.{before}", tmp_path / f"y.{after}"
    for odd, words in (([1.0, 2.0], "has another length"), (None, "is null or empty")):
        for number in (3, 20, 30):
            changed = [*rows[:number], odd, *rows[number + 1 :]]
            save(source, table(changed))
            with pytest.raises(RowError, match=f"row {number} {words}"):
                normalize_file(source, destination)
            assert not destination.exists()


def test_npy_becomes_a_column_of_lists_of_one_length(tmp_path: Path) -> None:
    normalize_file(save(tmp_path / "x.npy"), tmp_path / "y.parquet")
    actual = pq.ParquetFile(tmp_path / "y.parquet")
    assert actual.schema_arrow.field("embedding").type == pa.list_(pa.float32(), 6)
    assert actual.metadata.num_row_groups == 1
    normalize_file(save(tmp_path / "x.npy"), tmp_path / "y.h5")
    with h5py.File(tmp_path / "y.h5") as file:
        assert (file["embedding"].chunks, file["embedding"].dtype) == (None, "<f4")


@pytest.mark.parametrize("after", SUFFIXES)
def test_no_rows_and_single_numbers(tmp_path: Path, after: str) -> None:
    for rows in (np.zeros((0, 6), "f4"), np.ones(9, "f4"), np.zeros((4, 0), "f4")):
        np.save(tmp_path / "x.npy", rows)
        normalize_file(
            tmp_path / "x.npy", tmp_path / f"y.{after}", files=FileOptions(overwrite=True)
        )
        if after in ("npy", "npz", "h5"):
            assert load(tmp_path / f"y.{after}")["embedding"].shape == rows.shape


def test_several_arrays_need_a_place_each(tmp_path: Path) -> None:
    source = tmp_path / "x.npz"
    np.savez(source, a=ROWS, b=ROWS[:, :3], c=ROWS[:9])
    options = NormalizeOptions(select=("a", "b"))
    with pytest.raises(SelectionError, match=r"npy holds one array, and 2 are chosen; choose with"):
        normalize_file(source, tmp_path / "y.npy", options)
    report = normalize_file(source, tmp_path / "y.parquet", options)
    assert report.notes == ["left out, as Parquet has no place for it: 'c.npy'"]
    actual = pq.read_table(tmp_path / "y.parquet")
    assert worst_ulp(np.stack(actual["a"].to_numpy()), ROWS) <= 0.501
    assert worst_ulp(np.stack(actual["b"].to_numpy()), ROWS[:, :3].copy()) <= 0.501
    with pytest.raises(DestinationError, match="columns of one length, and those chosen have"):
        normalize_file(source, tmp_path / "y.arrow", NormalizeOptions(select=("a", "c")))


@pytest.mark.parametrize("after", ["h5", "parquet", "arrow"])
def test_bfloat16_needs_another_dtype(tmp_path: Path, after: str) -> None:
    np.save(tmp_path / "x.npy", ROWS.astype(BFLOAT16))
    with pytest.raises(DestinationError, match="can't hold bfloat16; use"):
        normalize_file(tmp_path / "x.npy", tmp_path / f"y.{after}")
    normalize_file(tmp_path / "x.npy", tmp_path / "y.npz")
    assert np.load(tmp_path / "y.npz")["embedding"].dtype == "V2"


def _is_stream(path: Path) -> bool:
    return path.read_bytes()[:4] == b"\xff\xff\xff\xff"


def _stream(path: Path) -> Path:
    with pa.ipc.new_stream(str(path), table().schema) as writer:
        writer.write_table(table())
    return path


@pytest.mark.parametrize("before", SUFFIXES)
def test_arrows_is_a_stream(tmp_path: Path, before: str) -> None:
    normalize_file(save(tmp_path / f"x.{before}"), tmp_path / "y.arrows")
    actual = pa.ipc.open_stream((tmp_path / "y.arrows").read_bytes()).read_all()
    assert worst_ulp(np.stack(actual["embedding"].to_numpy()), ROWS) <= 0.501
    if before == "arrow":
        assert actual.drop(["embedding"]).equals(table().drop(["embedding"]))
        assert actual.schema.metadata == table().schema.metadata


def test_arrow_stays_in_its_form_unless_the_suffix_says_otherwise(tmp_path: Path) -> None:
    stream, file = _stream(tmp_path / "s.arrow"), save(tmp_path / "f.arrow")
    for source, is_stream in ((stream, True), (file, False)):
        for destination, to in ((None, None), (tmp_path / "y.arrow", None), (None, "arrow")):
            report = normalize_file(
                source, destination, files=FileOptions(destination_format=to, overwrite=True)
            )
            assert _is_stream(tmp_path / report.destination) == is_stream
    arrows = _stream(tmp_path / "x.arrows")
    report = normalize_file(arrows)
    assert report.destination == str(tmp_path / "x.normalized.arrows")
    assert _is_stream(tmp_path / "x.normalized.arrows")
    normalize_file(arrows, tmp_path / "file.arrow")
    assert not _is_stream(tmp_path / "file.arrow")
    normalize_file(arrows, tmp_path / "y.feather")
    assert _load_arrow(tmp_path / "y.feather").num_rows == 40
    normalize_file(arrows, tmp_path / "y.npy")
    assert worst_ulp(np.load(tmp_path / "y.npy"), ROWS) <= 0.501


SHORT: dict[str, list[Any]] = {
    "long": [[3.0, 4.0, 12.0], [6.0, 8.0, 1.0]],
    "null row": [[3.0, 4.0, 12.0], None, [6.0, 8.0, 1.0]],
    "empty row": [[3.0, 4.0, 12.0], [], [6.0, 8.0, 1.0]],
    "ragged": [[3.0, 4.0, 12.0], [6.0, 8.0], [0.0, 1.0, 2.0, 3.0]],
    "null that is cut": [[3.0, 4.0, None], [6.0, 8.0, 1.0]],
    "null row of nulls": [[3.0, 4.0, 12.0], [None, None, None]],
}


@pytest.mark.parametrize("rows", SHORT.values(), ids=SHORT)
@pytest.mark.parametrize("before", TABLES)
@pytest.mark.parametrize("after", TABLES)
def test_a_table_of_any_rows_is_truncated(
    tmp_path: Path, before: str, after: str, rows: list[Any]
) -> None:
    source, destination = save(tmp_path / f"x.{before}", table(rows)), tmp_path / f"y.{after}"
    normalize_file(source, destination, NormalizeOptions(truncate_dim=2))
    actual = pq.read_table(destination) if after == "parquet" else _load_arrow(destination)
    actual.validate(full=True)
    assert actual.schema.equals(table().schema)
    assert actual.drop(["embedding"]).equals(table(rows).drop(["embedding"]))
    for row, result in zip(rows, actual["embedding"].to_pylist(), strict=True):
        kept = row and row[:2]
        if kept and None not in kept:
            kept = (np.array(kept) / np.hypot(*kept)).astype("f4").tolist()
        assert result == kept


@pytest.mark.parametrize("before", TABLES)
@pytest.mark.parametrize("after", ["npy", "npz", "h5"])
def test_rows_of_one_length_are_truncated_on_their_way_to_an_array(
    tmp_path: Path, before: str, after: str
) -> None:
    source, destination = save(tmp_path / f"x.{before}"), tmp_path / f"y.{after}"
    report = normalize_file(source, destination, NormalizeOptions(truncate_dim=2))
    assert worst_ulp(load(destination)["embedding"], ROWS[:, :2]) <= 0.501
    assert (report.arrays[0].source_shape, report.arrays[0].shape) == ((40, 6), (40, 2))


@pytest.mark.parametrize("before", TABLES)
@pytest.mark.parametrize("after", SUFFIXES)
def test_a_row_too_short_to_truncate_is_named(tmp_path: Path, before: str, after: str) -> None:
    for rows, number in (([[1.0], [2.0]], 0), ([[1.0, 2.0], None, [1.0]], 2)):
        if number and after not in TABLES:
            continue
        source = save(tmp_path / f"x.{before}", table(rows))
        with pytest.raises(RowError, match=f"row {number} has 1 of the 2 components to keep"):
            normalize_file(source, tmp_path / f"y.{after}", NormalizeOptions(truncate_dim=2))
        assert not (tmp_path / f"y.{after}").exists()


@pytest.mark.parametrize("before", TABLES)
def test_a_null_component_is_called_so(tmp_path: Path, before: str) -> None:
    rows = [[1.0, 2.0], None, [1.0, None], [np.nan, 1.0]]
    source, destination = save(tmp_path / f"x.{before}", table(rows)), tmp_path / "y.npy"
    with pytest.raises(RowError, match="row 2 holds a null component; correct it, or let it pass"):
        normalize_file(source, destination)
    save(source, table([rows[0], rows[3], rows[2]]))
    with pytest.raises(RowError, match="row 1 holds NaN or Inf"):
        normalize_file(source, destination)
    wide = pa.table({"dim_0": [1.0, 2.0, None], "dim_1": [1.0, None, None]})
    with pytest.raises(RowError, match=r"array 'dim_\*', row 1 holds a null component"):
        normalize_file(save(source, wide), destination, NormalizeOptions(select=("dim_*",)))


def test_the_format_is_told_by_name_where_there_is_no_suffix(tmp_path: Path) -> None:
    source = save(tmp_path / "x.npy")
    report = normalize_file(source, files=FileOptions(destination_format="parquet"))
    assert report.destination == str(tmp_path / "x.normalized.parquet")
    normalize_file(source, tmp_path / "y", files=FileOptions(destination_format="npz"))
    assert list(np.load(tmp_path / "y")) == ["embedding"]
    with pytest.raises(OptionError, match="named like HDF5, but npz is to be written"):
        normalize_file(source, tmp_path / "y.h5", files=FileOptions(destination_format="npz"))


def test_null_rows_of_a_column_that_is_declared_to_have_none_are_not_lost(tmp_path: Path) -> None:
    """PyArrow would write empty lists in their place, and say nothing."""
    schema = pa.schema([pa.field("embedding", pa.list_(pa.float32()), nullable=False)])
    content = pa.table([pa.array([[3.0, 4.0], None], pa.list_(pa.float32()))], schema)
    source = save(tmp_path / "x.arrow", content)
    with pytest.raises(FormatError, match=r"x\.arrow: column 'embedding' is declared not null"):
        normalize_file(source, tmp_path / "x.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["x.arrow"]
    normalize_file(source, tmp_path / "y.arrow")
    rows = pa.ipc.open_file(str(tmp_path / "y.arrow")).read_all()["embedding"].to_pylist()
    assert rows == [pytest.approx([0.6, 0.8]), None]
