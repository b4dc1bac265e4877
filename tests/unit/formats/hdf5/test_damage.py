"""Damaged HDF5 files, and files of a set: what is said of them, and where they are damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.errors import DestinationError, FormatError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.formats.hdf5.errors import writing
from l2cli.normalization.file import normalize_file
from tests.support.hdf5_bytes import patch
from tests.unit.formats.hdf5.test_rewriting import rewrite, rows_of

if TYPE_CHECKING:
    from pathlib import Path

TO_DO = "fetch or write the file again"


def bad_heap(path: Path, group: str) -> None:
    """Let the list of free bytes in a group's heap begin where it can't."""
    with h5py.File(path) as file:
        names = list(file[group])
    whole = path.read_bytes()
    heaps = [at for at in range(len(whole)) if whole[at : at + 4] == b"HEAP"]
    for heap in heaps:
        segment = int.from_bytes(whole[heap + 24 : heap + 32], "little")
        if names[0].encode() in whole[segment : segment + 88]:
            patch(path, heap + 16, (4093).to_bytes(8, "little"))
            return
    raise AssertionError(group)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["x"] = rows_of((40, 8))
        file["group/inner/y"] = rows_of((40, 8))
        options: dict[str, Any] = {"chunks": (10, 8), "compression": "gzip"}
        file.create_dataset("z", data=rows_of((40, 8)), **options)
    return path


@pytest.mark.parametrize("group", ["/", "/group", "/group/inner"])
def test_a_damaged_group_is_named(path: Path, group: str) -> None:
    bad_heap(path, group)
    where = "" if group == "/" else f"the group '{group}'"
    said = rf"s\.h5: {where}.*damaged \(bad heap free list\).*{TO_DO}"
    with pytest.raises(FormatError, match=said):
        rewrite(path, path.with_name("d.h5"), "x")


def test_a_damaged_list_of_chunks_is_no_failure_to_write(path: Path) -> None:
    whole = path.read_bytes()
    tree = max(at for at in range(len(whole)) if whole[at : at + 5] == b"TREE\x01")
    patch(path, tree + 24 + 8 + 8, b"\x07")  # Where the first chunk begins, which is row 0.
    with pytest.raises(FormatError, match=rf"s\.h5: array 'z'.*damaged.*{TO_DO}"):
        rewrite(path, path.with_name("d.h5"), "z")


def test_damage_that_the_copy_brings_to_light(path: Path) -> None:
    symbols = RuntimeError("Unable to create link (bad symbol table node)")
    constant = RuntimeError(
        "Unable to synchronously change a dataset's dimensions (unable to modify constant message)"
    )
    full = OSError(
        "Can't write data (file write failed: time = x, filename = 'd.h5', errno = 28, "
        "error message = 'No space left on device', buf = 0x1)"
    )
    private = RuntimeError("Unable to create attribute (object header message is huge)")
    for raised, error, said in (
        (symbols, FormatError, r"s\.h5: it is damaged \(bad symbol table node\)"),
        (constant, FormatError, r"s\.h5: it is damaged \(unable to modify constant message\)"),
        (full, DestinationError, r"can't write d\.h5: No space left on device"),
        (private, DestinationError, r"can't write d\.h5: .*object header message is huge"),
    ):
        with pytest.raises(error, match=said), writing("can't write d.h5", path):
            raise raised


def test_a_cache_image(path: Path) -> None:
    from l2cli.formats.hdf5.errors import diagnose

    said = diagnose(OSError("Unable to open file (Bad metadata cache image signature)"))
    assert "h5clear -m FILE" in said


SETS = [("family", {"driver": "family", "memb_size": 4096}, "s%05d.h5", "s00000.h5")]
SETS += [("one member", {"driver": "family", "memb_size": 2**20}, "s%05d.h5", "s00000.h5")]
SETS += [("split", {"driver": "split"}, "s", "s-m.h5")]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    ("options", "name", "first"), [case[1:] for case in SETS], ids=[case[0] for case in SETS]
)
def test_one_file_of_a_set(
    tmp_path: Path, options: dict[str, Any], name: str, first: str, libver: str
) -> None:
    with h5py.File(tmp_path / name, "w", libver=libver, **options) as file:
        file["x"] = rows_of((600, 8))
    what = "h5repack NAME NEW" if first == "s-m.h5" else "h5repart -family_to_single NAME%05d"
    with pytest.raises(FormatError, match=rf"{first}: it is one file of a set \(HDF5's.*{what}"):
        Hdf5Reader(tmp_path / first)


def test_a_name_of_a_driver_alone_makes_no_set(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file.attrs["about"] = np.bytes_(b"NCSAfami NCSAmult")
        file["x"] = rows_of((4, 8))
    rewrite(path, tmp_path / "d.h5", "x")


def test_an_external_file_is_not_called_a_set(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    path.write_bytes(b"NCSAfami" * 1000)
    with pytest.raises(FormatError, match="not an HDF5 file"):
        Hdf5Reader(path)


@pytest.mark.parametrize("size", [0, 8, 223])
def test_a_chunk_that_is_too_short_is_refused(tmp_path: Path, size: int) -> None:
    """HDF5 itself reads what happens to stand in memory behind it."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        data = file.create_dataset("embedding", (20, 8), "f4", chunks=(7, 8), maxshape=(None, 8))
        data[:] = np.arange(1.0, 161.0, dtype="f4").reshape(20, 8)
        info = data.id.get_chunk_info(1)
    content = path.read_bytes()
    # In the index of chunks: the size in 4 bytes, the filters left out in 4, where it begins.
    entry = (224).to_bytes(4, "little") + bytes(4) + (7).to_bytes(8, "little")
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, size.to_bytes(4, "little") + entry[4:]))
    with h5py.File(path) as file:
        assert file["embedding"].id.get_chunk_info(1).size == size != info.size
    message = (
        f"x.h5: array 'embedding' is damaged: the chunk at row 7 has {size} bytes, expected 224"
    )
    with pytest.raises(FormatError, match=message):
        normalize_file(path)
    assert [element.name for element in tmp_path.iterdir()] == ["x.h5"]
