"""Norms that are kept: right, in their place, and enough to restore lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import DestinationError, OptionError
from l2cli.normalization.file import normalize_file
from l2cli.options import FileOptions, NormalizeOptions, StoreOptions
from l2cli.store.run import normalize_store
from tests.support import tables
from tests.support.commands import l2norm
from tests.support.workers import Here

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]


def _rows(num_rows: int = 300, dim: int = 16) -> Array:
    rows = np.random.default_rng(0).standard_normal((num_rows, dim)) * 7
    rows[5] = 0
    return rows.astype("f4")


def _norms(rows: Array, axis: int = 1) -> Array:
    wide = rows.astype(np.longdouble)
    norms: Array = np.sqrt((wide * wide).sum(axis=axis)).astype("f8")
    return norms


def _table(rows: Array) -> Any:
    lists = [None if index % 7 == 3 else row.tolist() for index, row in enumerate(rows)]
    return tables.table(pa.array(lists, pa.list_(pa.float32()))).drop(["word"])


@pytest.mark.parametrize("batch_size", [None, 7])
def test_an_npy_of_norms_restores_lengths(tmp_path: Path, batch_size: int | None) -> None:
    rows = _rows()
    rows[9] = 1e-30  # Too small for the graph, and under the floor.
    rows[10] *= np.float32(1e30)
    np.save(tmp_path / "x.npy", rows)
    options = NormalizeOptions(batch_size=batch_size, epsilon=0)
    report = normalize_file(
        tmp_path / "x.npy", tmp_path / "y.npy", options, files=FileOptions(norms=tmp_path / "n.npy")
    )
    norms = np.load(tmp_path / "n.npy")
    assert (norms.dtype, report.norms) == (np.float64, str(tmp_path / "n.npy"))
    np.testing.assert_allclose(norms, _norms(rows), rtol=1e-15)
    restored = np.load(tmp_path / "y.npy") * norms[:, None]
    np.testing.assert_allclose(restored, rows, rtol=1e-6)


def test_norms_along_other_axes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((30, 4, 5))
    np.save(tmp_path / "x.npy", rows)
    for axis in (0, 1, 2):
        normalize_file(
            tmp_path / "x.npy",
            tmp_path / "y.npy",
            NormalizeOptions(axis=(axis,)),
            files=FileOptions(norms=tmp_path / "n.npy", overwrite=True),
        )
        np.testing.assert_allclose(np.load(tmp_path / "n.npy"), _norms(rows, axis), rtol=1e-14)


def test_rows_without_a_norm_have_nan(tmp_path: Path) -> None:
    rows = _rows()
    rows[7, 3] = np.nan
    np.save(tmp_path / "x.npy", rows)
    pq.write_table(_table(_rows()), tmp_path / "x.parquet")
    options = NormalizeOptions(nonfinite="keep")
    for suffix, missing in ((".npy", [7]), (".parquet", range(3, 300, 7))):
        source = tmp_path / f"x{suffix}"
        normalize_file(
            source,
            tmp_path / f"y{suffix}",
            options,
            files=FileOptions(norms=tmp_path / f"n{suffix}.npy"),
        )
        norms = np.load(tmp_path / f"n{suffix}.npy")
        assert np.flatnonzero(np.isnan(norms)).tolist() == list(missing)
        assert norms[5] == 0


def test_a_parquet_column_stands_beside_the_rest(tmp_path: Path) -> None:
    rows = _rows()
    table = _table(rows)
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=77)
    normalize_file(tmp_path / "x.parquet", tmp_path / "plain.parquet")
    options = NormalizeOptions(norms_name="emb_norm")
    normalize_file(tmp_path / "x.parquet", tmp_path / "y.parquet", options)
    result = pq.read_table(tmp_path / "y.parquet")
    plain = pq.read_table(tmp_path / "plain.parquet")
    assert result.drop(["emb_norm"]).equals(plain)
    assert result.schema.metadata == table.schema.metadata
    norms = result["emb_norm"].to_numpy()  # NaN for null
    assert result["emb_norm"].null_count == np.isnan(norms).sum() == len(range(3, 300, 7))
    is_null = np.arange(300) % 7 == 3
    np.testing.assert_allclose(norms[~is_null], _norms(rows)[~is_null], rtol=1e-15)
    file = pq.ParquetFile(tmp_path / "y.parquet", page_checksum_verification=True)
    assert file.metadata.num_row_groups == 4
    assert file.metadata.row_group(3).num_rows == 300 - 3 * 77
    statistics = file.metadata.row_group(0).column(2).statistics
    assert statistics.min == 0
    assert statistics.null_count == sum(i % 7 == 3 for i in range(77))


@pytest.mark.parametrize(
    "requested",
    [
        {"write_page_index": True},
        {"data_page_version": "2.0"},
        {"store_schema": False},
        {"compression": "zstd"},
    ],
    ids=lambda requested: next(iter(requested)),
)
def test_other_readers_find_the_column_too(tmp_path: Path, requested: dict[str, Any]) -> None:
    rows = _rows()
    words = pa.array([f"word {index % 7}" for index in range(300)]).dictionary_encode()
    table = pa.table({"word": words, "emb": pa.array(rows.tolist(), pa.list_(pa.float32(), 16))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=77, **requested)
    normalize_file(
        tmp_path / "x.parquet", tmp_path / "y.parquet", NormalizeOptions(norms_name="norm")
    )
    large = pl.col("norm") > 30
    expected = _norms(rows)[_norms(rows) > 30]
    actual = pl.scan_parquet(tmp_path / "y.parquet").filter(large).select("norm", "word").collect()
    np.testing.assert_allclose(actual["norm"].to_numpy(), expected, rtol=1e-15)
    frame = pd.read_parquet(tmp_path / "y.parquet")
    assert frame.columns.tolist() == ["word", "emb", "norm"]
    np.testing.assert_allclose(frame["norm"], _norms(rows), rtol=1e-15)
    filtered = pq.read_table(tmp_path / "y.parquet", filters=[("norm", ">", 30)])
    assert filtered.num_rows == len(expected)


def test_an_empty_row_group_gets_an_empty_chunk(tmp_path: Path) -> None:
    table = _table(_rows())
    with pq.ParquetWriter(tmp_path / "x.parquet", table.schema) as writer:
        for part in (table[:10], table[:0], table[10:]):
            writer.write_table(part)
    options = NormalizeOptions(norms_name="emb_norm")
    normalize_file(tmp_path / "x.parquet", tmp_path / "y.parquet", options)
    actual = pq.read_table(tmp_path / "y.parquet")["emb_norm"]
    assert actual.null_count == len(range(3, 300, 7))
    assert len(actual) == 300


def test_datasets_and_members_stand_beside_the_rest(tmp_path: Path) -> None:
    rows = _rows()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["group/emb"] = rows
        file["train"] = rows * 2
    np.savez(tmp_path / "x.npz", emb=rows)
    options = NormalizeOptions(("group/emb",), norms_name="group/norms")
    normalize_file(tmp_path / "x.h5", tmp_path / "y.h5", options)
    with h5py.File(tmp_path / "y.h5") as file:
        np.testing.assert_allclose(file["group/norms"][:], _norms(rows), rtol=1e-15)
        np.testing.assert_array_equal(file["train"][:], rows * 2)
    both = NormalizeOptions(("group/emb", "train"), norms_name="norm")
    normalize_file(tmp_path / "x.h5", tmp_path / "two.h5", both)
    with h5py.File(tmp_path / "two.h5") as file:
        np.testing.assert_allclose(file["train_norm"][:], _norms(rows * 2), rtol=1e-15)
        np.testing.assert_allclose(file["group/emb_norm"][:], _norms(rows), rtol=1e-15)
    normalize_file(tmp_path / "x.npz", tmp_path / "y.npz", NormalizeOptions(norms_name="norms"))
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["norms"], _norms(rows), rtol=1e-15)


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".parquet"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, suffix: str) -> None:
    rows, source = _rows(), tmp_path / f"x{suffix}"
    if suffix == ".h5":
        with h5py.File(source, "w") as file:
            file["emb"] = file["id"] = rows
    elif suffix == ".npz":
        np.savez(source, emb=rows, id=rows)
    else:
        pq.write_table(_table(rows), source)
    with pytest.raises(DestinationError, match=rf"y{suffix} holds .*'id' already; choose another"):
        normalize_file(source, tmp_path / f"y{suffix}", NormalizeOptions(("emb",), norms_name="id"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"x{suffix}"]


def test_what_has_no_place_for_norms_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _rows())
    source = tmp_path / "x.npy"
    with pytest.raises(OptionError, match="npy has no place for norms beside the vectors"):
        normalize_file(source, options=NormalizeOptions(norms_name="n"))
    with pytest.raises(OptionError, match="holds the vectors; name another file"):
        normalize_file(source, files=FileOptions(norms=source))
    with pytest.raises(OptionError, match=r"norms are written as npy; name .*n.txt \*.npy"):
        normalize_file(source, files=FileOptions(norms=tmp_path / "n.txt"))
    with pytest.raises(OptionError, match="gets no norms; leave out `if_needed`"):
        normalize_file(
            source,
            options=NormalizeOptions(if_needed=True),
            files=FileOptions(norms=tmp_path / "n.npy"),
        )
    pq.write_table(_table(_rows()), tmp_path / "x.parquet")
    done = l2norm("normalize", tmp_path / "x.parquet", "--norms-name", "n", "-o", "-")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "norms are added to a file, not to a pipe" in done.err
    np.save(tmp_path / "n.npy", 1)
    with pytest.raises(DestinationError, match="exists; replace it with `overwrite=True`"):
        normalize_file(source, options=None, files=FileOptions(norms=tmp_path / "n.npy"))


def test_nothing_is_replaced_by_norms_unasked(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "sub").mkdir(parents=True)
    np.save(store / "x.npy", _rows())
    np.save(store / "sub" / "x.npy", _rows())
    for folder in (store / "sub", tmp_path, tmp_path / "store.normalized" / "norms"):
        with pytest.raises(OptionError, match="holds vectors; name another folder for norms"):
            normalize_store([store], files=StoreOptions(norms=folder), runner=Here())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.npy").write_text("precious")
    requested = StoreOptions(norms=tmp_path / "other")
    with pytest.raises(DestinationError, match=r"x\.npy exists; replace it with `overwrite=True`"):
        normalize_store([store], files=requested, runner=Here())
    assert (tmp_path / "other" / "x.npy").read_text() == "precious"
    two = [store / "x.npy", store / "sub" / "x.npy"]
    with pytest.raises(OptionError, match=r"would both become .*n.x.npy"):
        normalize_store(two, files=StoreOptions(norms=tmp_path / "n"), runner=Here())


def test_norms_are_not_there_without_the_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise DestinationError("not as it should be")

    monkeypatch.setattr("l2cli.normalization.verification.verify", refuse)
    np.save(tmp_path / "x.npy", _rows())
    with pytest.raises(DestinationError, match="not as it should be"):
        normalize_file(
            tmp_path / "x.npy",
            tmp_path / "y.npy",
            NormalizeOptions(verify=True),
            files=FileOptions(norms=tmp_path / "n.npy"),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_a_parquet_name_is_that_of_a_whole_column(tmp_path: Path) -> None:
    pq.write_table(_table(_rows()), tmp_path / "x.parquet")
    with pytest.raises(OptionError, match="'emb' would be taken for array 'emb'"):
        normalize_file(tmp_path / "x.parquet", options=NormalizeOptions(norms_name="emb"))
    options = NormalizeOptions(norms_name="element")  # What the list's own values are called.
    normalize_file(tmp_path / "x.parquet", tmp_path / "y.parquet", options)
    assert pq.read_table(tmp_path / "y.parquet").column_names == ["id", "emb", "element"]
    table = pa.table({"s": [{"a": 1}], "emb": pa.array([[1.0, 2.0]], pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "s.parquet")
    with pytest.raises(DestinationError, match="holds a column 's' already"):
        normalize_file(tmp_path / "s.parquet", options=NormalizeOptions(norms_name="s"))


def test_no_other_file_is_written_to_through_a_link(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("g")
    before = (tmp_path / "other.h5").read_bytes()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["emb"] = _rows()
        file["ext"] = h5py.ExternalLink("other.h5", "/g")
    with pytest.raises(DestinationError, match="'ext' leads to another file"):
        normalize_file(tmp_path / "x.h5", options=NormalizeOptions(norms_name="ext/n"))
    assert (tmp_path / "other.h5").read_bytes() == before


def test_arrays_without_rows_or_components_have_norms_too(tmp_path: Path) -> None:
    for shape, axis, expected in (((0, 5), 0, (5,)), ((5, 0), 0, (0,)), ((5, 0), 1, (5,))):
        np.save(tmp_path / "x.npy", np.empty(shape, "f4"))
        options = NormalizeOptions(axis=(axis,))
        source, norms = tmp_path / "x.npy", tmp_path / "n.npy"
        normalize_file(
            source, tmp_path / "y.npy", options, files=FileOptions(norms=norms, overwrite=True)
        )
        np.testing.assert_array_equal(np.load(norms), np.zeros(expected))


def test_a_store_keeps_the_norms_of_each_shard(tmp_path: Path) -> None:
    rows, store = _rows(), tmp_path / "store"
    (store / "a").mkdir(parents=True)
    np.save(store / "a" / "x.npy", rows)
    pq.write_table(_table(rows), store / "x.parquet")
    requested = StoreOptions(norms=tmp_path / "norms")
    report = normalize_store([store], files=requested, runner=Here())
    assert report.shards["done"] == 2
    np.testing.assert_allclose(
        np.load(tmp_path / "norms" / "a" / "x.npy"), _norms(rows), rtol=1e-15
    )
    assert len(np.load(tmp_path / "norms" / "x.parquet.npy")) == 300
    with pytest.raises(OptionError, match="holds vectors; name another folder for norms"):
        normalize_store([store], files=StoreOptions(norms=store), runner=Here())
