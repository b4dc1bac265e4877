"""``.npy`` files in and out, checked with NumPy alone."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from l2cli.errors import FormatError, SourceError
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.npy.header import parse_header
from l2cli.formats.npy.reader import NpyReader
from l2cli.formats.registry import detect, open_reader
from l2cli.options import OpenOptions
from tests.support.doubling import double
from tests.support.reference import BFLOAT16

if TYPE_CHECKING:
    from pathlib import Path


def _save(path: Path, array: Any, version: tuple[int, int] | None = None) -> Path:
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, version)
    return path


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(int(np.load(path, mmap_mode="r").offset))


@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("shape", [(5,), (1, 3), (20, 3), (0, 3), (4, 0), (6, 5, 4), (3, 2, 2, 2)])
def test_everything_but_the_numbers_stays(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, order: Any, batch_size: int | None
) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype).copy(order)
    source = _save(tmp_path / "x.npy", array)
    doubled = double(source, batch_size=batch_size)
    assert _header(doubled) == _header(source)
    np.testing.assert_array_equal(np.load(doubled), array * 2)
    assert doubled.stat().st_size == source.stat().st_size


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_the_header_version_stays(tmp_path: Path, version: tuple[int, int]) -> None:
    array = np.arange(6, dtype="f4").reshape(2, 3)
    source = _save(tmp_path / "x.npy", array, version)
    for options in ({}, {"dtype": "float16"}):
        doubled = double(source, **options)
        assert tuple(doubled.read_bytes()[6:8]) == version
        np.testing.assert_array_equal(np.load(doubled), array * 2)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("source_dtype", ["<f4", ">f4"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_another_dtype_and_fewer_components(
    tmp_path: Path, dtype: str, source_dtype: str, order: Any
) -> None:
    array = np.arange(60, dtype=source_dtype).reshape(10, 6).copy(order)
    doubled = np.load(double(_save(tmp_path / "x.npy", array), dtype=dtype, dim=4))
    assert doubled.dtype == np.dtype(source_dtype[0] + np.dtype(dtype).str[1:])
    assert doubled.flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(doubled, array[:, :4] * 2)


def test_bfloat16_as_ml_dtypes_saves_it(tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(BFLOAT16)
    source = tmp_path / "x.npy"
    np.save(source, array)
    doubled = double(source)
    assert _header(doubled) == _header(source)
    np.testing.assert_array_equal(np.load(doubled).view(BFLOAT16), array * BFLOAT16.type(2))


def test_two_bytes_of_no_type_are_bfloat16_if_the_user_says_so(tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(BFLOAT16)
    source = tmp_path / "x.npy"
    np.save(source, array.view("V2"))
    with NpyReader(source) as reader:
        assert "`dtype='bfloat16'`" in reader.arrays()[0].refusal
    doubled = double(source, opening=OpenOptions(assume_bfloat16=True))
    assert _header(doubled) == _header(source)
    np.testing.assert_array_equal(np.load(doubled).view(BFLOAT16), array * BFLOAT16.type(2))


def test_what_follows_the_array_is_copied_and_said(tmp_path: Path) -> None:
    source = _save(tmp_path / "x.npy", np.ones((2, 2), "f4"))
    source.write_bytes(source.read_bytes() + b"more")
    with NpyReader(source) as reader:
        assert reader.notes == ["4 bytes after the array stay as they are"]
    with double(source).open("rb") as file:
        np.testing.assert_array_equal(np.load(file), np.full((2, 2), 2))
        assert file.read() == b"more"


@given(npst.arrays(st.sampled_from(["<f2", ">f4", "<f8"]), npst.array_shapes(max_dims=4)))
@settings(max_examples=60, deadline=None)
def test_any_array_comes_back(array: Any) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    buffer.seek(0)
    header = parse_header(buffer, "x.npy")
    assert (header.shape, header.stored_dtype) == (array.shape, array.dtype)
    assert header.raw == buffer.getvalue()[: len(header.raw)]
    assert header.for_array(header.spec("")) is header


@pytest.mark.parametrize(
    ("dtype", "word", "refusal"),
    [
        ("O", "object", "Python objects in a pickle, which l2norm never loads"),
        ("c8", "complex64", "complex64 is not a float type"),
        ("U3", "str96", "not a float type"),
        ("?", "bool", "not a float type"),
        ("f16", "float128", "not a float type"),
        ("V3", "void24", "not a float type"),
    ],
)
def test_other_types_are_refused_in_words(
    tmp_path: Path, dtype: Any, word: str, refusal: str
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 2), dtype))
    with NpyReader(tmp_path / "x.npy") as reader:
        (spec,) = reader.arrays()
    assert spec.dtype == word
    assert refusal in spec.refusal


class _Bomb:
    exploded = False

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    _Bomb.exploded = True


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    source = tmp_path / "x.npy"
    bombs = np.empty((1, 1), object)
    bombs[0, 0] = _Bomb()
    np.save(source, bombs, allow_pickle=True)
    with NpyReader(source) as reader:
        assert reader.arrays()[0].refusal
    source.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(FormatError, match="a Python pickle, which l2norm never loads"):
        detect(source)
    assert not _Bomb.exploded


def _npy(fields: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = fields.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY", "cut off in its header: 6 bytes of 8"),
        (b"\x93NUMPY\x01\x00v\x00{", "cut off in its header: 1 bytes of 118"),
        (b"\x93NUMPY\x07\x00", "npy version 7.0, expected 1.0 to 3.0"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "claims a header of 4,294,967,295 bytes"),
        (_npy("{'descr': '<f4'}"), "damaged npy header"),
        (_npy("__import__('os').getcwd()"), "damaged npy header"),
        (
            _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}  \x1f"),
            "damaged npy header",
        ),
        (
            _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)} \xa0 "),
            "damaged npy header",
        ),
        (_npy("(" * 5000), "damaged npy header"),
        (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}"), "the shape"),
        (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}"), "the shape"),
        (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': 3}"), "the shape 3"),
        (_npy("{'descr': '<f4', 'fortran_order': 7, 'shape': (3,)}"), "fortran_order 7"),
        (_npy("{'descr': 'nonsense', 'fortran_order': False, 'shape': (3,)}"), "NumPy lacks"),
        (
            _npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776)}"
            ),
            "more than any machine can address",
        ),
        (
            _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 50)}", b"1234"),
            "promises 200,000 bytes of numbers, the file holds 4",
        ),
    ],
)
def test_a_hostile_header_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    source = tmp_path / "x.npy"
    source.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        NpyReader(source)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", b"", "x.npy is named like npy, but empty"),
        ("x.parquet", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("x.bin", b"garbage!", "of no known format"),
        ("base.fbin", b"\x10\x00\x00\x00\x08\x00\x00\x00", "a big-ann .fbin file"),
        ("x.fvecs", b"\x10\x00\x00\x00\x08\x00\x00\x00", "a texmex .fvecs file"),
        ("x.feather", b"FEA1\x00\x00", "a Feather file of version 1"),
        ("x.npy.gz", b"\x1f\x8b\x08", "compressed with gzip"),
        ("x.parquet", b"<!doctype html>", "named like Parquet, but an HTML or XML page"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        detect(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"x\.npy can't be read: No such file"):
        detect(tmp_path / "x.npy")


def test_magic_bytes_come_before_the_suffix(tmp_path: Path) -> None:
    source = tmp_path / "x.parquet"
    _save(source, np.ones((2, 2), "f4"))
    assert detect(source).name == "npy"
    with open_reader(source, detect(source), DEFAULT_OPENING) as reader:
        assert reader.arrays()[0].shape == (2, 2)
