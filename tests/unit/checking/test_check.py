"""Norms and counts of ``check``, against NumPy in wider arithmetic."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.checking.check import check
from l2cli.dtypes import DTYPES as TABLE
from l2cli.errors import FormatError, NoArrayError, OptionError, SelectionError, SourceError
from l2cli.normalization.file import normalize_file
from l2cli.options import CheckOptions
from tests.support.reference import BFLOAT16, rows_of_all_sizes, true_quotient

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.checking.result import ArrayCheck

Array = np.ndarray[Any, Any]
DTYPES = ["float16", BFLOAT16, "float32", "float64"]
LARGEST = float(np.finfo(np.float64).max)


def unit_rows(num_rows: int = 500, dim: int = 20, dtype: Any = "f4") -> Array:
    rows = np.random.default_rng(0).standard_normal((num_rows, dim))
    return true_quotient(rows).astype(dtype)


def save(path: Path, rows: Array) -> Path:
    with path.open("wb") as file:
        header = {"descr": "<V2" if rows.dtype == BFLOAT16 else rows.dtype.str}
        np.lib.format.write_array_header_1_0(
            file, {**header, "fortran_order": False, "shape": rows.shape}
        )
        file.write(rows.tobytes())
    return path


def check_one(path: Path, **options: Any) -> ArrayCheck:
    (array,) = check([path], CheckOptions(**options)).files[0].arrays
    return array


def true_norms(rows: Array, axis: Any = -1) -> Array:
    wide = rows.astype(np.float64).astype(np.longdouble)
    norms: Array = np.sqrt((wide * wide).sum(axis=axis))
    return norms


@pytest.mark.parametrize("dtype", DTYPES)
def test_norms_of_all_sizes(tmp_path: Path, dtype: Any) -> None:
    rows = rows_of_all_sizes(dtype, 3000, 7)
    norms = true_norms(rows).astype("f8").clip(max=LARGEST)
    checked = check_one(save(tmp_path / "x.npy", rows), batch_size=1000)
    assert checked.summary.norms is not None
    positive = norms[norms > 0]
    assert checked.summary.norms.smallest == pytest.approx(positive.min(), rel=1e-14)
    assert checked.summary.norms.largest == pytest.approx(positive.max(), rel=1e-14)
    assert checked.summary.zero == (norms == 0).sum()
    unit = np.abs(norms - 1) <= TABLE[np.dtype(dtype).name].tolerance
    assert checked.summary.unit == unit.sum()
    non_unit = np.flatnonzero(~unit & (norms > 0))
    assert [row.position for row in checked.non_unit_rows] == [(index,) for index in non_unit[:5]]
    given = [row.norm for row in checked.non_unit_rows]
    assert given == pytest.approx(list(norms[non_unit[:5]]), rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_normalize_makes_is_unit(tmp_path: Path, dtype: Any) -> None:
    worst = np.full((2, 8), 0.3)  # Every component is rounded the same way.
    rows = np.concatenate([worst, np.random.default_rng(0).standard_normal((500, 8))])
    source = save(tmp_path / "x.npy", rows.astype(dtype))
    normalize_file(source, tmp_path / "y.npy")
    assert check([tmp_path / "y.npy"]).exit_code == 0
    assert check([source]).exit_code == 1


@pytest.mark.parametrize("bad", [0, 1, 499, 500, 999])
@pytest.mark.parametrize("batch_size", [None, 7, 500])
def test_one_bad_row_is_found_and_named(tmp_path: Path, bad: int, batch_size: int | None) -> None:
    rows = unit_rows(1000, 8, "f2")
    rows[bad] *= np.float16(1.01)
    report = check([save(tmp_path / "x.npy", rows)], CheckOptions(batch_size=batch_size))
    (array,) = report.files[0].arrays
    assert [row.position for row in array.non_unit_rows] == [(bad,)]
    assert array.non_unit_rows[0].norm == pytest.approx(float(true_norms(rows)[bad]), rel=1e-14)
    assert (array.summary.unit, report.exit_code) == (999, 1)
    assert report.verdict == "no: 1 of 1,000 rows is not unit"
    assert f"not unit: row {bad} (norm 1.0" in str(array)


def test_rows_of_every_category(tmp_path: Path) -> None:
    rows = unit_rows()
    rows[3:5], rows[7, 2], rows[9, 1], rows[11] = 0, np.nan, -np.inf, 2 * rows[11]
    array = check_one(save(tmp_path / "x.npy", rows))
    summary = array.summary
    assert (summary.num_rows, summary.unit, summary.zero, summary.nonfinite) == (500, 495, 2, 2)
    assert summary.non_unit == 3
    assert [str(row) for row in array.non_unit_rows] == [
        "7 (non-finite)",
        "9 (non-finite)",
        f"11 (norm {array.non_unit_rows[2].norm:.4g})",
    ]
    assert str(array).splitlines()[0] == ("500 rows: 495 unit, 3 not unit (2 non-finite), 2 zero")
    forbidden = check_one(tmp_path / "x.npy", zero_rows="forbid")
    assert forbidden.summary.non_unit == 5
    assert [row.position for row in forbidden.non_unit_rows] == [(3,), (4,), (7,), (9,), (11,)]


@pytest.mark.parametrize("zero_rows", ["allow", "forbid"])
def test_null_rows(tmp_path: Path, zero_rows: str) -> None:
    rows: list[Any] = list(unit_rows())
    rows[4] = rows[8] = None
    pq.write_table(pa.table({"emb": rows}), tmp_path / "x.parquet")
    report = check([tmp_path / "x.parquet"], CheckOptions(zero_rows=zero_rows))  # type: ignore[arg-type]
    summary = report.files[0].arrays[0].summary
    assert (summary.num_rows, summary.null, summary.unit) == (498, 2, 498)
    if zero_rows == "allow":
        assert report.exit_code == 0
        assert report.verdict.endswith("but for 2 null rows, which are allowed")
    else:
        assert (report.exit_code, summary.non_unit) == (1, 2)
        assert report.files[0].arrays[0].non_unit_rows[0].position == (4,)


@pytest.mark.parametrize("axis", [(0,), (1,), (2,), (-1, 1), (0, 2), (0, 1, 2)])
def test_any_axis_of_any_rank(tmp_path: Path, axis: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).standard_normal((30, 4, 5)).astype("f4")
    rows[0] *= 1e-38
    np.save(tmp_path / "x.npy", rows)
    array = check_one(tmp_path / "x.npy", axis=axis, batch_size=7)
    norms = true_norms(rows, tuple(index % 3 for index in axis))
    assert array.summary.num_rows == norms.size
    assert array.summary.norms is not None
    assert array.summary.norms.smallest == pytest.approx(float(norms.min()), rel=1e-14)
    assert array.summary.norms.largest == pytest.approx(float(norms.max()), rel=1e-14)
    for row in array.non_unit_rows:
        assert row.norm == pytest.approx(float(norms[row.position]), rel=1e-14)


def test_rows_of_different_lengths(tmp_path: Path) -> None:
    rows = [[3.0, 4.0], [1.0], [], [0.6, 0.8], [1.0, 2.0, 2.0], None, [0.0]]
    pq.write_table(pa.table({"emb": rows}), tmp_path / "x.parquet")
    array = check_one(tmp_path / "x.parquet")
    assert (array.summary.unit, array.summary.zero, array.summary.null) == (2, 1, 2)
    assert [(row.position, row.norm) for row in array.non_unit_rows] == [((0,), 5), ((4,), 3)]
    assert array.shape == (7, None)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_arrays_without_a_component(tmp_path: Path, shape: tuple[int, int]) -> None:
    np.save(tmp_path / "x.npy", np.empty(shape, "f4"))
    report = check([tmp_path / "x.npy"])
    assert report.summary.zero == report.summary.num_rows == shape[0]
    assert report.exit_code == 0
    json.dumps(report.as_dict(), allow_nan=False)


def test_tolerance(tmp_path: Path) -> None:
    rows = np.eye(3) * 1.5
    np.save(tmp_path / "x.npy", rows)
    assert check([tmp_path / "x.npy"], CheckOptions(tolerance=0.5)).exit_code == 0
    assert check([tmp_path / "x.npy"], CheckOptions(tolerance=0.4999)).exit_code == 1


def test_every_array_of_every_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ann.h5", "w") as file:
        file["train"], file["test"] = unit_rows(), unit_rows(30)
        file["neighbors"], file["distances"] = np.ones((30, 5), int), np.ones((30, 5))
    np.savez(tmp_path / "two.npz", a=unit_rows(), b=unit_rows() * 2)
    (tmp_path / "notes.txt").write_text("unit?")
    np.save(tmp_path / "ids.npy", np.arange(4))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    report = check([tmp_path], CheckOptions(select=()))
    files = {file.source.rpartition("/")[2]: file for file in report.files}
    assert set(files) == {"ann.h5", "two.npz", "broken.npy"}
    assert {array.name for array in files["ann.h5"].arrays} == {"train", "test"}
    assert "is cut off" in files["broken.npy"].error or "npy" in files["broken.npy"].error
    assert "2 arrays that could be meant" in files["two.npz"].error
    assert (report.exit_code, report.summary.unit) == (3, 530)
    both = check([tmp_path / "two.npz"], CheckOptions(select=("a", "b")))
    assert [array.summary.unit for array in both.files[0].arrays] == [500, 0]
    assert both.verdict == "no: 500 of 1,000 rows in 2 arrays are not unit"


@pytest.mark.parametrize("axis", [-1, 0])
def test_streams(tmp_path: Path, axis: int) -> None:
    buffer = io.BytesIO()
    np.save(buffer, unit_rows(300, 20) if axis else unit_rows(300, 20).T.copy())
    path = tmp_path / "x"
    path.write_bytes(buffer.getvalue())
    with io.FileIO(path) as stream:
        report = check([stream], CheckOptions(axis=(axis,)))
    assert report.files[0].source == "standard input"
    assert (report.exit_code, report.summary.unit) == (0, 300)


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", unit_rows())
    seen: list[tuple[int, int]] = []
    check([tmp_path], CheckOptions(batch_size=100), progress=lambda *state: seen.append(state))
    assert len(seen) == 10
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_what_can_not_be_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "i.npy", np.ones((3, 3), int))
    np.savez(tmp_path / "x.npz", ids=np.arange(3), emb=unit_rows())
    with pytest.raises(
        NoArrayError, match="array is int64, and only rows of a float dtype can be unit"
    ):
        check([tmp_path / "i.npy"])
    with pytest.raises(SourceError, match=r"x\.npz: array 'ids' is int64, and only rows"):
        check([tmp_path / "x.npz"], CheckOptions(select=("ids",)))
    with pytest.raises(SelectionError, match="holds no array 'no'"):
        check([tmp_path / "x.npz"], CheckOptions(select=("no",)))
    with pytest.raises(SourceError, match=r"no\.npy can't be read"):
        check([tmp_path / "no.npy"])
    with pytest.raises(FormatError, match="is a damaged zip archive"):
        check([tmp_path / "i.npy"], source_format="npz")
    with pytest.raises(SourceError, match="has rank 2, so axis 5 is out of range"):
        check([tmp_path / "x.npz"], CheckOptions(axis=(5,)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoArrayError, match="empty holds no file with an array to check"):
        check([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1.0}, "`tolerance` is -1.0, expected a finite number, 0 or more"),
        ({"tolerance": float("nan")}, "`tolerance` is nan, expected"),
        ({"zero_rows": "keep"}, "`zero_rows` is 'keep', expected allow, forbid"),
        ({"axis": ()}, "`axis` is empty"),
    ],
)
def test_options_are_validated(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CheckOptions(**options)


@pytest.mark.parametrize(
    ("zero_rows", "line", "verdict"),
    [
        (
            "allow",
            "1,000 rows: 693 unit, 303 not unit (1 non-finite), 4 zero",
            "no: 303 of 1,000 rows are not unit",
        ),
        (
            "forbid",
            "1,000 rows: 693 unit, 307 not unit (1 non-finite, 4 zero)",
            "no: 307 of 1,000 rows are not unit",
        ),
    ],
)
def test_one_number_says_how_many_rows_are_not_unit(
    tmp_path: Path, zero_rows: Any, line: str, verdict: str
) -> None:
    rows = np.zeros((1000, 4))
    rows[:, 0] = 1
    rows[:302] *= 2
    rows[302, 1] = np.nan
    rows[303:307] = 0
    np.save(tmp_path / "x.npy", rows)
    report = check([tmp_path / "x.npy"], CheckOptions(zero_rows=zero_rows))
    (array,) = report.files[0].arrays
    assert str(array).splitlines()[0] == line
    assert report.verdict == verdict
    if zero_rows == "forbid":
        assert str(array).splitlines()[-1].endswith(" and 302 more")
