"""Arrays whose pieces claim the same bytes: to write one would change the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.errors import FormatError
from l2cli.formats.hdf5 import writer
from l2cli.formats.hdf5.overlap import check_apart
from l2cli.normalization.file import normalize_file
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = np.random.default_rng(0).normal(size=(20, 8)).astype("f4")


def _move(path: Path, before: int, after: int) -> None:
    """Have what is said to begin at one byte begin at another."""
    content, address = path.read_bytes(), before.to_bytes(8, "little")
    assert content.count(address) == 1
    path.write_bytes(content.replace(address, after.to_bytes(8, "little")))


@pytest.mark.parametrize("shift", [0, 8, 200])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}])
def test_chunks_that_overlap_are_refused(
    tmp_path: Path, options: dict[str, Any], shift: int
) -> None:
    source = tmp_path / "x.h5"
    with h5py.File(source, "w") as file:
        dataset = file.create_dataset("embedding", data=_ROWS, chunks=(7, 8), **options)
        first, last = (dataset.id.get_chunk_info(number).byte_offset for number in (0, 2))
    _move(source, last, first + shift)
    with pytest.raises(FormatError, match=r"x\.h5: damaged: two pieces of its arrays claim byte"):
        normalize_file(source, tmp_path / "y.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_arrays_that_overlap_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.h5"
    with h5py.File(source, "w") as file:
        first, second = (file.create_dataset(name, data=_ROWS) for name in ("train", "test"))
        offsets = [dataset.id.get_offset() for dataset in (first, second)]
    _move(source, offsets[1], offsets[0] + 320)
    for names in (("train", "test"), ("train",), ("test",)):
        options = NormalizeOptions(select=names)
        with pytest.raises(FormatError, match=r"x\.h5: damaged: two pieces of its arrays claim"):
            normalize_file(source, tmp_path / "y.h5", options)


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_sound_arrays_lie_apart(tmp_path: Path, libver: str, userblock: int) -> None:
    source = tmp_path / "x.h5"
    with h5py.File(source, "w", libver=libver, userblock_size=userblock) as file:
        file["plain"] = _ROWS
        file.create_dataset("chunks", data=_ROWS, chunks=(3, 3), maxshape=(None, 8))
        file.create_dataset("empty", (20, 8), "f4", chunks=(3, 8))
        file.create_dataset("small", data=_ROWS, compression="lzf", chunks=(20, 8))
    names = ("plain", "chunks", "empty", "small")
    normalize_file(source, tmp_path / "y.h5", NormalizeOptions(select=names))
    expected = _ROWS / np.linalg.norm(_ROWS.astype(float), axis=1, keepdims=True)
    with h5py.File(tmp_path / "y.h5") as file:
        for name in ("plain", "chunks", "small"):
            np.testing.assert_allclose(file[name][()], expected, rtol=1e-7)
        assert not file["empty"][()].any()


def test_a_file_is_looked_through_once_however_many_arrays_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(file: h5py.File, datasets: list[Any]) -> None:
        calls.append(len(datasets))
        check_apart(file, datasets)

    monkeypatch.setattr(writer, "check_apart", counted)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(4):
            file[f"protein{number}"] = _ROWS
    normalize_file(tmp_path / "x.h5", tmp_path / "y.h5", NormalizeOptions(select=("*",)))
    assert calls == [4]
