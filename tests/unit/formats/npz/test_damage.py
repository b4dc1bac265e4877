"""Archives that are damaged in any way, and arrays that are parts of a sparse matrix."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.errors import FormatError, SelectionError
from l2cli.formats.npz.reader import NpzReader
from l2cli.normalization.file import normalize_file
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path

VARIANTS = [
    struct.error("unpack requires a buffer of 4 bytes"),
    zlib.error("Error -3 while decompressing"),
    EOFError(),
    NotImplementedError("compression type 9 (deflate64)"),
    RuntimeError("File 'emb.npy' is encrypted, password required for extraction"),
    IndexError("list index out of range"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    OverflowError("Python int too large to convert to C long"),
    KeyError("emb.npy"),
    AssertionError(),
]


def _doubts(path: Path) -> dict[str, str]:
    with NpzReader(path) as reader:
        return {array.name: array.doubt for array in reader.arrays()}


@pytest.mark.parametrize("error", VARIANTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["__init__", "open", "read"])
def test_whatever_the_zip_raises_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    np.savez(tmp_path / "x.npz", emb=np.ones((3, 2), "f4"))

    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    owner: Any = zipfile.ZipExtFile if where == "read" else zipfile.ZipFile
    monkeypatch.setattr(owner, where, fail)
    with pytest.raises(FormatError, match=r"x\.npz is a damaged zip archive: \S") as caught:
        double(tmp_path / "x.npz", "emb")
    assert "\n" not in str(caught.value)


def test_a_mutant_is_refused_in_one_line_or_all_its_numbers_are_right(tmp_path: Path) -> None:
    rows = np.arange(1, 41, dtype="f4").reshape(10, 4)
    np.savez(tmp_path / "x.npz", ids=np.arange(3), emb=rows)
    content = (tmp_path / "x.npz").read_bytes()
    directory = content.index(b"PK\x01\x02")
    rng, mutant = np.random.default_rng(0), tmp_path / "mutant.npz"
    refusals = []
    for _ in range(400):
        changed = bytearray(content)
        for at in rng.integers(directory, len(content), 2):
            changed[at] = rng.integers(256)
        mutant.write_bytes(changed)
        try:
            result = double(mutant, "emb")
        except (FormatError, SelectionError) as exc:  # The bytes may be of the member's name.
            refusals.append(str(exc))
            continue
        with np.load(result) as after:
            assert after["emb"].tobytes() == (rows * 2).tobytes()
            (ids,) = set(after) - {"emb"}
            assert after[ids].tobytes() == np.arange(3).tobytes()
    assert 0 < len(refusals) < 400
    assert not [refusal for refusal in refusals if "\n" in refusal]


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "dia", "coo"])
@pytest.mark.parametrize("text", [np.bytes_, np.str_])
def test_parts_of_a_sparse_matrix_of_scipy(tmp_path: Path, form: str, text: Any) -> None:
    parts: dict[str, Any] = {
        "format": np.array(text(form)),
        "shape": np.array([4, 4]),
        "data": np.ones((1, 4) if form == "dia" else (4, 2, 2) if form == "bsr" else 4, "f4"),
    }
    names = {"dia": ["offsets"], "coo": ["row", "col"]}.get(form, ["indices", "indptr"])
    np.savez(tmp_path / "x.npz", **parts | {name: np.arange(4) for name in names})
    doubts = _doubts(tmp_path / "x.npz")
    assert set(doubts.values()) == {f"part of a sparse matrix ({form})"}


def test_what_scipy_writes(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for form in ("csr", "csc", "bsr", "dia", "coo"):
        for variant in ("matrix", "array"):
            matrix = getattr(sparse, f"{form}_{variant}")(np.eye(4, dtype="f4"))
            sparse.save_npz(tmp_path / "x.npz", matrix)
            doubts = _doubts(tmp_path / "x.npz")
            assert set(doubts.values()) == {f"part of a sparse matrix ({form})"}


@pytest.mark.parametrize("before", ["", "train_", "X/"])
@pytest.mark.parametrize(
    ("parts", "form"),
    [
        (("data", "indices", "indptr"), "csr or csc"),
        (("data", "row", "col", "shape"), "coo"),
        (("values", "ccol_indices", "row_indices"), "csc"),
    ],
)
def test_parts_of_a_sparse_matrix_of_anybody(
    tmp_path: Path, before: str, parts: tuple[str, ...], form: str
) -> None:
    arrays: dict[str, Any] = {f"{before}{part}": np.ones((4, 2), "f4") for part in parts}
    np.savez(tmp_path / "x.npz", emb=np.ones((4, 2), "f4"), **arrays)
    doubts = _doubts(tmp_path / "x.npz")
    assert doubts.pop("emb") == ""
    assert set(doubts.values()) == {f"part of a sparse matrix ({form})"}


@pytest.mark.parametrize(
    "arrays",
    [
        {"data": np.ones((4, 5)), "indices": np.arange(4)},
        {"data": np.ones((4, 5)), "offsets": np.arange(4), "shape": np.arange(2)},
        {"data": np.ones((4, 5)), "format": np.array("csr")},
        {"data": np.ones((4, 5)), "format": np.array("numpy"), "shape": np.arange(2)},
        {"data": np.ones((4, 5)), "format": np.array(["csr"]), "shape": np.arange(2)},
        {"data": np.ones((4, 5)), "format": np.array("x" * 1000), "shape": np.arange(2)},
        {"a_data": np.ones((4, 5)), "b_indices": np.arange(4), "c_indptr": np.arange(4)},
    ],
)
def test_what_only_sounds_like_a_part_is_taken(tmp_path: Path, arrays: Any) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    assert not any(_doubts(tmp_path / "x.npz").values())
    normalize_file(tmp_path / "x.npz", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as after:
        result = after["data" if "data" in after else "a_data"]
    np.testing.assert_allclose(result, 5**-0.5, rtol=1e-15)
