"""``--verify`` and ``--if-needed``: files are read again, and what is wrong in them is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import l2cli.normalization.file
from l2cli.arrays import ArraySpec
from l2cli.errors import DestinationError, RowError
from l2cli.formats.npy.reader import NpyWriter
from l2cli.formats.registry import by_name
from l2cli.normalization.file import normalize_file
from l2cli.normalization.verification import verify
from l2cli.options import FileOptions, NormalizeOptions, StoreOptions
from l2cli.report import Counts
from l2cli.store.run import normalize_store
from tests.support.commands import l2norm
from tests.support.reference import BFLOAT16, true_quotient
from tests.support.workers import Here

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import Batch

Array = np.ndarray[Any, Any]
IF_NEEDED = NormalizeOptions(if_needed=True)


def _rows(num_rows: int = 300, dim: int = 16) -> Array:
    return np.random.default_rng(0).standard_normal((num_rows, dim)).astype("f4")


def _unit(num_rows: int = 300) -> Array:
    return true_quotient(_rows(num_rows)).astype("f4")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_good_file_is_verified(tmp_path: Path, dtype: Any, axis: int) -> None:
    rows = _rows()
    rows[3] = 0
    rows[5] = 1e-30
    np.save(tmp_path / "x.npy", rows)
    options = NormalizeOptions(axis=(axis,), dtype=dtype, verify=True)
    report = normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", options)
    assert report.verified
    assert ("; verified; " if axis == 0 else "; verified, 1 not unit; ") in str(report)


@pytest.mark.parametrize("nonfinite", ["keep", "zero"])
def test_rows_that_can_not_be_unit_are_expected(tmp_path: Path, nonfinite: Any) -> None:
    rows = _rows()
    rows[7] = np.nan
    table = pa.table({"emb": [None, *rows.tolist()]})
    pq.write_table(table, tmp_path / "x.parquet")
    options = NormalizeOptions(nonfinite=nonfinite, verify=True)
    for name in ("y.parquet", "y.arrow"):
        assert normalize_file(tmp_path / "x.parquet", tmp_path / name, options).verified


def test_a_row_that_was_written_wrong_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_badly(self: NpyWriter, batch: Batch) -> None:
        rows = np.array(batch.rows)
        rows[200] *= np.float32(1.01)
        write(self, type(batch)(batch.array, rows, batch.start))

    write = NpyWriter.write
    monkeypatch.setattr(NpyWriter, "write", write_badly)
    np.save(tmp_path / "x.npy", _rows())
    normalize_file(tmp_path / "x.npy", tmp_path / "y.npy")
    with pytest.raises(
        DestinationError,
        match=r"z.npy: array, read back, has 1 row that is not unit, expected 0 at most "
        r"\(not unit: 200 \(norm 1.0\d+\)\); nothing of it was left; check the disk",
    ):
        normalize_file(tmp_path / "x.npy", tmp_path / "z.npy", NormalizeOptions(verify=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "y.npy"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "has 299 rows, expected 300"),
        (lambda rows: np.where(np.arange(300)[:, None] == 9, np.nan, rows), "has 1 row with NaN"),
        (lambda rows: np.where(np.arange(300)[:, None] == 9, 0, rows), "has 1 row that is not"),
    ],
)
def test_each_type_of_damage_is_found(tmp_path: Path, change: Any, message: str) -> None:
    np.save(tmp_path / "x.npy", change(_unit()))
    expected = [(ArraySpec("", (300, 16), "float32"), Counts(300))]
    with pytest.raises(DestinationError, match=message):
        verify(tmp_path / "x.npy", by_name("npy"), "x", expected, NormalizeOptions())


def test_what_is_unit_is_copied_to_the_byte(tmp_path: Path) -> None:
    unit = _unit()
    unit[4] = 0
    np.save(tmp_path / "x.npy", unit)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["emb"] = unit
        file.attrs["a"] = 1
    lists = pa.array([None, *unit.tolist()], pa.list_(pa.float32()))
    pq.write_table(pa.table({"emb": lists}), tmp_path / "x.parquet")
    for suffix, rows in ((".npy", 300), (".h5", 300), (".parquet", 300)):
        report = normalize_file(tmp_path / f"x{suffix}", tmp_path / f"y{suffix}", IF_NEEDED)
        assert (tmp_path / f"y{suffix}").read_bytes() == (tmp_path / f"x{suffix}").read_bytes()
        assert report.already_unit == "copied"
        assert str(report).endswith(", unit already, copied as it was")
        counts = report.arrays[0].counts
        assert (counts.num_rows, counts.zero, counts.null) == (rows, 1, int(suffix == ".parquet"))


def test_in_place_it_is_left(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _unit())
    before = (tmp_path / "x.npy").stat()
    report = normalize_file(tmp_path / "x.npy", options=IF_NEEDED, files=FileOptions(in_place=True))
    after = (tmp_path / "x.npy").stat()
    assert report.already_unit == "left"
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_not_unit_or_is_to_change_is_normalized(tmp_path: Path) -> None:
    unit = _unit()
    np.save(tmp_path / "unit.npy", unit)
    unit[299] *= np.float32(1.001)
    np.save(tmp_path / "x.npy", unit)
    report = normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", IF_NEEDED)
    assert not report.already_unit
    result = np.load(tmp_path / "y.npy").astype("f8")
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, atol=1e-6)
    shorter = NormalizeOptions(if_needed=True, truncate_dim=8)
    assert not normalize_file(tmp_path / "unit.npy", tmp_path / "t.npy", shorter).already_unit
    assert not normalize_file(tmp_path / "unit.npy", tmp_path / "t.h5", IF_NEEDED).already_unit
    floored = NormalizeOptions(if_needed=True, epsilon=4)
    report = normalize_file(tmp_path / "unit.npy", tmp_path / "f.npy", floored)
    assert not report.already_unit
    unit[5] = np.nan
    np.save(tmp_path / "x.npy", unit)
    with pytest.raises(RowError, match="row 5 holds NaN"):
        normalize_file(tmp_path / "x.npy", tmp_path / "z.npy", IF_NEEDED)


def test_bfloat16_is_looked_at_too(tmp_path: Path) -> None:
    unit = _unit().astype(BFLOAT16)
    with (tmp_path / "x.npy").open("wb") as file:
        header = {"descr": "<V2", "fortran_order": False, "shape": unit.shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(unit.tobytes())
    options = NormalizeOptions(if_needed=True, dtype="bfloat16")
    report = normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", options)
    assert report.already_unit == "copied"


def test_a_store_copies_the_shards_that_are_unit(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "unit.npy", _unit())
    np.save(store / "x.npy", _rows())
    report = normalize_store([store], options=IF_NEEDED, runner=Here())
    assert report.shards["done"] == 2
    copied = tmp_path / "store.normalized" / "unit.npy"
    assert copied.read_bytes() == (store / "unit.npy").read_bytes()
    inode = (store / "unit.npy").stat().st_ino
    requested = StoreOptions(in_place=True)
    normalize_store([store], options=IF_NEEDED, files=requested, runner=Here())
    assert (store / "unit.npy").stat().st_ino == inode
    assert normalize_store([store], options=IF_NEEDED, files=requested, runner=Here()).shards[
        "skipped"
    ]


def test_a_pipe_is_copied_but_not_verified(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _unit())
    done = l2norm("normalize", tmp_path / "x.npy", "--if-needed", "-o", "-", "--verify")
    assert (done.code, done.out) == (2, "")
    assert "a pipe can't be read back to verify it; name a file with -o FILE" in done.err
    target = tmp_path / "y.npy"
    with target.open("wb") as out:
        l2cli.normalization.file.normalize_file(tmp_path / "x.npy", out, IF_NEEDED)
    assert target.read_bytes() == (tmp_path / "x.npy").read_bytes()
