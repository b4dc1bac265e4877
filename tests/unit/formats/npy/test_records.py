"""Structured arrays with a vector in each record, in ``.npy`` and ``.npz``; old headers."""

from __future__ import annotations

import io
import zipfile
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from l2cli.errors import FormatError, SelectionError
from l2cli.formats.npy.reader import NpyReader
from l2cli.formats.npz.reader import NpzReader
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file
from l2cli.options import NormalizeOptions
from tests.support.doubling import double
from tests.support.reference import BFLOAT16, worst_ulp

if TYPE_CHECKING:
    from pathlib import Path

DTYPE: list[Any] = [("id", "<i8"), ("embedding", "<f4", (8,)), ("word", "<U5"), ("score", "<f4")]


def _records(dtype: Any = None, shape: Any = 30) -> Any:
    """Return records whose every byte is random, but for numbers that are finite."""
    dtype = np.dtype(DTYPE if dtype is None else dtype)
    rng = np.random.default_rng(0)
    size = int(np.prod(shape)) * dtype.itemsize
    records = rng.integers(0, 255, size, np.uint8).view(dtype).reshape(shape)
    for name in dtype.names or ():
        if dtype[name].base.kind == "f":
            records[name] = rng.standard_normal(records[name].shape)
        if dtype[name].base.kind == "U":
            records[name] = "ab"
    return records


def _stored(path: Path, size: int) -> Any:
    """Return the bytes of all records as they lie in a file: NumPy copies none between fields."""
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return np.frombuffer(archive.read("records.npy")[-size:], np.uint8)
    return np.frombuffer(path.read_bytes()[-size:], np.uint8)


def _save(path: Path, records: Any) -> Path:
    if path.suffix == ".npy":
        np.save(path, records)
    else:
        np.savez_compressed(path, records=records, ids=np.arange(3))
    return path


def _load(path: Path) -> Any:
    actual = np.load(path)
    return actual if path.suffix == ".npy" else actual["records"]


def _same_but(name: str, before: Any, after: Any) -> None:
    assert after.dtype == before.dtype
    for field in set(before.dtype.names) - {name}:
        assert after[field].tobytes() == before[field].tobytes()


@pytest.mark.parametrize("select", [(), ("embedding",), ("emb*",)])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_the_vectors_of_records(
    tmp_path: Path, select: tuple[str, ...], batch_size: int | None
) -> None:
    records = _records()
    source = _save(tmp_path / "x.npy", records)
    options = NormalizeOptions(select=select, batch_size=batch_size, verify=True)
    report = normalize_file(source, tmp_path / "y.npy", options)
    assert [entry.name for entry in report.arrays] == ["embedding"]
    after = _load(tmp_path / "y.npy")
    _same_but("embedding", records, after)
    assert worst_ulp(after["embedding"], records["embedding"]) <= 0.501
    assert (tmp_path / "y.npy").stat().st_size == source.stat().st_size


@pytest.mark.parametrize("select", ["records.embedding", "*.embedding"])
def test_the_vectors_of_records_in_an_npz(tmp_path: Path, select: str) -> None:
    records = _records()
    source = _save(tmp_path / "x.npz", records)
    normalize_file(source, tmp_path / "y.npz", NormalizeOptions(select=(select,)))
    after = _load(tmp_path / "y.npz")
    _same_but("embedding", records, after)
    assert worst_ulp(after["embedding"], records["embedding"]) <= 0.501


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("shape", [30, (6, 5), np.s_[3, 2, 5]])
@pytest.mark.parametrize(
    "dtype",
    [
        [("a", "i1"), ("v", ">f4", (3, 2)), ("b", "S3")],
        np.dtype([("a", "i1"), ("v", "<f8", (3,)), ("b", "i2")], align=True),
        [(("a title", "a"), "i1"), ("v", "<f2", (3,))],
        [("naïve", "i1"), ("日本", "i1"), ("v", "<f4", (3,))],
    ],
)
def test_any_records_come_back(tmp_path: Path, dtype: Any, shape: Any, suffix: str) -> None:
    records = _records(dtype, shape)
    name = "v" if suffix == ".npy" else "records.v"
    with pytest.warns(UserWarning, match=r"format 3\.0") if "日本" in str(dtype) else nullcontext():
        source = _save(tmp_path / f"x{suffix}", records)
    after = _load(double(source, name, batch_size=4))
    _same_but("v", records, after)
    np.testing.assert_array_equal(after["v"], records["v"] * 2)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_bytes_between_fields_and_memory_order_stay(
    tmp_path: Path, suffix: str, order: Any
) -> None:
    dtype = np.dtype([("a", "i1"), ("v", "<f4", (3,)), ("b", "i1")], align=True)
    records = _records(dtype, (4, 5)).copy(order)
    source = _save(tmp_path / f"x{suffix}", records)
    result = double(source, "v" if suffix == ".npy" else "records.v")
    after = _load(result)
    assert after.flags.f_contiguous == (order == "F")
    before, actual = (_stored(path, 400).reshape(20, 20) for path in (source, result))
    between = [0, 1, 2, 3, *range(16, 20)]
    np.testing.assert_array_equal(actual[:, between], before[:, between])
    np.testing.assert_array_equal(after["v"], records["v"] * 2)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(("dtype", "keep"), [("float16", None), ("float64", 3), ("bfloat16", 3)])
