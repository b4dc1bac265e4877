"""Numbers that attributes declare missing: they stay, and are counted. Checked with h5py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from l2cli.checking.check import check
from l2cli.errors import DestinationError, RowError, SelectionError
from l2cli.normalization.file import normalize_file
from l2cli.options import CheckOptions, FileOptions, NormalizeOptions

if TYPE_CHECKING:
    from pathlib import Path

Rows = np.ndarray[Any, Any]
NC_FILL = np.float32(9.969209968386869e36)
NAMES = ["_FillValue", "missing_value", "MissingValue", "FillValue"]


def rows_with(marker: Any, null: list[int], dtype: str = "f4") -> Rows:
    rows = np.random.default_rng(0).standard_normal((20, 6)).astype(dtype) * 3
    rows[null] = marker
    return rows


def save(path: Path, rows: Rows, attributes: dict[str, Any], **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("embedding", data=rows, **options)
        dataset.attrs.update(attributes)
    return path


def load(path: Path) -> Rows:
    with h5py.File(path) as file:
        rows: Rows = file["embedding"][()]
    return rows


def assert_unit(result: Rows, rows: Rows, null: list[int]) -> None:
    """Assert that all rows but ``null`` are the true quotients, and these are as they were."""
    live = np.setdiff1d(np.arange(len(rows)), null)
    wide = rows[live].astype("f8")
    truth = wide / np.linalg.norm(wide, axis=-1, keepdims=True)
    tolerance = 1e-3 if result.dtype == np.float16 else 1e-6
    np.testing.assert_allclose(result[live], truth, rtol=tolerance, atol=tolerance)
    assert (result[null] == rows[null].astype(result.dtype)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("marker", [NC_FILL, np.float32(-999), np.array([-999], ">f8")])
def test_rows_of_a_marker_are_null_rows(tmp_path: Path, name: str, marker: Any) -> None:
    rows = rows_with(marker, [0, 7, 8, 19])
    source = save(tmp_path / "x.h5", rows, {name: marker})
    report = normalize_file(source, tmp_path / "y.h5", NormalizeOptions(verify=True, batch_size=8))
    assert_unit(load(tmp_path / "y.h5"), rows, [0, 7, 8, 19])
    (array,) = report.arrays
    assert (array.counts.num_rows, array.counts.null) == (16, 4)
    with h5py.File(tmp_path / "y.h5") as file:
        assert file["embedding"].attrs[name] == marker


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (3, 6)}, {"chunks": (3, 6), "compression": "gzip"}, {"maxshape": (None, 6)}],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8"])
def test_however_they_are_stored(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    rows = rows_with(-9999, [0, 3, 4, 5], dtype)
    source = save(
        tmp_path / "x.h5", rows, {"missing_value": np.array([1e4, -9999], "f4")}, **options
    )
    normalize_file(source, tmp_path / "y.h5")
    assert_unit(load(tmp_path / "y.h5"), rows, [0, 3, 4, 5])


def test_nothing_but_null_rows(tmp_path: Path) -> None:
    rows = rows_with(NC_FILL, list(range(20)))
    source = save(tmp_path / "x.h5", rows, {"_FillValue": NC_FILL})
    report = normalize_file(source, tmp_path / "y.h5", NormalizeOptions(verify=True))
    assert (load(tmp_path / "y.h5") == NC_FILL).all()
    assert report.arrays[0].counts.null == 20


@pytest.mark.parametrize(
    "attributes", [{"_FillValue": -999.0}, {"valid_min": -900.0}, {"valid_range": [-900.0, 900.0]}]
)
@pytest.mark.parametrize(("nonfinite", "rest"), [("keep", 2.0), ("zero", 0.0)])
def test_a_missing_component_is_a_null_component(
    tmp_path: Path, attributes: dict[str, Any], nonfinite: Any, rest: float
) -> None:
    rows = rows_with(-999, [2])
    rows[4], rows[4, 1] = 2, -999
    source = save(tmp_path / "x.h5", rows, attributes)
    with pytest.raises(RowError, match="row 4 holds a null component; correct it, or let it pass"):
        normalize_file(source, tmp_path / "y.h5")
    assert not (tmp_path / "y.h5").exists()
    options = NormalizeOptions(nonfinite=nonfinite, verify=True)
    report = normalize_file(source, tmp_path / "y.h5", options)
    result = load(tmp_path / "y.h5")
    assert_unit(np.delete(result, 4, 0), np.delete(rows, 4, 0), [2])
    assert result[4].tolist() == [rest, -999, rest, rest, rest, rest]
    assert (report.arrays[0].counts.nonfinite, report.arrays[0].counts.null) == (1, 1)


def test_a_nan_that_is_declared_missing_does_not_pass(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", rows_with(np.nan, [3]), {"_FillValue": np.float32("nan")})
    with pytest.raises(RowError, match="row 3 holds NaN or Inf"):
        normalize_file(source, tmp_path / "y.h5")


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"missing_value": np.float32(1)}, "missing_value"),
        ({"valid_min": np.float32(2)}, "valid_min"),
        ({"valid_range": np.array([-0.5, 100], "f4")}, "valid_range"),
        ({"valid_max": np.float32(0.5), "_FillValue": NC_FILL}, "valid_max"),
    ],
)
def test_a_result_that_would_be_missing_is_refused(
    tmp_path: Path, attributes: dict[str, Any], name: str
) -> None:
    rows = np.zeros((5, 4), "f4")
    rows[:, 0] = 5
    if name == "valid_max":
        rows /= 20
    if name == "valid_range":
        rows[3] = [-0.4, 0.1, 0, 0]
    if name == "valid_min":
        rows[:] = 5
    source = save(tmp_path / "x.h5", rows, attributes)
    with pytest.raises(
        RowError, match=rf"'embedding', row \d: a component becomes .*'{name}' declares"
    ):
        normalize_file(source, tmp_path / "y.h5")
    assert not (tmp_path / "y.h5").exists()


def test_a_range_that_holds_unit_rows_changes_nothing(tmp_path: Path) -> None:
    rows = rows_with(0, [])
    source = save(tmp_path / "x.h5", rows, {"valid_range": np.array([-1000, 1000], "f4")})
    normalize_file(source, tmp_path / "y.h5")
    assert_unit(load(tmp_path / "y.h5"), rows, [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fill_value_of_netcdf_counts_where_no_attribute_does(
    tmp_path: Path, dtype: str
) -> None:
    rows = rows_with(NC_FILL, [4, 5], dtype)
    source = save(tmp_path / "x.h5", rows, {}, fillvalue=NC_FILL)
    report = normalize_file(source, tmp_path / "y.h5", NormalizeOptions(verify=True))
    assert_unit(load(tmp_path / "y.h5"), rows, [4, 5])
    assert report.arrays[0].counts.null == 2


def test_another_fill_value_is_a_number(tmp_path: Path) -> None:
    rows = rows_with(7, [4])
    normalize_file(save(tmp_path / "x.h5", rows, {}, fillvalue=7), tmp_path / "y.h5")
    assert_unit(load(tmp_path / "y.h5"), rows, [])


def test_attributes_get_the_new_dtype(tmp_path: Path) -> None:
    rows = rows_with(-999.9, [4, 9], "f8")
    declared = {"_FillValue": np.array([-999.9]), "valid_max": 1e4, "scale": 3.0}
    source = save(tmp_path / "x.h5", rows, declared, fillvalue=-999.9)
    normalize_file(source, tmp_path / "y.h5", NormalizeOptions(dtype="float32", verify=True))
    result = load(tmp_path / "y.h5")
    assert result.dtype == np.float32
    assert_unit(result, rows, [4, 9])
    with h5py.File(tmp_path / "y.h5") as file:
        attributes = file["embedding"].attrs
        assert attributes["_FillValue"].dtype == attributes["valid_max"].dtype == np.float32
        assert attributes["_FillValue"] == np.float32(-999.9)
        assert attributes["scale"].dtype == np.float64
        assert file["embedding"].fillvalue == np.float32(-999.9)


def test_a_dtype_that_cannot_hold_the_marker_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", rows_with(NC_FILL, [1]), {"_FillValue": NC_FILL})
    with pytest.raises(
        DestinationError, match=r"has 9.96921e.36 as its '_FillValue', which float16 can't"
    ):
        normalize_file(source, tmp_path / "y.h5", NormalizeOptions(dtype="float16"))
    with pytest.raises(RowError, match=r"row 1 is null or empty, and npy can't hold that"):
        normalize_file(source, tmp_path / "y.npy", NormalizeOptions(dtype="float16"))


def test_components_are_cut_off_with_their_row(tmp_path: Path) -> None:
    rows = rows_with(-999, [3])
    rows[5, 4] = -999
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.float32(-999)})
    normalize_file(source, tmp_path / "y.h5", NormalizeOptions(truncate_dim=4, verify=True))
    assert_unit(load(tmp_path / "y.h5"), rows[:, :4], [3])


def test_integers(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(1, 50, (20, 6)).astype("i2")
    rows[3] = -99
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.int16(-99)})
    options = NormalizeOptions(select=("embedding",), dtype="float32", verify=True)
    normalize_file(source, tmp_path / "y.h5", options)
    assert_unit(load(tmp_path / "y.h5"), rows, [3])
    rows[5, 4] = -99
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.int16(-99)})
    with pytest.raises(RowError, match="row 5 holds a null component, and among integers"):
        normalize_file(source, tmp_path / "z.h5", options)


def test_null_rows_in_other_formats(tmp_path: Path) -> None:
    rows = rows_with(-999, [0, 3])
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.float32(-999)})
    normalize_file(source, tmp_path / "y.parquet", NormalizeOptions(batch_size=7))
    column = pq.read_table(tmp_path / "y.parquet")["embedding"]
    assert [i for i, row in enumerate(column.to_pylist()) if row is None] == [0, 3]
    live = np.array([row for row in column.to_pylist() if row is not None])
    assert_unit(live, np.delete(rows, [0, 3], 0), [])
    with pytest.raises(RowError, match="row 0 is null or empty, and npy can't hold that"):
        normalize_file(source, tmp_path / "y.npy")


def test_norms_of_null_rows_are_nan(tmp_path: Path) -> None:
    rows = rows_with(-999, [0, 3])
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.float32(-999)})
    normalize_file(
        source, tmp_path / "y.h5", NormalizeOptions(), files=FileOptions(norms=tmp_path / "n.npy")
    )
    norms = np.load(tmp_path / "n.npy")
    assert np.flatnonzero(np.isnan(norms)).tolist() == [0, 3]
    live = np.delete(rows, [0, 3], 0).astype("f8")
    np.testing.assert_allclose(np.delete(norms, [0, 3]), np.linalg.norm(live, axis=1))


def test_check_counts_them(tmp_path: Path) -> None:
    rows = rows_with(-999, [0, 3])
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.float32(-999)})
    normalize_file(source, tmp_path / "y.h5")
    report = check([source], against=tmp_path / "y.h5")
    assert report.is_unit
    assert (report.summary.unit, report.summary.null) == (18, 2)
    assert not check([tmp_path / "y.h5"], CheckOptions(zero_rows="forbid")).is_unit
    again = normalize_file(tmp_path / "y.h5", tmp_path / "z.h5", NormalizeOptions(if_needed=True))
    assert again.already_unit == "copied"


def test_several_vectors_in_a_row(tmp_path: Path) -> None:
    rows = rows_with(0, []).reshape(10, 2, 6)
    rows[3] = -999
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.float32(-999)})
    normalize_file(source, tmp_path / "y.h5")
    assert_unit(load(tmp_path / "y.h5"), rows, [3])
    rows[5, 1] = -999
    source = save(tmp_path / "x.h5", rows, {"_FillValue": np.float32(-999)})
    with pytest.raises(RowError, match=r"index \[5, 1, :\] holds a null component"):
        normalize_file(source, tmp_path / "z.h5")


PACKED = [
    ({"scale_factor": 0.1}, "i2", "scale_factor 0.1"),
    ({"add_offset": 3.0, "scale_factor": 1.0}, "f4", "add_offset 3"),
    ({"scale_factor": np.array([2.0])}, "f4", "scale_factor 2"),
    ({"ScaleFactor": 2.0}, "f4", "ScaleFactor 2"),
    ({"zero_point": 12}, "u1", "zero_point 12"),
    ({"scale": 0.5, "offset": 1}, "i1", "scale 0.5, offset 1|offset 1, scale 0.5"),
    ({"_Unsigned": "true"}, "i1", "_Unsigned true"),
]


@pytest.mark.parametrize(("attributes", "dtype", "stated"), PACKED, ids=str)
def test_packed_values_are_refused(
    tmp_path: Path, attributes: dict[str, Any], dtype: str, stated: str
) -> None:
    rows = np.arange(24).reshape(6, 4).astype(dtype)
    source = save(tmp_path / "x.h5", rows, attributes)
    expected = rf"its values are packed \(({stated})\); unpack them first \(ncpdq -U IN OUT\)"
    for select in ((), ("embedding",)):
        with pytest.raises(SelectionError, match=expected):
            normalize_file(source, options=NormalizeOptions(select=select, dtype="float32"))


@pytest.mark.parametrize(
    "attributes",
    [{"scale_factor": 1.0, "add_offset": 0.0}, {"scale": 3.0}, {"scale_factor": "none"}],
    ids=str,
)
def test_values_that_are_not_packed(tmp_path: Path, attributes: dict[str, Any]) -> None:
    rows = rows_with(0, [])
    normalize_file(save(tmp_path / "x.h5", rows, attributes), tmp_path / "y.h5")
    assert_unit(load(tmp_path / "y.h5"), rows, [])


def test_netcdf_reads_the_same_rows_as_missing(tmp_path: Path) -> None:
    netcdf = pytest.importorskip("netCDF4")
    source = tmp_path / "x.nc"
    rows = rows_with(0, [])
    with netcdf.Dataset(source, "w") as file:
        file.createDimension("row", 20)
        file.createDimension("dim", 6)
        for name, fill in (("filled", -999.0), ("default", None)):
            variable = file.createVariable(name, "f8", ("row", "dim"), fill_value=fill)
            variable[:12] = rows[:12]
    for dtype in ("same", "float32"):
        destination = tmp_path / f"{dtype}.nc"
        options = NormalizeOptions(select=("filled", "default"), dtype=dtype, verify=True)
        report = normalize_file(source, destination, options)
        assert [array.counts.null for array in report.arrays] == [8, 8]
        with netcdf.Dataset(destination) as file:
            for name in ("filled", "default"):
                result = file[name][:]
                assert np.ma.getmaskarray(result)[12:].all()
                assert not np.ma.getmaskarray(result)[:12].any()
                assert_unit(result[:12].filled(), rows[:12], [])
