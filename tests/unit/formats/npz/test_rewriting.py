"""``.npz`` archives in and out, checked with NumPy and ``zipfile`` alone."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.errors import FormatError, SelectionError
from l2cli.formats.npz.reader import NpzReader
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path


def _arrays(order: Any = "C") -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "ids": np.arange(30),
        "emb": rng.standard_normal((30, 5)).astype("f4").copy(order),
        "words": np.array(["a", "b"]),
        "other": rng.standard_normal((4, 3, 2)).astype(">f8").copy(order),
    }


@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_other_members_and_compression_stay(
    tmp_path: Path, save: Any, order: str, batch_size: int | None
) -> None:
    arrays = _arrays(order)
    save(tmp_path / "x.npz", **arrays)
    doubled = double(tmp_path / "x.npz", "emb", "other", batch_size=batch_size)
    with np.load(doubled) as after, zipfile.ZipFile(tmp_path / "x.npz") as before:
        assert list(after) == list(arrays)
        for name, array in arrays.items():
            factor = 2 if name in ("emb", "other") else None
            expected = array * factor if factor else array
            np.testing.assert_array_equal(after[name], expected)
            assert after[name].dtype == array.dtype
            assert after[name].flags.f_contiguous == array.flags.f_contiguous
        infos = {info.filename: info for info in zipfile.ZipFile(doubled).infolist()}
        for info in before.infolist():
            assert infos[info.filename].compress_type == info.compress_type
            assert infos[info.filename].date_time == info.date_time


def test_members_that_are_no_arrays_and_comments_stay(tmp_path: Path) -> None:
    source = tmp_path / "x.npz"
    np.savez(source, emb=np.ones((3, 2), "f4"))
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("notes/readme.txt", "hello", zipfile.ZIP_BZIP2)
        archive.comment = b"made by hand"
    with zipfile.ZipFile(double(source, "emb")) as archive:
        assert archive.read("notes/readme.txt") == b"hello"
        assert archive.getinfo("notes/readme.txt").compress_type == zipfile.ZIP_BZIP2
        assert archive.comment == b"made by hand"


def test_empty_members_change_their_dtype_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", emb=np.ones((0, 5), "f4"), n=np.arange(3))
    with np.load(double(tmp_path / "x.npz", "emb", dtype="float16", dim=2)) as after:
        assert (after["emb"].shape, after["emb"].dtype) == ((0, 2), np.float16)
        np.testing.assert_array_equal(after["n"], np.arange(3))


def test_what_follows_an_array_in_its_member_stays(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 2), "f4"))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("emb.npy", buffer.getvalue() + b"tail")
    with zipfile.ZipFile(double(tmp_path / "x.npz", "emb")) as archive:
        assert archive.read("emb.npy").endswith(np.full(4, 2, "f4").tobytes() + b"tail")


def test_what_can_not_be_read_is_refused_by_member(tmp_path: Path) -> None:
    objects = np.array([{}], object)
    np.savez(tmp_path / "x.npz", allow_pickle=True, a=objects, emb=np.ones((2, 2)))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("b.npy", "not an array")
    with NpzReader(tmp_path / "x.npz") as reader:
        refusals = {spec.name: spec.refusal for spec in reader.arrays()}
    assert "Python objects" in refusals["a"]
    assert refusals["b"] == "not an npy array"
    assert refusals["emb"] == ""


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", emb=np.ones((2, 2)))
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(tmp_path / "x.npz", "a") as archive,
    ):
        archive.writestr("emb.npy", "again")
    with NpzReader(tmp_path / "x.npz") as reader:
        assert reader.arrays()[0].refusal == "2 members have this name"


def test_a_zip_of_other_things_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("model/data.pkl", "x")
    with pytest.raises(FormatError, match=r"without \.npy members \(it holds model/data\.pkl\)"):
        NpzReader(tmp_path / "x.npz")


def test_a_truncated_archive_is_refused_by_name(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", **_arrays())
    content = (tmp_path / "x.npz").read_bytes()
    damaged = tmp_path / "damaged.npz"
    for offset in range(0, len(content), 7):
        damaged.write_bytes(content[:offset])
        with pytest.raises(FormatError, match=r"damaged\.npz[^\n]*$"):
            double(damaged, "emb")


def test_a_changed_byte_is_an_error_in_one_line_or_harmless(tmp_path: Path) -> None:
    arrays = _arrays()
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    content = (tmp_path / "x.npz").read_bytes()
    damaged = tmp_path / "damaged.npz"
    messages = []
    for offset in range(0, len(content), 7):
        changed = bytes([content[offset] ^ 0x55])
        damaged.write_bytes(content[:offset] + changed + content[offset + 1 :])
        try:
            doubled = double(damaged, "emb")
        except FormatError as exc:
            messages.append(str(exc))
        except SelectionError:  # The byte was of the member's name.
            assert b"emb.npy" in content[offset - 6 : offset + 7]
        else:
            with np.load(doubled) as after:
                np.testing.assert_array_equal(after["emb"], arrays["emb"] * 2)
    assert len(messages) > len(content) / 7 / 4
    assert not any("\n" in message for message in messages)


def test_a_wrong_checksum_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", emb=np.ones((30, 20), "f4"))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[600] ^= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(FormatError, match="Bad CRC-32"):
        double(tmp_path / "x.npz", "emb")