def test_a_field_of_another_dtype_and_fewer_components(
    tmp_path: Path, dtype: str, keep: int | None, suffix: str
) -> None:
    records = _records()
    source = _save(tmp_path / f"x{suffix}", records)
    name = "embedding" if suffix == ".npy" else "records.embedding"
    after = _load(double(source, name, dtype=dtype, dim=keep))
    assert after.dtype.names == records.dtype.names
    for field in ("id", "word", "score"):
        assert after[field].tobytes() == records[field].tobytes()
    expected = (records["embedding"][:, :keep] * 2).astype(BFLOAT16 if keep == 3 else dtype)
    if dtype == "float64":
        expected = (records["embedding"][:, :keep] * 2).astype("f8")
    assert after["embedding"].tobytes() == expected.tobytes()


def test_two_fields_at_once(tmp_path: Path) -> None:
    records = _records([("a", "<f4", (5,)), ("id", "i4"), ("b", "<f8", (4,))])
    source = _save(tmp_path / "x.npy", records)
    with pytest.raises(SelectionError, match="`select='a'` or `select='b'`"):
        normalize_file(source)
    options = NormalizeOptions(select=("a", "b"), batch_size=4)
    normalize_file(source, tmp_path / "y.npy", options)
    after = _load(tmp_path / "y.npy")
    np.testing.assert_array_equal(after["id"], records["id"])
    assert worst_ulp(after["a"], records["a"]) <= 0.501
    expected = records["b"] / np.linalg.norm(records["b"], axis=1, keepdims=True)
    np.testing.assert_allclose(after["b"], expected, rtol=1e-15)


def test_records_through_a_stream_and_along_axis_0(tmp_path: Path) -> None:
    records = _records()
    content = _save(tmp_path / "x.npy", records).read_bytes()

    class Raw(io.RawIOBase):
        file = io.BytesIO(content)

        def readinto(self, buffer: Any, /) -> int:
            return self.file.readinto(buffer)

    report = normalize_file(Raw(), tmp_path / "y.npy")
    assert not any("temporary file" in note for note in report.notes)
    after = _load(tmp_path / "y.npy")
    _same_but("embedding", records, after)
    assert worst_ulp(after["embedding"], records["embedding"]) <= 0.501
    normalize_file(tmp_path / "x.npy", tmp_path / "z.npy", NormalizeOptions(axis=(0,)))
    wide = records["embedding"].astype("f8")
    expected = wide / np.linalg.norm(wide, axis=0)
    np.testing.assert_allclose(_load(tmp_path / "z.npy")["embedding"], expected, rtol=1e-6)


def test_records_become_a_table(tmp_path: Path) -> None:
    records = _records()
    report = normalize_file(_save(tmp_path / "x.npy", records), tmp_path / "y.parquet")
    after = pq.read_table(tmp_path / "y.parquet")
    assert after["id"].to_pylist() == records["id"].tolist()
    assert worst_ulp(np.stack(after["embedding"].to_numpy()), records["embedding"]) <= 0.501
    assert "'word'" in " ".join(report.notes)


def test_numbers_of_their_own_are_never_taken_unasked(tmp_path: Path) -> None:
    source = _save(tmp_path / "x.npy", _records([("x", "<f4"), ("y", "<f4"), ("id", "i4")]))
    with pytest.raises(SelectionError, match="holds no array to normalize"):
        normalize_file(source)
    assert not any(array.chosen for array in inspect_file(source).arrays)


