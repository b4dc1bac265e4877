"""Rows that an HDF5 file claims and never stored: they are passed over, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.arrays import is_one_row
from l2cli.checking.check import check
from l2cli.errors import RowError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.normalization.file import normalize_file
from l2cli.options import NormalizeOptions
from tests.unit.formats.hdf5.test_rewriting import spec

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import Batch

MANY = 2**28
ROW = np.arange(1, 9, dtype="f4")
UNIT = ROW / np.sqrt((ROW.astype("f8") ** 2).sum())
STORED = (5, 6, 200_000_000, MANY - 1)

LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunks": {"chunks": (1000, 8)},
    "gzip": {"chunks": (1000, 8), "compression": "gzip", "maxshape": (None, 8)},
    "chunks side by side": {"chunks": (1 << 14, 3)},
    "newer": {"chunks": (1000, 8), "maxshape": (None, None)},
}


def make(path: Path, stored: tuple[int, ...] = STORED, **options: Any) -> Path:
    libver = "latest" if options.get("maxshape") == (None, None) else "earliest"
    with h5py.File(path, "w", libver=libver) as file:
        dataset = file.create_dataset("embedding", (MANY, 8), "f4", **options)
        for row in stored:
            dataset[row] = ROW
    return path


def batches(path: Path, batch_size: int | None = None) -> list[Batch]:
    with Hdf5Reader(path) as reader:
        return list(reader.batches(reader.arrays(), batch_size))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_never_stored_is_passed_over(tmp_path: Path, layout: str) -> None:
    stored = () if layout == "contiguous" else STORED
    source = make(tmp_path / "s.h5", stored, **LAYOUTS[layout])
    report = normalize_file(source, tmp_path / "d.h5")
    (array,) = report.arrays
    assert (array.counts.num_rows, array.counts.zero) == (MANY, MANY - len(stored))
    assert (tmp_path / "d.h5").stat().st_size <= source.stat().st_size + 4096
    with h5py.File(tmp_path / "d.h5") as file:
        for row in stored:
            np.testing.assert_allclose(file["embedding"][row], UNIT, rtol=1e-6)
        assert not file["embedding"][100_000_000:100_000_100].any()
    result = check([tmp_path / "d.h5"])
    assert (result.summary.num_rows, result.summary.zero) == (MANY, MANY - len(stored))
    assert result.summary.unit == len(stored)


def test_check_names_rows_that_were_never_stored(tmp_path: Path) -> None:
    source = make(tmp_path / "s.h5", (), fillvalue=2.0, chunks=(1000, 8))
    result = check([source])
    assert (result.summary.num_rows, result.summary.non_unit) == (MANY, MANY)
    (array,) = result.files[0].arrays
    assert [culprit.position for culprit in array.non_unit_rows] == [(0,), (1,), (2,), (3,), (4,)]
    assert result.summary.norms is not None
    assert result.summary.norms.smallest == result.summary.norms.largest == pytest.approx(32**0.5)


def test_a_fill_value_is_a_value(tmp_path: Path) -> None:
    rows = 2**20
    with h5py.File(tmp_path / "s.h5", "w") as file:
        options: dict[str, Any] = {"chunks": (4096, 8), "compression": "gzip", "fillvalue": 2.0}
        dataset = file.create_dataset("embedding", (rows, 8), "f4", **options)
        dataset[700_000] = ROW
    report = normalize_file(tmp_path / "s.h5", tmp_path / "d.h5")
    assert report.arrays[0].counts.zero == 0
    with h5py.File(tmp_path / "d.h5") as file:
        result = file["embedding"][()]
    np.testing.assert_allclose(result[700_000], UNIT, rtol=1e-6)
    assert (np.delete(result, 700_000, axis=0) == np.float32(8**-0.5)).all()


@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_a_fill_value_that_is_no_number_is_an_error(tmp_path: Path, fill: float) -> None:
    source = make(tmp_path / "s.h5", (), fillvalue=fill, chunks=(1000, 8))
    with pytest.raises(RowError, match="row 0"):
        normalize_file(source, tmp_path / "d.h5")
    options = NormalizeOptions(nonfinite="keep")
    report = normalize_file(source, tmp_path / "d.h5", options)
    assert report.arrays[0].counts.nonfinite == MANY


def test_rows_stand_where_they_stood(tmp_path: Path) -> None:
    source = make(tmp_path / "s.h5", chunks=(1000, 8))
    result = batches(source)
    assert [batch.start for batch in result] == list(
        np.cumsum([0, *(len(batch.rows) for batch in result[:-1])])
    )
    assert sum(len(batch.rows) for batch in result) == MANY
    stored = [batch for batch in result if not is_one_row(batch.rows)]
    places = [
        batch.start + int(row) for batch in stored for row in np.flatnonzero(batch.rows[:, 0])
    ]
    assert places == list(STORED)


def test_a_batch_size_holds_for_gaps(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("embedding", (1_000_000, 8), "f4", chunks=(1000, 8))
    sizes = {len(batch.rows) for batch in batches(tmp_path / "s.h5", 300_000)}
    assert sizes == {300_000, 100_000}


def test_small_gaps_are_read_with_the_rest(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        dataset = file.create_dataset("embedding", (1_000_000, 8), "f4", chunks=(1000, 8))
        dataset[::4000] = ROW
    assert not any(is_one_row(batch.rows) for batch in batches(tmp_path / "s.h5"))


def test_records_that_were_never_stored(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        record = [("embedding", "f4", (8,)), ("id", "i8")]
        dataset = file.create_dataset("r", (2**21,), record, chunks=(1000,))
        dataset[7] = (ROW, 5)
    normalize_file(tmp_path / "s.h5", tmp_path / "d.h5", NormalizeOptions(("r.embedding",)))
    with h5py.File(tmp_path / "d.h5") as file:
        np.testing.assert_allclose(file["r"][7]["embedding"], UNIT, rtol=1e-6)
        assert file["r"][7]["id"] == 5
        assert np.count_nonzero(file["r"][()]["embedding"]) == 8


def test_a_claim_beyond_all_disks_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("x", (2**55, 8), "f4", chunks=(1000, 8))
        file.create_dataset("y", (2**55, 8), "f4", chunks=(1000, 8), compression="gzip")
    for name in ("x", "y"):
        result = spec(tmp_path / "s.h5", name)
        assert "claims 1,152,921,504,606,846,976 bytes, the file, which may be" in result.refusal
        assert result.may_be_vectors
