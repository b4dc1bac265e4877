"""Rows of two sources side by side: their angles, against wider arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.arrays import ArraySpec, Batch, windows
from l2cli.checking.check import check
from l2cli.checking.comparison import angles, side_by_side
from l2cli.errors import OptionError, SourceError
from l2cli.normalization.file import normalize_file
from l2cli.options import CheckOptions, NormalizeOptions
from tests.support.reference import BFLOAT16, rows_of_all_sizes

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def rotated(rows: Array, angle: float) -> Array:
    """Turn float64 rows by ``angle`` in the plane of their first two components."""
    result = rows.copy()
    result[:, 0] = rows[:, 0] * math.cos(angle) - rows[:, 1] * math.sin(angle)
    result[:, 1] = rows[:, 0] * math.sin(angle) + rows[:, 1] * math.cos(angle)
    return result


@pytest.mark.parametrize("angle", [0, 1e-12, 1e-8, 1e-3, 1.0, math.pi / 2, 3.0, math.pi])
@pytest.mark.parametrize("factor", [1.0, 1e-300, 1e300])
def test_angles(angle: float, factor: float) -> None:
    rows = np.zeros((50, 6))
    rows[:, :2] = RNG.standard_normal((50, 2))
    between = angles(rows * factor, rotated(rows, angle))
    assert between == pytest.approx(np.full(50, angle), abs=1e-15, rel=1e-15)


def test_angles_of_rows_without_a_direction() -> None:
    rows = np.array([[0.0, 0], [0, 0], [1, 0], [np.nan, 1], [1, 0], [np.inf, 0]])
    after = np.array([[0.0, 0], [1, 0], [0, 0], [0, 0], [np.nan, 0], [np.nan, 0]])
    assert angles(rows, after).tolist() == [0, math.pi, math.pi, 0, math.pi, 0]
    assert angles(np.empty((3, 0)), np.empty((3, 0))).tolist() == [0, 0, 0]


def batches(rows: Array, size: int) -> list[Batch]:
    spec = ArraySpec("", rows.shape, rows.dtype.name)
    return [Batch(spec, rows[i:j], i) for i, j in windows(len(rows), size)]


@pytest.mark.parametrize(("size", "new_size"), [(1, 100), (7, 5), (100, 3), (10, 10)])
def test_any_two_cuts_meet(size: int, new_size: int) -> None:
    rows = np.arange(100.0).reshape(50, 2)
    pairs = list(side_by_side(batches(rows, size), batches(rows, new_size)))
    assert all(np.array_equal(left.rows, right.rows) for left, right in pairs)
    assert np.concatenate([left.rows for left, _ in pairs]).tolist() == rows.tolist()
    assert [left.row_number(0) for left, _ in pairs] == [right.start for _, right in pairs]


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16, "float32", "float64"])
def test_normalize_changes_lengths_only(tmp_path: Path, dtype: Any) -> None:
    rows = rows_of_all_sizes(dtype, 600, 9)
    spec = {"descr": "<V2" if dtype == BFLOAT16 else np.dtype(dtype).str}
    with (tmp_path / "x.npy").open("wb") as file:
        header = spec | {"fortran_order": False, "shape": rows.shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(rows.tobytes())
    normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", NormalizeOptions(epsilon=0.0))
    report = check([tmp_path / "x.npy"], against=tmp_path / "y.npy")
    assert report.exit_code == 0, report.verdict
    assert report.verdict.endswith("; only lengths changed")
    wide = rows.astype("f8")
    summary = report.summary
    with np.errstate(over="ignore"):
        norms = np.hypot.reduce(wide, axis=1)
    assert summary.before is not None
    assert summary.before.smallest == pytest.approx(norms[norms > 0].min(), rel=1e-13)


def test_a_row_of_another_direction_is_named(tmp_path: Path) -> None:
    rows = RNG.standard_normal((1000, 8))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(tmp_path / "x.npy", rows)
    unit[[500, 501]] = unit[[501, 500]]
    unit[700] = rotated(unit[700:701], 1e-8)[0]
    np.save(tmp_path / "y.npy", unit)
    report = check([tmp_path / "x.npy"], CheckOptions(batch_size=64), against=tmp_path / "y.npy")
    (array,) = report.files[0].arrays
    assert [row.position for row in array.non_unit_rows] == [(500,), (501,), (700,)]
    assert {row.category for row in array.non_unit_rows} == {"turned"}
    plane = float(np.hypot(unit[700, 0], unit[700, 1]))
    assert array.non_unit_rows[2].angle == pytest.approx(1e-8 * plane, rel=1e-6)
    assert (array.summary.unit, array.summary.non_unit, report.exit_code) == (1000, 3, 1)
    assert report.verdict == "no: 3 of 1,000 rows are not unit, or turned"


def test_tables_and_folders(tmp_path: Path) -> None:
    rows: list[Any] = list(RNG.standard_normal((100, 4)).astype("f4"))
    rows[7] = rows[8] = None
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    pq.write_table(pa.table({"emb": rows}), tmp_path / "old/x.parquet", row_group_size=30)
    normalize_file(tmp_path / "old/x.parquet", tmp_path / "new/x.parquet")
    np.save(tmp_path / "old/y.npy", np.ones((4, 4)))
    report = check([tmp_path / "old"], against=tmp_path / "new")
    by_name = {file.source.rpartition("/")[2]: file for file in report.files}
    assert by_name["x.parquet"].arrays[0].summary.unit == 98
    assert by_name["x.parquet"].arrays[0].summary.null == 2
    assert "can't be read: No such file" in by_name["y.npy"].error


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (np.ones((4, 3)), "there were more rows before: row 4 is in one source only"),
        (np.ones((6, 3)), "there were fewer rows before: row 5 is in one source only"),
        (np.ones((5, 2)), "row 0 had 3 components before and has 2 now"),
    ],
)
def test_what_can_not_be_compared(tmp_path: Path, after: Array, message: str) -> None:
    np.save(tmp_path / "x.npy", np.ones((5, 3)))
    np.save(tmp_path / "y.npy", after)
    with pytest.raises(SourceError, match=f"y.npy: {message}"):
        check([tmp_path / "x.npy"], against=tmp_path / "y.npy")


def test_nulls_have_to_be_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table({"emb": [[1.0], None, [1.0]]}), tmp_path / "x.parquet")
    pq.write_table(pa.table({"emb": [[1.0], [1.0], None]}), tmp_path / "y.parquet")
    with pytest.raises(SourceError, match="row 1 is null in one of the two sources only"):
        check([tmp_path / "x.parquet"], against=tmp_path / "y.parquet")


def test_arrays_are_paired_by_name(tmp_path: Path) -> None:
    unit = np.eye(3, 4)
    np.savez(tmp_path / "x.npz", a=unit * 2, b=unit * 3)
    np.savez(tmp_path / "y.npz", b=unit, a=unit)
    np.savez(tmp_path / "z.npz", c=unit, d=unit)
    both = CheckOptions(select=("*",))
    report = check([tmp_path / "x.npz"], both, against=tmp_path / "y.npz")
    norms = {array.name: array.summary.before for array in report.files[0].arrays}
    assert {name: norm and norm.median for name, norm in norms.items()} == {
        "a": pytest.approx(2, rel=1e-3),
        "b": pytest.approx(3, rel=2e-3),
    }
    with pytest.raises(SourceError, match=r"holds 'c', 'd', the other source 'a', 'b'; choose"):
        check([tmp_path / "x.npz"], both, against=tmp_path / "z.npz")


def test_options_that_contradict_each_other(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((5, 3)))
    path = tmp_path / "x.npy"
    with pytest.raises(OptionError, match="`axis=0` is not along them"):
        check([path], CheckOptions(axis=(0,)), against=path)
    with pytest.raises(OptionError, match="compares with one source, not 2"):
        check([path, path], against=path)
    with pytest.raises(OptionError, match=r"is a folder, and .*x\.npy is not; name two folders"):
        check([tmp_path], against=path)
