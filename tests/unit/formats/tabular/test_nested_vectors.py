"""Vectors inside structs, and several vectors a row. Checked with pyarrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import DestinationError, OptionError, RowError, SourceError
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.parquet.summary import rewrite_summary
from l2cli.formats.registry import detect, open_reader
from l2cli.formats.tabular.datasets import with_types
from l2cli.normalization.file import normalize_file
from l2cli.options import FileOptions, NormalizeOptions
from tests.support.doubling import double

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIXES = ["arrow", "parquet"]
F4 = pa.float32()
RANDOM = np.random.default_rng(0)


def save(path: Path, table: Any, rows: int = 4, **options: Any) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows, **options)
        return path
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def load(path: Path) -> Any:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    return pa.ipc.open_file(str(path)).read_all()


def specs(path: Path) -> dict[str, Any]:
    with open_reader(path, detect(path), DEFAULT_OPENING) as reader:
        return {spec.name: spec for spec in reader.arrays()}


def twice(value: Any) -> Any:
    """Double every number, however deep in lists."""
    if isinstance(value, list):
        return [twice(entry) for entry in value]
    return value if value is None else 2 * value


def structs(list_type: Any = None, *, nullable: bool = True) -> Any:
    """Return structs of which some are null, some hold a null, and some an empty list."""
    list_type = list_type or pa.list_(F4)
    is_fixed = pa.types.is_fixed_size_list(list_type)
    rows: list[Any] = [{"n": i, "values": [i + 1.0, i + 2.0]} for i in range(10)]
    if nullable:
        rows[1], rows[6] = None, None
        rows[2] = {"n": None, "values": None}
        rows[7] = {"n": 7, "values": [0.5, None]}
        if not is_fixed:
            rows[3], rows[8] = {"n": 3, "values": []}, {"n": 8, "values": [1.0]}
    fields = [pa.field("n", pa.int64()), pa.field("values", list_type, nullable=nullable)]
    return pa.array(rows, pa.struct(fields))


def values_doubled(rows: list[Any]) -> list[Any]:
    return [row and {**row, "values": twice(row["values"])} for row in rows]


LISTS = [pa.list_(F4), pa.large_list(pa.float64()), pa.list_(F4, 2), pa.list_view(F4)]


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("list_type", LISTS, ids=str)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_list_inside_a_struct(
    tmp_path: Path, suffix: str, list_type: Any, nullable: bool, batch_size: int | None
) -> None:
    column = structs(list_type, nullable=nullable)
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("emb", column.type, nullable)])
    source = save(tmp_path / f"x.{suffix}", pa.table([pa.array(range(10)), column], schema=schema))
    assert [*specs(source)] == ["id", "emb.n", "emb.values"]
    before, after = load(source), load(double(source, "emb.values", batch_size=batch_size))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after["emb"].to_pylist() == values_doubled(before["emb"].to_pylist())
    assert after["id"].equals(before["id"])
    after.validate(full=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_structs_in_structs(tmp_path: Path, suffix: str) -> None:
    inner = structs()
    mask = pa.array([i in (0, 4) for i in range(10)])
    column = pa.StructArray.from_arrays([pa.array(range(10)), inner], ["k", "e"], mask=mask)
    source = save(tmp_path / f"x.{suffix}", pa.table({"top": column, "id": range(10)}))
    assert [*specs(source)] == ["top.k", "top.e.n", "top.e.values", "id"]
    after = load(double(source, "top.e.values"))
    expected = load(source)["top"].to_pylist()
    for row in expected:
        if row and row["e"]:
            row["e"]["values"] = twice(row["e"]["values"])
    assert after["top"].to_pylist() == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_arrays_of_one_struct(tmp_path: Path, suffix: str) -> None:
    one, second = structs(), structs(pa.list_(F4, 2))
    column = pa.StructArray.from_arrays(
        [one.field(1), second.field(1), pa.array(["x"] * 10)], ["a", "b", "c"]
    )
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": column}))
    before, after = load(source)["emb"], load(double(source, "emb.a", "emb.b"))["emb"]
    assert after.type == before.type
    expected = [{**row, "a": twice(row["a"]), "b": twice(row["b"])} for row in before.to_pylist()]
    assert after.to_pylist() == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_dtype_inside_a_struct(tmp_path: Path, suffix: str) -> None:
    features = {
        "emb": {
            "n": {"dtype": "int64", "_type": "Value"},
            "values": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 2},
        }
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"emb": structs(pa.list_(F4, 2))}).replace_schema_metadata(metadata)
    source = save(tmp_path / f"x.{suffix}", table)
    after = load(double(source, "emb.values", dtype="float16", dim=1))
    result = after.schema.field("emb").type.field("values").type
    assert result == pa.list_(result.value_field, 1)
    assert result.value_type == pa.float16()
    words = json.loads(after.schema.metadata[b"huggingface"])["info"]["features"]["emb"]
    assert words["values"]["feature"]["dtype"] == "float16"
    assert words["values"]["length"] == 1
    assert after["emb"].to_pylist()[0] == {"n": 0, "values": [2.0]}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_column_at_the_top_keeps_its_name_with_a_dot(tmp_path: Path, suffix: str) -> None:
    flat = pa.array([[1.0, 2.0]] * 10, pa.list_(F4))
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": structs(), "emb.values": flat}))
    assert [*specs(source)] == ["emb", "emb.values"]
    assert specs(source)["emb"].may_be_vectors
    after = load(double(source, "emb.values"))
    assert after["emb.values"].to_pylist() == [[2.0, 4.0]] * 10
    assert after["emb"].equals(load(source)["emb"])


def matrices(list_type: Any, counts: list[int | None], dim: int = 3) -> Any:
    """Return rows of so many vectors; ``None`` for a null row."""
    rows = [
        None if count is None else RANDOM.integers(1, 9, (count, dim)).astype("f4").tolist()
        for count in counts
    ]
    return pa.array(rows, list_type)


def fixed(count: int | None, dim: int | None) -> Any:
    """Return lists of lists, of a fixed size where there is a number."""
    inner = pa.list_(F4) if dim is None else pa.list_(F4, dim)
    return pa.list_(inner) if count is None else pa.list_(inner, count)


NESTED = [
    (fixed(None, None), [2, 1, None, 0, 5, 2, 2, 1]),
    (fixed(None, 3), [2, 1, None, 0, 5, 2, 2, 1]),
    (fixed(2, 3), [2, 2, None, 2, 2, 2]),
    (fixed(2, None), [2, None, 2, 2, 2, 2]),
    (pa.large_list(pa.large_list(pa.float64())), [1, 4, 4, None, 0, 1]),
    (pa.list_view(pa.list_view(F4)), [1, 4, 4, None, 0, 1]),
    (pa.list_(pa.field("a", pa.list_(pa.field("b", F4, False)), False)), [3, 1, None, 0, 2]),
]


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize(("list_type", "counts"), NESTED, ids=str)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_several_vectors_a_row(
    tmp_path: Path, suffix: str, list_type: Any, counts: list[int | None], batch_size: int | None
) -> None:
    column = matrices(list_type, counts)
    table = pa.table({"id": range(len(column)), "emb": column})
    source = save(tmp_path / f"x.{suffix}", table)
    spec = specs(source)["emb"]
    assert (len(spec.shape), spec.shape[0], spec.refusal) == (3, len(column), "")
    before, after = load(source), load(double(source, "emb", batch_size=batch_size))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after["emb"].to_pylist() == twice(before["emb"].to_pylist())
    assert after["id"].equals(before["id"])
    after.validate(full=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_inner_list_becomes_a_unit_vector(tmp_path: Path, suffix: str) -> None:
    column = matrices(fixed(None, None), [3, 1, None, 2, 3, 3, 1], dim=5)
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": column}))
    report = normalize_file(source, tmp_path / f"y.{suffix}")
    assert report.arrays[0].counts.null == 1
    assert report.arrays[0].shape == (7, None, 5)
    after = load(tmp_path / f"y.{suffix}")["emb"].to_pylist()
    for result, row in zip(after, column.to_pylist(), strict=True):
        if row is None:
            assert result is None
            continue
        rows = np.array(row, "f8")
        expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(np.array(result), expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_several_vectors_a_row_inside_a_struct(tmp_path: Path, suffix: str) -> None:
    inner = matrices(fixed(None, None), [2, 1, None, 0, 5, 2])
    mask = pa.array([i == 4 for i in range(6)])
    column = pa.StructArray.from_arrays([inner, pa.array(range(6))], ["v", "n"], mask=mask)
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": column}))
    before, after = load(source)["emb"], load(double(source, "emb.v"))["emb"]
    expected = [row and {**row, "v": twice(row["v"])} for row in before.to_pylist()]
    assert after.to_pylist() == expected


def _array2d(path: Path) -> Path:
    """Write what Hugging Face does of Array2D: an extension type over lists of lists."""
    metadata = {
        b"ARROW:extension:name": b"datasets.features.features.Array2DExtensionType",
        b"ARROW:extension:metadata": b'[[2, 3], "float32"]',
    }
    field = pa.field("emb", fixed(None, None), metadata=metadata)
    features = {"emb": {"shape": [2, 3], "dtype": "float32", "_type": "Array2D"}}
    schema = pa.schema(
        [field], {"huggingface": json.dumps({"info": {"features": features}}).encode()}
    )
    return save(path, pa.table([matrices(field.type, [2] * 6)], schema=schema))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_array2d_of_hugging_face(tmp_path: Path, suffix: str) -> None:
    source = _array2d(tmp_path / f"x.{suffix}")
    before, after = load(source), load(double(source, "emb"))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after["emb"].to_pylist() == twice(before["emb"].to_pylist())
    with pytest.raises(DestinationError, match=r"extension type .* can't be changed"):
        double(source, "emb", dtype="float16")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_dtype_of_several_vectors_a_row(tmp_path: Path, suffix: str) -> None:
    column = matrices(fixed(None, None), [2, 1, 3])
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": column}))
    after = load(double(source, "emb", dtype="float64"))["emb"]
    assert after.type.value_type.value_type == pa.float64()
    assert after.to_pylist() == twice(column.to_pylist())
    with pytest.raises(DestinationError, match="several vectors a row, which can't be cut"):
        double(source, "emb", dim=2)


def _ragged(rows: list[Any]) -> None:
    rows[5] = [[1.0, 2.0], [1.0, 2.0, 3.0]]


def _null_inside(rows: list[Any]) -> None:
    rows[5] = [[1.0, 2.0, 3.0], None]


def _null_component(rows: list[Any]) -> None:
    rows[5] = [[1.0, None, 3.0], [1.0, 2.0, 3.0]]


def _empty_inside(rows: list[Any]) -> None:
    rows[5] = [[1.0, 2.0, 3.0], []]


@pytest.mark.parametrize("spoil", [_ragged, _null_inside, _empty_inside, _null_component])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_row_that_is_no_matrix(
    tmp_path: Path, suffix: str, spoil: Callable[[list[Any]], None]
) -> None:
    rows = matrices(fixed(None, None), [2] * 6).to_pylist()
    spoil(rows)
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": pa.array(rows, fixed(None, None))}))
    assert load(double(source, "emb"))["emb"].to_pylist() == twice(rows)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_vector_is_named_by_its_row(tmp_path: Path, suffix: str) -> None:
    rows = matrices(fixed(None, None), [2, 1, None, 3, 2, 1]).to_pylist()
    rows[4][1][0] = float("nan")
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": pa.array(rows, fixed(None, None))}))
    with pytest.raises(RowError, match="array 'emb', row 4 holds NaN or Inf"):
        normalize_file(source, tmp_path / f"y.{suffix}")
    with pytest.raises(SourceError, match="a vector lies along the last axis alone; use `axis=-1`"):
        normalize_file(source, tmp_path / f"y.{suffix}", NormalizeOptions(axis=(1,)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_conversion_to_npy_takes_rows_of_one_shape(tmp_path: Path, suffix: str) -> None:
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": matrices(fixed(None, None), [2] * 6)}))
    normalize_file(source, tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").shape == (6, 2, 3)
    source = save(
        tmp_path / f"z.{suffix}", pa.table({"emb": matrices(fixed(None, None), [2, 2, 1])})
    )
    with pytest.raises(RowError, match="has another length than the rows before it"):
        normalize_file(source, tmp_path / "z.npy")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_norms_of_several_vectors_a_row(tmp_path: Path, suffix: str) -> None:
    """They are kept where the type says how many a row has."""
    norms = tmp_path / "norms.npy"
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": matrices(fixed(2, 3), [2] * 6)}))
    normalize_file(source, tmp_path / f"y.{suffix}", files=FileOptions(norms=norms))
    rows = np.array(load(source)["emb"].to_pylist(), "f8")
    np.testing.assert_allclose(np.load(norms), np.linalg.norm(rows, axis=2), rtol=1e-6)
    source = save(tmp_path / f"z.{suffix}", pa.table({"emb": matrices(fixed(None, 3), [2] * 6)}))
    with pytest.raises(OptionError, match="'emb' has several vectors a row, not as many in each"):
        normalize_file(
            source, tmp_path / f"w.{suffix}", files=FileOptions(norms=tmp_path / "other.npy")
        )
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["n", "x", "y", "z"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_windows_of_structs_and_matrices(tmp_path: Path, suffix: str) -> None:
    """More than a window, with and without a dictionary, and pages of every sort."""
    flat = RANDOM.standard_normal((3000, 8)).astype("f4")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), 8)
    column = pa.StructArray.from_arrays([lists], ["v"])
    nested = pa.FixedSizeListArray.from_arrays(lists, 3)
    for name, array in (("emb.v", column), ("emb", nested)):
        source = save(tmp_path / f"x.{suffix}", pa.table({"emb": array}), rows=2500)
        after = load(double(source, name))["emb"].combine_chunks()
        values = after.field(0) if name == "emb.v" else after.flatten()
        np.testing.assert_array_equal(values.flatten().to_numpy(), flat.reshape(-1) * 2)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_parquet_pages_of_structs(tmp_path: Path, version: str, compression: str) -> None:
    options: dict[str, Any] = {
        "data_page_version": version,
        "compression": compression,
        "use_dictionary": False,
        "write_page_checksum": True,
    }
    source = save(tmp_path / "x.parquet", pa.table({"emb": structs()}), **options)
    destination = double(source, "emb.values")
    after = pq.read_table(destination, page_checksum_verification=True)["emb"]
    assert after.to_pylist() == values_doubled(load(source)["emb"].to_pylist())
    chunk = pq.ParquetFile(destination).metadata.row_group(0).column(1)
    assert chunk.path_in_schema == "emb.values.list.element"
    assert chunk.compression == {"none": "UNCOMPRESSED", "zstd": "ZSTD"}[compression]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sparse_vectors_are_not_cut(tmp_path: Path, suffix: str) -> None:
    """As Spark and Pinecone store them; their values alone make the norm."""
    column = pa.array([{"indices": [0, 7], "values": [3.0, 4.0]}] * 6)
    source = save(tmp_path / f"x.{suffix}", pa.table({"emb": column}))
    after = load(double(source, "emb.values"))["emb"]
    assert after.to_pylist() == [{"indices": [0, 7], "values": [6.0, 8.0]}] * 6
    with pytest.raises(DestinationError, match="the values of sparse vectors"):
        double(source, "emb.values", dim=1)


UDT = {"type": "udt", "class": "org.apache.spark.ml.linalg.VectorUDT", "sqlType": {"fields": []}}
STRUCT = {
    "type": "struct",
    "fields": [
        {"name": "n", "type": "double"},
        {"name": "values", "type": {"type": "array", "elementType": "float"}},
    ],
}


@pytest.mark.parametrize("described", [UDT, STRUCT], ids=["udt", "struct"])
def test_the_schema_of_spark_for_a_column_in_a_struct(tmp_path: Path, described: Any) -> None:
    key = "org.apache.spark.sql.parquet.row.metadata"
    schema = {"type": "struct", "fields": [{"name": "emb", "type": described}]}
    table = pa.table({"emb": structs()}).replace_schema_metadata({key: json.dumps(schema)})
    source = save(tmp_path / "x.parquet", table)
    assert double(source, "emb.values").exists()
    if described is UDT:
        with pytest.raises(DestinationError, match="VectorUDT have one dtype; leave out `dtype`"):
            double(source, "emb.values", dtype="float64")
        return
    after = pq.read_metadata(double(source, "emb.values", dtype="float64")).metadata
    (field,) = json.loads(after[key.encode()])["fields"]
    assert [entry["type"] for entry in field["type"]["fields"]] == [
        "double",
        {"type": "array", "elementType": "double"},
    ]


def test_companions_name_the_new_dtype_inside_a_struct(tmp_path: Path) -> None:
    nested = matrices(fixed(None, None), [2] * 10)
    source = save(tmp_path / "x.parquet", pa.table({"emb": structs(), "tokens": nested}))
    summary = tmp_path / "_common_metadata"
    pq.write_metadata(pq.read_schema(source), summary)
    destination = double(source, "emb.values", "tokens", dtype="float64")
    rewrite_summary(summary, tmp_path / "new", [destination])
    assert pq.read_schema(tmp_path / "new").equals(pq.read_schema(destination))
    value = {"dtype": "float32", "_type": "Value"}
    info = {
        "features": {
            "emb": {"n": {"dtype": "int64", "_type": "Value"}, "values": {"feature": value}},
            "tokens": {"feature": {"feature": value}},
        }
    }
    features = with_types(info, {destination: pq.read_schema(destination)})["features"]
    assert features["emb"]["n"]["dtype"] == "int64"
    assert features["emb"]["values"]["feature"]["dtype"] == "float64"
    assert features["tokens"]["feature"]["feature"]["dtype"] == "float64"
