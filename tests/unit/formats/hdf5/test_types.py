"""HDF5 datasets whose elements are arrays or records. Checked with h5py alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.errors import DestinationError
from l2cli.formats.hdf5 import Hdf5Reader
from tests.unit.formats.hdf5.test_rewriting import assert_only_values_differ, rewrite, rows_of, spec

if TYPE_CHECKING:
    from pathlib import Path

LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "plain": {"chunks": (7,)},
    "gzip": {"chunks": (7,), "compression": "gzip", "shuffle": True},
    "resizable": {"chunks": (7,), "maxshape": (None,), "compression": "lzf"},
    "fletcher32": {"chunks": (7,), "fletcher32": True},
}
RECORD = np.dtype(
    [
        ("id", "<i8"),
        ("name", h5py.string_dtype()),
        ("embedding", "<f4", (8,)),
        ("score", "<f8"),
        ("tag", "S5"),
        ("list", h5py.vlen_dtype("i4")),
        ("inner", [("x", ">f8", (3,)), ("flag", "?")]),
    ]
)


def records(count: int = 50) -> np.ndarray[Any, Any]:
    rows = np.zeros(count, RECORD)
    rows["id"], rows["score"] = np.arange(count), rows_of((count,), "f8")
    rows["embedding"], rows["inner"]["x"] = rows_of((count, 8)), rows_of((count, 3), "f8")
    for index, row in enumerate(rows):
        row["name"], row["tag"] = f"näme {index}", f"t{index}".encode()
        row["list"] = np.arange(index % 4, dtype="i4")
    return rows


def write_arrays(path: Path, dtype: str, row_shape: tuple[int, ...], **options: Any) -> Any:
    """Write a dataset of 50 elements, each an array; return what is in it, as numbers."""
    rows = rows_of((50, *row_shape), dtype)
    with h5py.File(path, "w") as file:
        element = np.dtype((np.dtype(dtype), row_shape))
        dataset = file.create_dataset("x", (50,), element, **options)
        dataset.id.write(h5py.h5s.ALL, h5py.h5s.ALL, rows, h5py.h5t.py_create(element))
        file["ids"] = np.arange(50)
    return rows


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("row_shape", [(8,), (2, 3)])
def test_arrays_in_elements(
    tmp_path: Path, options: dict[str, Any], dtype: str, row_shape: tuple[int, ...]
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    rows = write_arrays(source, dtype, row_shape, **options)
    result = spec(source, "x")
    assert (result.shape, result.refusal) == ((50, *row_shape), "")
    assert result.dtype == np.dtype(dtype).newbyteorder("=").name
    assert "in arrays" in result.layout
    rewrite(source, destination, "x", batch_size=9)
    assert_only_values_differ(source, destination, "x")
    with h5py.File(destination) as file:
        np.testing.assert_array_equal(file["x"][()], rows * 2)


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(("dtype", "dim"), [("float16", None), ("float64", None), (None, 5)])
def test_arrays_of_another_dtype_or_length(
    tmp_path: Path, options: dict[str, Any], dtype: str | None, dim: int | None
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    rows = write_arrays(source, ">f4", (8,), **options)
    rewrite(source, destination, "x", dtype=dtype, dim=dim)
    with h5py.File(destination) as file:
        expected = (rows[:, :dim] * np.float32(2)).astype(dtype or "f4")
        assert file["x"].shape == (50,)
        stored = np.dtype(dtype or "f4").newbyteorder(">")
        assert file["x"].id.dtype == np.dtype((stored, (dim or 8,)))
        np.testing.assert_array_equal(file["x"][()], expected)


@pytest.mark.parametrize("chunk", [None, (2, 4)])
def test_arrays_within_arrays(tmp_path: Path, chunk: tuple[int, ...] | None) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    inner = h5py.h5t.array_create(h5py.h5t.IEEE_F32LE, (3,))
    outer = h5py.h5t.array_create(inner, (2,))
    with h5py.File(source, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if chunk:
            properties.set_chunk(chunk)
        space = h5py.h5s.create_simple((5, 4))
        dataset = h5py.h5d.create(file.id, b"x", outer, space, properties)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, rows_of((5, 4, 2, 3)), outer)
    assert spec(source, "x").shape == (5, 4, 2, 3)
    rewrite(source, destination, "x")
    result = np.zeros((5, 4, 2, 3), "f4")
    with h5py.File(destination) as file:
        file["x"].id.read(h5py.h5s.ALL, h5py.h5s.ALL, result, outer)
    np.testing.assert_array_equal(result, rows_of((5, 4, 2, 3)) * 2)
    rewrite(source, destination, "x", dtype="float64", dim=2)
    assert spec(destination, "x").shape == (5, 4, 2, 2)
    assert spec(destination, "x").dtype == "float64"


def test_arrays_that_were_never_written_stay_so(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        element = np.dtype((np.float32, (8,)))
        file.create_dataset("x", (100_000,), element, chunks=(100,))
        file.create_dataset("y", (100_000,), element)
    rewrite(source, destination)
    assert destination.stat().st_size <= source.stat().st_size


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_one_field_of_records(tmp_path: Path, options: dict[str, Any], libver: str) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    expected = records()
    with h5py.File(source, "w", libver=libver) as file:
        file.create_dataset("g/records", data=expected, **options)
    rewrite(source, destination, "g/records.embedding", batch_size=9)
    assert_only_values_differ(source, destination, "g/records")
    expected["embedding"] *= 2
    with h5py.File(destination) as file:
        result = file["g/records"][()]
        for name in ("id", "embedding", "score", "tag", "inner"):
            np.testing.assert_array_equal(result[name], expected[name])
        assert [name.decode() for name in result["name"]] == list(expected["name"])
        assert all((a == b).all() for a, b in zip(result["list"], expected["list"], strict=True))


def test_several_fields_of_records(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    expected = records()
    with h5py.File(source, "w") as file:
        file.create_dataset("r", data=expected, chunks=(7,), compression="gzip")
    rewrite(source, destination, "r.embedding", "r.inner.x", "r.score")
    with h5py.File(destination) as file:
        result = file["r"][()]
    np.testing.assert_array_equal(result["embedding"], expected["embedding"] * 2)
    np.testing.assert_array_equal(result["inner"]["x"], expected["inner"]["x"] * 2)
    np.testing.assert_array_equal(result["score"], expected["score"] * 2)
    np.testing.assert_array_equal(result["id"], expected["id"])
    assert [name.decode() for name in result["name"]] == list(expected["name"])


def test_how_records_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["r"], file["alias"] = records(), h5py.SoftLink("/r")
        file["plain"] = np.zeros(4, [("i", "i4"), ("f", "f4")])
    with Hdf5Reader(path) as reader:
        result = {array.name: array for array in reader.arrays()}
    assert set(result) == {
        "plain", "r.id", "r.name", "r.embedding", "r.score", "r.tag", "r.list", "r.inner.x",
        "r.inner.flag",
    }  # fmt: skip
    assert result["r.embedding"].shape == (50, 8)
    assert result["r.embedding"].names == ("r.embedding", "alias.embedding")
    assert result["r.inner.x"].layout == "contiguous, in records, in arrays, big-endian"
    assert (result["r.id"].shape, result["r.id"].dtype) == ((50,), "int64")
    usable = {name for name, array in result.items() if not array.refusal}
    assert usable == {"r.id", "r.embedding", "r.score", "r.inner.x"}
    assert not any(array.may_be_vectors for array in result.values())


def test_a_dataset_called_like_a_field(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file["r"], file["r.embedding"] = records(), rows_of((4, 8))
    with Hdf5Reader(source) as reader:
        result = [array for array in reader.arrays() if array.name == "r.embedding"]
        assert sorted(array.refusal for array in result) == ["", "a dataset has this name"]
        taken = next(array for array in result if not array.refusal)
        with reader.writer(destination, {taken.name: taken}) as writer:
            for batch in reader.batches([taken], None):
                writer.write(replace(batch, rows=batch.rows * np.float32(2)))
            writer.finish()
    with h5py.File(destination) as file:
        np.testing.assert_array_equal(file["r.embedding"][()], rows_of((4, 8)) * 2)
        np.testing.assert_array_equal(file["r"]["embedding"], records()["embedding"])


@pytest.mark.parametrize(("dtype", "dim"), [("float64", None), (None, 4)])
def test_records_do_not_change_their_type(
    tmp_path: Path, dtype: str | None, dim: int | None
) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["r"] = records()
    with pytest.raises(
        DestinationError, match=r"'r\.embedding' is a field of records.*`destination="
    ):
        rewrite(tmp_path / "s.h5", tmp_path / "d.h5", "r.embedding", dtype=dtype, dim=dim)


def test_records_of_another_file_are_not_torn(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file["r"] = np.zeros(5, [("v", "f4", (8,)), ("i", "i4")])
    layout = h5py.VirtualLayout((5,), [("v", "f4", (8,)), ("i", "i4")])
    layout[:] = h5py.VirtualSource(tmp_path / "o.h5", "r", (5,))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_virtual_dataset("r", layout)
    with pytest.raises(DestinationError, match="take a dataset that lies in the file itself"):
        rewrite(tmp_path / "s.h5", tmp_path / "d.h5", "r.v", allow_external=True)


def test_tables_of_pandas(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    pandas = pytest.importorskip("pandas")
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    frame = pandas.DataFrame(rows_of((30, 4), "<f8"), columns=list("abcd"))
    frame.to_hdf(source, key="frame", format="table")
    rewrite(source, destination, "frame/table.values_block_0")
    pandas.testing.assert_frame_equal(pandas.read_hdf(destination, "frame"), frame * 2)
