"""Datasets that aren't taken unasked: what libraries keep for themselves, and sparse matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.formats.hdf5 import Hdf5Reader

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.random.default_rng(0).standard_normal((6, 4)).astype("f4")
Attributes = dict[str, Any]


def doubts(path: Path) -> dict[str, str]:
    """Return what speaks against each dataset, in the order that messages list them."""
    with Hdf5Reader(path) as reader:
        return {array.name: array.doubt for array in reader.arrays()}


def save(path: Path, datasets: dict[str, Any], attributes: dict[str, Attributes]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
        for name, values in attributes.items():
            file.require_group(name) if name not in file else None
            file[name].attrs.update(values)
    return path


INDEX = "an index of PyTables"
SCALE = "a dimension scale"
PANDAS = "bookkeeping of pandas"
KERAS = "a weight of a Keras model"
CASES: list[tuple[str, dict[str, Attributes], dict[str, str]]] = [
    (
        "PyTables",
        {
            "_i_table": {"CLASS": np.bytes_(b"TINDEX")},
            "_i_table/a": {"CLASS": np.bytes_(b"INDEX")},
            "x": {"CLASS": np.bytes_(b"EARRAY")},
        },
        {"_i_table/a/sorted": INDEX, "_i_table/a/ranges": INDEX, "x": ""},
    ),
    ("one of its arrays", {"i": {"CLASS": np.bytes_(b"CACHEARRAY")}}, {"i": INDEX, "x": ""}),
    (
        "pandas",
        {"df": {"pandas_type": np.bytes_(b"frame")}},
        {
            "df/axis0": PANDAS,
            "df/axis1_level0": PANDAS,
            "df/block0_items": PANDAS,
            "df/block0_values": "",
            "df/meta/b/meta/values": PANDAS,
            "other/axis0": "",
        },
    ),
    (
        "MATLAB",
        {},
        {"#refs#/a": "bookkeeping of MATLAB", "#subsystem#/MCOS": "bookkeeping of MATLAB", "x": ""},
    ),
    (
        "dimension scales",
        {"n": {"CLASS": np.bytes_(b"DIMENSION_SCALE")}, "k": {"CLASS": "DIMENSION_SCALE"}},
        {"n": SCALE, "k": SCALE, "x": ""},
    ),
    (
        "images",
        {"i": {"CLASS": np.bytes_(b"IMAGE")}, "p": {"CLASS": np.bytes_(b"PALETTE")}},
        {"i": "an image", "p": "the palette of an image", "x": ""},
    ),
    (
        "CF",
        {
            "g/lat": {"bounds": "lat_bnds"},
            "g/x": {"coordinates": "lon2d /lat2d", "ancillary_variables": "quality"},
            "time": {"climatology": np.bytes_(b"when")},
        },
        {
            "g/lat": "",
            "g/lat_bnds": "the bounds of 'g/lat'",
            "g/lon2d": "a coordinate of 'g/x'",
            "lat2d": "a coordinate of 'g/x'",
            "g/quality": "about 'g/x'",
            "when": "the bounds of 'time'",
            "time": "",
            "g/x": "",
        },
    ),
    (
        "AnnData",
        {"/": {"encoding-type": "anndata"}},
        {
            "X": "",
            "obsm/X_pca": "",
            "obsp/distances": "pairwise numbers of AnnData (obsp)",
            "varp/c": "pairwise numbers of AnnData (varp)",
            "uns/colors": "unstructured notes of AnnData (uns)",
        },
    ),
    (
        "old AnnData inside MuData",
        {"mod/rna/obs": {}, "mod/rna/var": {}},
        {"mod/rna/uns/colors": "unstructured notes of AnnData (uns)", "mod/rna/X": "", "uns/x": ""},
    ),
    (
        "Keras",
        {"layers/dense/vars": {"name": "dense"}},
        {"layers/dense/vars/0": KERAS, "vars/0": "", "x": ""},
    ),
    ("old Keras", {"/": {"keras_version": "2.15"}}, {"optimizer_weights/adam/m": KERAS}),
    ("older Keras", {"dense": {"weight_names": ["k"]}}, {"dense/dense/kernel": KERAS, "x": ""}),
]


@pytest.mark.parametrize(
    ("attributes", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bookkeeping_is_told_and_listed_last(
    tmp_path: Path, attributes: dict[str, Attributes], expected: dict[str, str]
) -> None:
    result = doubts(save(tmp_path / "x.h5", dict.fromkeys(expected, ROWS), attributes))
    assert result == expected
    order = [bool(doubt) for doubt in result.values()]
    assert order == sorted(order)


@pytest.mark.parametrize("key", ["encoding-type", "h5sparse_format"])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_sparse_matrices_of_anndata(tmp_path: Path, key: str, form: str) -> None:
    parts = [f"obsm/X_emb/{name}" for name in ("data", "indices", "indptr")]
    encoding = f"{form}_matrix" if key == "encoding-type" else form
    datasets = dict.fromkeys([*parts, "obsm/X_pca"], ROWS)
    result = doubts(save(tmp_path / "x.h5", datasets, {"obsm/X_emb": {key: encoding}}))
    assert result == {"obsm/X_pca": "", **dict.fromkeys(parts, f"part of a sparse matrix ({form})")}


@pytest.mark.parametrize(
    ("parts", "beside", "form"),
    [
        (
            ["matrix/data", "matrix/indices", "matrix/indptr", "matrix/shape"],
            ["matrix/x"],
            "csr or csc",
        ),
        (["data", "indices", "indptr"], ["embedding"], "csr or csc"),
        (["a_data", "a_indices", "a_indptr", "a_shape"], ["b_data", "data"], "csr or csc"),
        (["data", "row", "col"], ["rows"], "coo"),
        (["a_data", "a_row", "a_col", "a_shape"], ["data", "shape"], "coo"),
        (["data", "offsets", "shape"], ["x"], "dia"),
        (["values", "crow_indices", "col_indices"], ["x"], "csr"),
        (["values", "ccol_indices", "row_indices"], ["x"], "csc"),
    ],
)
def test_parts_of_sparse_matrices(
    tmp_path: Path, parts: list[str], beside: list[str], form: str
) -> None:
    result = doubts(save(tmp_path / "x.h5", dict.fromkeys([*parts, *beside], ROWS), {}))
    expected = dict.fromkeys(beside, "")
    assert result == {**expected, **dict.fromkeys(parts, f"part of a sparse matrix ({form})")}


def test_a_sparse_matrix_of_matlab(tmp_path: Path) -> None:
    datasets = dict.fromkeys(["s/data", "s/ir", "s/jc", "x"], ROWS)
    result = doubts(save(tmp_path / "x.h5", datasets, {"s": {"MATLAB_sparse": np.uint64(6)}}))
    assert set(result.values()) == {"", "part of a sparse matrix (csc)"}
    assert result["x"] == ""


@pytest.mark.parametrize("names", [["data", "offsets"], ["data", "indices"], ["values", "indices"]])
def test_what_is_no_sparse_matrix(tmp_path: Path, names: list[str]) -> None:
    assert not any(doubts(save(tmp_path / "x.h5", dict.fromkeys(names, ROWS), {})).values())


def test_a_reference_is_never_a_candidate(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = ROWS
        shape, variant = (2, 2), h5py.special_dtype(ref=h5py.RegionReference)
        file.create_dataset("regions", shape, variant)[...] = file["x"].regionref[:2]
    with Hdf5Reader(tmp_path / "x.h5") as reader:
        assert {array.name for array in reader.arrays() if not array.refusal} == {"x"}


def test_files_of_the_libraries_themselves(tmp_path: Path) -> None:
    tables = pytest.importorskip("tables")
    with tables.open_file(str(tmp_path / "t.h5"), "w") as file:
        table = file.create_table("/", "t", {"a": tables.Float64Col()})
        table.append([(float(n),) for n in range(1000)])
        table.cols.a.create_csindex()
        file.create_array("/", "embedding", ROWS)
    result = doubts(tmp_path / "t.h5")
    assert list(result)[:2] == ["embedding", "t"]
    assert set(list(result.values())[2:]) == {INDEX}


def test_a_file_of_anndata(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    scipy = pytest.importorskip("scipy.sparse")
    matrix = scipy.random(6, 4, 0.5, "csr", dtype="f4")
    made = anndata.AnnData(matrix, obsm={"X_pca": ROWS}, uns={"colors": ROWS})
    made.write_h5ad(tmp_path / "a.h5ad")
    result = doubts(tmp_path / "a.h5ad")
    assert result["obsm/X_pca"] == ""
    assert result["uns/colors"] == "unstructured notes of AnnData (uns)"
    assert result["X/data"] == "part of a sparse matrix (csr)"


def test_a_file_of_netcdf(tmp_path: Path) -> None:
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("row", 6)
        file.createDimension("two", 4)
        for name, axes in {"row": ("row",), "edges": ("row", "two"), "x": ("row", "two")}.items():
            file.createVariable(name, "f4", axes)
        file["row"].bounds = "edges"
    expected = {"x": "", "edges": "the bounds of 'row'", "row": SCALE, "two": SCALE}
    assert doubts(tmp_path / "a.nc") == expected
