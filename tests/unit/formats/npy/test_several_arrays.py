"""Several arrays in one ``.npy``, as repeated ``numpy.save`` or ``cat`` make them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.checking.check import check
from l2cli.errors import FormatError, NoArrayError, SelectionError
from l2cli.formats.npy.reader import NpyReader
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file
from l2cli.options import FileOptions, NormalizeOptions
from tests.support.doubling import double
from tests.support.reference import worst_ulp

if TYPE_CHECKING:
    from pathlib import Path

ALL = NormalizeOptions(select=("*",))


def _arrays() -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal((30, 5)).astype("f4"),
        np.asfortranarray(rng.standard_normal((20, 4)).astype("f4")),
        rng.standard_normal((10, 3)).astype(">f8"),
    ]


def _save(path: Path, *arrays: Any, tail: bytes = b"") -> Path:
    with path.open("wb") as file:
        for array in arrays:
            np.save(file, array)
        file.write(tail)
    return path


def _load(content: bytes) -> tuple[list[Any], bytes]:
    """Return the arrays that NumPy reads one behind the other, and what follows them."""
    file, actual = io.BytesIO(content), []
    while content[file.tell() :].startswith(b"\x93NUMPY"):
        actual.append(np.load(file, allow_pickle=True))
    return actual, file.read()


def _unit(array: Any, axis: int = -1) -> Any:
    wide = array.astype("f8")
    return wide / np.linalg.norm(wide, axis=axis, keepdims=True)


@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("tail", [b"", b"more"])
def test_all_are_normalized_where_all_are_chosen(
    tmp_path: Path, tail: bytes, batch_size: int | None
) -> None:
    arrays = _arrays()
    source = _save(tmp_path / "x.npy", *arrays, tail=tail)
    options = NormalizeOptions(select=("*",), batch_size=batch_size)
    report = normalize_file(source, tmp_path / "y.npy", options)
    assert [entry.name for entry in report.arrays] == ["arr_0", "arr_1", "arr_2"]
    actual, after = _load((tmp_path / "y.npy").read_bytes())
    assert (tmp_path / "y.npy").stat().st_size == source.stat().st_size
    assert after == tail
    for array, result in zip(arrays, actual, strict=True):
        assert (result.dtype, result.shape) == (array.dtype, array.shape)
        assert result.flags.f_contiguous == array.flags.f_contiguous
        if array.dtype == "f4":
            assert worst_ulp(result, array) <= 0.501
        else:
            np.testing.assert_allclose(result, _unit(array), rtol=1e-15)


def test_none_is_taken_unasked(tmp_path: Path) -> None:
    source = _save(tmp_path / "x.npy", *_arrays())
    for act in (normalize_file, lambda path: check([path])):
        with pytest.raises(SelectionError, match="`select='arr_0'` or `select='arr_1'`"):
            act(source)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
    actual = [(array.name, array.shape, array.chosen) for array in inspect_file(source).arrays]
    assert actual == [
        ("arr_0", (30, 5), False),
        ("arr_1", (20, 4), False),
        ("arr_2", (10, 3), False),
    ]


@pytest.mark.parametrize("name", ["arr_0", "arr_1", "arr_2"])
@pytest.mark.parametrize(("dtype", "keep"), [(None, None), ("float16", 2), ("float64", 2)])
def test_the_others_stay_to_the_byte(
    tmp_path: Path, name: str, dtype: str | None, keep: int | None
) -> None:
    arrays, index = _arrays(), int(name[-1])
    source = _save(tmp_path / "x.npy", *arrays, tail=b"more")
    actual, after = _load(double(source, name, dtype=dtype, dim=keep).read_bytes())
    assert after == b"more"
    for number, (array, result) in enumerate(zip(arrays, actual, strict=True)):
        if number == index:
            expected = (array * 2)[:, :keep].astype(dtype or array.dtype)
            np.testing.assert_array_equal(result, expected)
        else:
            assert result.tobytes("A") == array.tobytes("A")
            assert result.dtype == array.dtype


def test_in_place_and_along_axis_0(tmp_path: Path) -> None:
    arrays = _arrays()
    source = _save(tmp_path / "x.npy", *arrays)
    options = NormalizeOptions(select=("*",), axis=(0,), batch_size=7, verify=True)
    normalize_file(source, options=options, files=FileOptions(in_place=True))
    actual, _ = _load(source.read_bytes())
    for array, result in zip(arrays, actual, strict=True):
        np.testing.assert_allclose(result, _unit(array, axis=0), rtol=1e-6)


def test_norms_are_kept_of_one(tmp_path: Path) -> None:
    arrays = _arrays()
    source = _save(tmp_path / "x.npy", *arrays)
    target, norms = tmp_path / "y.npy", tmp_path / "norms.npy"
    normalize_file(
        source, target, NormalizeOptions(select=("arr_1",)), files=FileOptions(norms=norms)
    )
    expected = np.linalg.norm(arrays[1].astype("f8"), axis=1)
    np.testing.assert_allclose(np.load(norms), expected, rtol=1e-12)


def test_a_conversion_takes_all_or_says_what_it_drops(tmp_path: Path) -> None:
    arrays = _arrays()
    source = _save(tmp_path / "x.npy", *arrays)
    normalize_file(source, tmp_path / "y.npz", ALL)
    with np.load(tmp_path / "y.npz") as after:
        for index, array in enumerate(arrays):
            np.testing.assert_allclose(after[f"arr_{index}"], _unit(array), rtol=1e-6)
    one = NormalizeOptions(select=("arr_0",))
    report = normalize_file(source, tmp_path / "y.parquet", one)
    assert "'arr_1', 'arr_2'" in " ".join(report.notes)


def test_a_second_array_that_is_damaged_is_named(tmp_path: Path) -> None:
    content = _save(tmp_path / "x.npy", *_arrays()[:2]).read_bytes()
    source = tmp_path / "cut.npy"
    source.write_bytes(content[:-1])
    with pytest.raises(FormatError, match="arr_1 is cut off: its header promises 320 bytes"):
        normalize_file(source)
    source.write_bytes(content.replace(b"(20, 4)", b"(20, x)"))
    with pytest.raises(FormatError, match="arr_1 has a damaged npy header"):
        normalize_file(source)


def test_many_small_arrays_are_all_found(tmp_path: Path) -> None:
    arrays = [np.full((2, 3), index + 1, "f4") for index in range(40)]
    source = _save(tmp_path / "x.npy", *arrays)
    normalize_file(source, tmp_path / "y.npy", ALL)
    actual, _ = _load((tmp_path / "y.npy").read_bytes())
    assert len(actual) == 40
    for result in actual:
        np.testing.assert_allclose(result, 3**-0.5, rtol=1e-6)


def test_what_follows_python_objects_is_theirs(tmp_path: Path) -> None:
    source = tmp_path / "x.npy"
    with source.open("wb") as file:
        np.save(file, np.ones((20, 3), "f4"))
        np.save(file, np.array([[1, "a"]] * 20, object), allow_pickle=True)
    with NpyReader(source) as reader:
        second = reader.arrays()[1]
    assert second.may_be_vectors
    assert "Python objects" in second.refusal
    before, _ = _load(source.read_bytes())
    after, _ = _load(double(source, "arr_0").read_bytes())
    np.testing.assert_array_equal(after[0], before[0] * 2)
    assert after[1].tolist() == before[1].tolist()


@pytest.mark.parametrize("ids", [np.arange(30), np.array(["a"] * 30)])
def test_an_array_that_is_no_vectors_stays_beside_the_one_that_is(tmp_path: Path, ids: Any) -> None:
    source = _save(tmp_path / "x.npy", ids, _arrays()[0])
    normalize_file(source, tmp_path / "y.npy")
    actual, _ = _load((tmp_path / "y.npy").read_bytes())
    np.testing.assert_array_equal(actual[0], ids)
    assert worst_ulp(actual[1], _arrays()[0]) <= 0.501


class _Raw(io.RawIOBase):
    """A stream that is read once."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readinto(self, buffer: Any, /) -> int:
        return self._content.readinto(buffer)


