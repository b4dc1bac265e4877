"""Files that are seldom met and were once mistaken, in HDF5, Parquet and npz."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from h5py import h5o

from l2cli.errors import RowError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.io.selection import select
from l2cli.normalization.file import normalize_file
from l2cli.options import NormalizeOptions
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.arange(1, 61, dtype="f4").reshape(12, 5)


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    return tmp_path / "x.h5"


@pytest.mark.parametrize("name", ["emb", "/emb", "alias", "soft"])
def test_any_link_to_a_dataset_names_it(hdf5: Path, name: str) -> None:
    with h5py.File(hdf5, "w") as file:
        file["emb"] = ROWS
        file["alias"] = file["emb"]
        file["soft"] = h5py.SoftLink("/emb")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["backup/emb"] = ROWS + 1
    with Hdf5Reader(hdf5) as reader:
        (array,) = select(reader, [name])
    with h5py.File(double(hdf5, array.name)) as file:
        np.testing.assert_array_equal(file["emb"][:], ROWS * 2)
        np.testing.assert_array_equal(file["backup/emb"][:], ROWS + 1)


def test_a_comment_stays_and_none_is_made_up(hdf5: Path) -> None:
    with h5py.File(hdf5, "w") as file:
        file["a"], file["b"] = ROWS, ROWS
        h5o.set_comment(file["b"].id, b"as measured")
    with h5py.File(double(hdf5, "a", "b", dtype="float16")) as file:
        assert file["/"].id.get_comment(b"a") == b""
        assert file["/"].id.get_comment(b"b") == b"as measured"


def test_bitshuffle_knows_the_new_dtype(hdf5: Path) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    rows = np.repeat(np.random.default_rng(0).integers(0, 9, (4000, 4)), 16, axis=1).astype("f4")
    with h5py.File(hdf5, "w") as file:
        file.create_dataset("emb", data=rows, chunks=(1000, 64), **hdf5plugin.Bitshuffle())
    doubled = double(hdf5, "emb", dtype="float64")
    with h5py.File(doubled) as file:
        np.testing.assert_array_equal(file["emb"][:], rows * 2)
    assert doubled.stat().st_size < 2 * hdf5.stat().st_size


def test_a_file_that_had_to_grow_says_so(hdf5: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 64)).astype("f4")
    with h5py.File(hdf5, "w", fs_strategy="none") as file:
        file.create_dataset("emb", data=rows, chunks=(1000, 64), compression="gzip")
    report = normalize_file(hdf5, hdf5.with_name("y.h5"))
    assert any(note.startswith("the file grew from") for note in report.notes)


def _parquet(path: Path, column: Any, **options: Any) -> Path:
    pq.write_table(pa.table({"id": range(len(column)), "emb": column}), path, **options)
    return path


@pytest.mark.parametrize("variant", [pa.list_view, pa.large_list_view])
def test_list_views_are_lists(tmp_path: Path, variant: Any) -> None:
    lists = [*ROWS.tolist(), None]
    source = _parquet(tmp_path / "x.parquet", pa.array(lists, variant(pa.float32())))
    after = pq.read_table(double(source, "emb"))
    assert after.schema.equals(pq.read_schema(source), check_metadata=True)
    assert after["emb"].to_pylist() == [*(ROWS * 2).tolist(), None]


def test_tensors_have_the_axes_of_their_type(tmp_path: Path) -> None:
    tensors = np.arange(1, 49, dtype="f4").reshape(8, 2, 3)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(tensors)
    source = _parquet(tmp_path / "x.parquet", column, row_group_size=3)
    normalize_file(source, tmp_path / "y.parquet")
    after = pq.read_table(tmp_path / "y.parquet")
    assert after.schema.equals(pq.read_schema(source), check_metadata=True)
    result = after["emb"].combine_chunks().to_numpy_ndarray()
    expected = tensors / np.linalg.norm(tensors.astype(float), axis=2, keepdims=True)
    np.testing.assert_allclose(result, expected, rtol=1e-7)


def test_a_row_too_short_to_truncate_is_named(tmp_path: Path) -> None:
    column = pa.array([[1.0, 2, 3, 4, 5], [1, 2, 3]], pa.list_(pa.float32()))
    source = _parquet(tmp_path / "x.parquet", column)
    with pytest.raises(RowError, match="array 'emb', row 1 has 3 of the 4 components to keep"):
        normalize_file(source, tmp_path / "y.parquet", NormalizeOptions(truncate_dim=4))
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_null_rows_do_not_hide_the_dim(tmp_path: Path) -> None:
    lists: list[Any] = [*ROWS.tolist(), *[None] * 3]
    source = _parquet(tmp_path / "x.parquet", pa.array(lists, pa.list_(pa.float32())))
    report = normalize_file(source, tmp_path / "y.parquet", NormalizeOptions(truncate_dim=4))
    assert report.arrays[0].shape == (15, 4)
    assert (report.arrays[0].counts.num_rows, report.arrays[0].counts.null) == (12, 3)


def test_axis_0_passes_over_null_rows(tmp_path: Path) -> None:
    lists: list[Any] = [None, None, *(ROWS.astype(float) * 1e-200).tolist(), None]
    source = _parquet(tmp_path / "x.parquet", pa.array(lists), row_group_size=2)
    report = normalize_file(
        source, tmp_path / "y.parquet", NormalizeOptions(axis=(0,), epsilon=0.0, batch_size=1)
    )
    assert (report.arrays[0].counts.num_rows, report.arrays[0].counts.null) == (5, 3)
    after = pq.read_table(tmp_path / "y.parquet")["emb"].to_pylist()
    assert [after[0], after[1], after[-1]] == [None] * 3
    expected = ROWS / np.linalg.norm(ROWS.astype(float), axis=0)
    np.testing.assert_allclose(after[2:-1], expected, rtol=1e-6)


def test_an_empty_row_group_has_the_offset_of_its_bytes(tmp_path: Path) -> None:
    rows = pa.table({"word": ["a", "b"], "emb": pa.array([[1.0], [2.0]], pa.list_(pa.float32()))})
    with pq.ParquetWriter(tmp_path / "x.parquet", rows.schema) as writer:
        for part in (rows, rows.slice(0, 0), rows):
            writer.write_table(part)
    doubled = double(tmp_path / "x.parquet", "emb")
    assert pq.read_table(doubled)["emb"].to_pylist() == [[2.0], [4.0]] * 2
    assert pq.ParquetFile(doubled).metadata.num_row_groups == 3


def test_a_member_without_a_suffix_is_an_array_too(tmp_path: Path) -> None:
    np.save(tmp_path / "emb.npy", ROWS)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        info = zipfile.ZipInfo("emb", (2001, 2, 3, 4, 5, 6))
        info.extra = b"\xfe\xca\x02\x00hi"
        archive.writestr(info, (tmp_path / "emb.npy").read_bytes())
    doubled = double(tmp_path / "x.npz", "emb")
    with np.load(doubled) as arrays:
        np.testing.assert_array_equal(arrays["emb"], ROWS * 2)
    with zipfile.ZipFile(doubled) as archive:
        assert archive.getinfo("emb").extra == b"\xfe\xca\x02\x00hi"