@pytest.mark.parametrize(
    ("dtype", "refusal"),
    [
        ([("v", [("w", "<f4", (3,))]), ("id", "i4")], "a structured dtype within another"),
        ([("v", "<f16", (3,)), ("id", "i4")], "float128 is not a float type"),
        ([("v", "V2", (3,)), ("id", "i4")], "2 bytes of no type a component"),
    ],
)
def test_a_field_that_may_hold_the_vectors_is_refused(
    tmp_path: Path, dtype: Any, refusal: str
) -> None:
    with NpyReader(_save(tmp_path / "x.npy", np.zeros(4, dtype))) as reader:
        arrays = {array.name: array for array in reader.arrays()}
    assert refusal in arrays["v"].refusal
    assert arrays["v"].may_be_vectors
    assert not arrays["id"].refusal


def test_records_of_objects_and_a_single_record_are_refused_whole(tmp_path: Path) -> None:
    objects = np.zeros(4, [("v", "<f4", (3,)), ("o", "O")])
    np.savez(tmp_path / "x.npz", allow_pickle=True, objects=objects, one=np.zeros((), DTYPE))
    with NpzReader(tmp_path / "x.npz") as reader:
        arrays = {array.name: array for array in reader.arrays()}
    assert arrays["objects"].refusal.startswith("Python objects")
    assert arrays["one"].refusal.startswith("a structured dtype within another or of a single")
    assert all(array.may_be_vectors for array in arrays.values())


def test_a_name_that_stands_for_two_arrays_is_refused(tmp_path: Path) -> None:
    vectors = {"records.embedding": np.ones((3, 2), "f4"), "records": _records()}
    np.savez(tmp_path / "x.npz", **vectors)
    with pytest.raises(SelectionError, match="2 arrays have this name"):
        normalize_file(tmp_path / "x.npz", options=NormalizeOptions(select=("records.embedding",)))


def _npy(fields: str, body: bytes) -> bytes:
    text = fields.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


OLD = [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (5L, 4L), }        ",
    "{'shape': (5L,4L,), 'descr': '<f4', 'fortran_order': False}",
    "{u'descr': '<f4', 'fortran_order': False, 'shape': (5, 4L), }",
    "{'descr': \"<f4\", 'fortran_order': False, 'shape': (0x5L, 4)}",
]


@pytest.mark.parametrize("fields", OLD)
def test_headers_of_python_2_stay_as_they_are(tmp_path: Path, fields: str) -> None:
    rows = np.arange(1, 21, dtype="<f4").reshape(5, 4)
    source = tmp_path / "x.npy"
    source.write_bytes(_npy(fields, rows.tobytes()))
    header = source.read_bytes()[: -rows.nbytes]
    assert double(source).read_bytes() == header + (rows * 2).tobytes()
    np.testing.assert_array_equal(np.load(double(source, dtype="float64")), rows * 2.0)


def test_records_with_a_header_of_python_2(tmp_path: Path) -> None:
    records = _records([("L", "<i8"), ("5L", "<f4", (3,))])
    fields = (
        "{'descr': [('L', '<i8'), ('5L', '<f4', (3L,))], 'fortran_order': False, 'shape': (30L,)}"
    )
    source = tmp_path / "x.npy"
    source.write_bytes(_npy(fields, records.tobytes()))
    doubled = double(source, "5L")
    assert doubled.read_bytes()[: -records.nbytes] == source.read_bytes()[: -records.nbytes]
    after = np.frombuffer(doubled.read_bytes()[-records.nbytes :], records.dtype)
    _same_but("5L", records, after)
    np.testing.assert_array_equal(after["5L"], records["5L"] * 2)


@pytest.mark.parametrize("shape", ["(5l, 4)", "(5L L, 4)", "(5, 4", "(5,\\\n4", "(5J, 4)"])
def test_what_is_no_header_of_python_2_is_damaged(tmp_path: Path, shape: str) -> None:
    source = tmp_path / "x.npy"
    source.write_bytes(
        _npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", b"\0" * 80)
    )
    with pytest.raises(FormatError, match=r"damaged npy header|the shape"):
        NpyReader(source)