def test_a_stream_with_a_second_array_is_refused(tmp_path: Path) -> None:
    content = _save(tmp_path / "x.npy", *_arrays()).read_bytes()
    for name in ("y.npy", "y.npz", "y.parquet"):
        with pytest.raises(SelectionError, match=r"behind the first.*`select='\*'` takes all"):
            normalize_file(_Raw(content), tmp_path / name)
    with pytest.raises(SelectionError, match="another array behind the first"):
        check([_Raw(content)])
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_a_stream_is_normalized_where_all_are_chosen(tmp_path: Path) -> None:
    arrays = _arrays()
    content = _save(tmp_path / "x.npy", *arrays).read_bytes()
    normalize_file(_Raw(content), tmp_path / "y.npy", ALL)
    actual, _ = _load((tmp_path / "y.npy").read_bytes())
    for array, result in zip(arrays, actual, strict=True):
        np.testing.assert_allclose(result, _unit(array), rtol=1e-6)
    with pytest.raises(NoArrayError, match="no array 'arr_3'"):
        normalize_file(_Raw(content), tmp_path / "z.npy", NormalizeOptions(select=("arr_3",)))


def test_a_second_array_in_a_member_of_an_npz_is_refused(tmp_path: Path) -> None:
    import zipfile

    content = _save(tmp_path / "x.npy", *_arrays()[:2]).read_bytes()
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("emb.npy", content)
    with pytest.raises(SelectionError, match="another array behind the first, which NumPy never"):
        normalize_file(tmp_path / "x.npz")
