"""HDF5 datasets that can't be used: each says why, and whether it may hold the vectors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.errors import FormatError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.formats.hdf5.plugins import FILTER_NAMES
from l2cli.options import OpenOptions
from tests.support.hdf5_bytes import (
    DATASPACE,
    DATATYPE,
    FILL_VALUE,
    LAYOUT,
    PIPELINE,
    address,
    messages,
    patch,
    patch_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.arrays import ArraySpec

SEED = 7
NEWER = "written by a newer HDF5, or is damaged; upgrade h5py"


def vectors() -> np.ndarray[Any, Any]:
    return np.random.default_rng(SEED).standard_normal((20, 8)).astype("f4")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with vectors behind two filters, and others beside them."""
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        options: dict[str, Any] = {"chunks": (5, 8), "shuffle": True, "compression": "gzip"}
        file.create_dataset("x", data=vectors(), **options)
        file.create_dataset("ids", data=np.arange(20).reshape(20, 1), chunks=(5, 1), shuffle=True)
        file["group/y"] = vectors()
    return path


def arrays(path: Path, *, allow_external: bool = False) -> dict[str, ArraySpec]:
    with Hdf5Reader(path, OpenOptions(allow_external=allow_external)) as reader:
        return {array.name: array for array in reader.arrays()}


@pytest.mark.parametrize(
    ("message", "version"),
    [
        (DATASPACE, b"\x09"),
        (DATATYPE, b"\x51"),  # What HDF5 2.0 writes for complex numbers and bfloat16.
        (FILL_VALUE, b"\x09"),
        (LAYOUT, b"\x05"),  # HDF5 2.0, for chunks of 4 GiB and more.
        (PIPELINE, b"\x09"),
    ],
)
def test_messages_of_a_newer_version(path: Path, message: int, version: bytes) -> None:
    patch_message(path, "x", message, version)
    result = arrays(path)
    assert NEWER in result["x"].refusal
    assert result["x"].may_be_vectors
    assert not result["group/y"].refusal


def test_a_message_that_must_be_known(path: Path) -> None:
    position = next(start for result, start in messages(path, "x") if result == FILL_VALUE) - 8
    patch(path, position, b"\x7f\x00")
    patch(path, position + 4, b"\x80")
    assert NEWER in arrays(path)["x"].refusal


@pytest.mark.parametrize("name", ["x", "group"])
def test_an_object_of_a_newer_version(path: Path, name: str) -> None:
    patch(path, address(path, name), b"\x09")
    result = arrays(path)
    assert NEWER in result[name].refusal
    assert result[name].may_be_vectors
    assert not result["ids"].refusal


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_of_a_newer_version(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["x"] = vectors()
    patch(path, 8, b"\x04")
    with pytest.raises(FormatError, match=rf"s\.h5: HDF5 \S+, which .*superblock.*{NEWER}"):
        Hdf5Reader(path)


def change_filter(path: Path, name: str, code: int) -> None:
    """Have the first filter of a dataset, shuffle, be another one."""
    position = next(start for result, start in messages(path, name) if result == PIPELINE)
    patch(path, position + 8, code.to_bytes(2, "little"))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (32026, r"\(Blosc2\), which isn't installed; install hdf5plugin"),
        (307, r"\(bzip2\), .*; install hdf5plugin"),
        (305, r"\(LZO\), .*; PyTables"),
        (32020, r"\(VBZ\), .*; install vbz-h5py-plugin"),
        (32009, r"\(SPDP\), .*RegisteredFilterPlugins.* says where to get it.*h5repack -f NONE"),
        (40000, r"\(shuffle\), .*its maker's own, not a registered one.*h5repack -f NONE"),
    ],
)
def test_a_filter_that_is_not_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    monkeypatch.setattr("l2cli.formats.hdf5.plugins._is_available", lambda result: result != code)
    change_filter(path, "x", code)
    change_filter(path, "ids", code)
    result = arrays(path)
    assert not result["group/y"].refusal
    assert result["x"].may_be_vectors
    assert not result["ids"].may_be_vectors
    for name in ("x", "ids"):
        refusal = result[name].refusal
        assert refusal.startswith(f"needs the HDF5 filter {code} ")
        assert re.search(says, refusal)


def test_the_filters_of_hdf5plugin() -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    from l2cli.formats.hdf5.plugins import _IN_HDF5PLUGIN

    assert set(hdf5plugin.FILTERS.values()) <= _IN_HDF5PLUGIN
    assert FILTER_NAMES.keys() >= _IN_HDF5PLUGIN


def long_double(file: h5py.File, name: bytes) -> None:
    quad = h5py.h5t.IEEE_F64LE.copy()
    quad.set_size(16)
    quad.set_precision(128)
    h5py.h5d.create(file.id, name, quad, h5py.h5s.create_simple((4, 8)))


def brain_float(file: h5py.File, name: bytes) -> None:
    stored = h5py.h5t.IEEE_F16LE.copy()
    stored.set_fields(15, 7, 8, 0, 7)
    stored.set_ebias(127)
    h5py.h5d.create(file.id, name, stored, h5py.h5s.create_simple((4, 8)))


def array_of_long_doubles(file: h5py.File, name: bytes) -> None:
    quad = h5py.h5t.IEEE_F64LE.copy()
    quad.set_size(16)
    quad.set_precision(128)
    stored = h5py.h5t.array_create(quad, (8,))
    h5py.h5d.create(file.id, name, stored, h5py.h5s.create_simple((4,)))


def dangling_references(file: h5py.File, name: bytes) -> None:
    file["gone"] = vectors()
    references = np.array([file["gone"].ref, file["gone"].ref], h5py.ref_dtype)
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    del file["gone"]


def lists(file: h5py.File, name: bytes) -> None:
    dataset = file.create_dataset(name, (3,), h5py.vlen_dtype("f4"))
    for row in range(3):
        dataset[row] = np.ones(row + 1, "f4")


def lists_in_records(file: h5py.File, name: bytes) -> None:
    file.create_dataset(name, (3,), [("id", "i4"), ("vector", h5py.vlen_dtype("f4"))])


MAY_BE: dict[str, tuple[Callable[[h5py.File, bytes], object], str]] = {
    "long doubles": (long_double, "a non-standard float type"),
    "bfloat16": (brain_float, "a non-standard float type"),
    "arrays of long doubles": (array_of_long_doubles, "a non-standard float type"),
    "lists": (lists, "lists of a length of their own"),
    "lists in records": (lists_in_records, "not numbers"),
    "soft link": (
        lambda file, name: file.__setitem__(name, h5py.SoftLink("/nowhere")),
        "it leads nowhere",
    ),
    "soft loop": (
        lambda file, name: file.__setitem__(name, h5py.SoftLink(b"/" + name)),
        "it leads nowhere",
    ),
    "external link": (
        lambda file, name: file.__setitem__(name, h5py.ExternalLink("o.h5", "/q")),
        "it lies in another file",
    ),
    "references to nowhere": (dangling_references, "it holds references to nowhere"),
    "external bytes": (
        lambda file, name: file.create_dataset(
            name, (4, 8), "f4", external=[("raw.bin", 0, 4 * 8 * 4)]
        ),
        "it lies in another file",
    ),
}


@pytest.mark.parametrize(("make", "says"), MAY_BE.values(), ids=MAY_BE)
def test_what_may_be_the_vectors(
    path: Path, make: Callable[[h5py.File, bytes], object], says: str
) -> None:
    with h5py.File(path, "r+") as file:
        make(file, b"found")
    result = arrays(path)["found"]
    assert says in result.refusal
    assert result.may_be_vectors


NEVER: dict[str, Callable[[h5py.File], object]] = {
    "text": lambda file: file.create_dataset("found", data=["a", "b"], dtype=h5py.string_dtype()),
    "a number": lambda file: file.create_dataset("found", data=1.5),
    "nothing": lambda file: file.create_dataset("found", data=h5py.Empty("f4")),
    "flags": lambda file: file.create_dataset("found", data=np.array([[True, False]])),
    "bytes": lambda file: file.create_dataset("found", data=np.array([b"ab", b"c"])),
    "lists of integers": lambda file: file.create_dataset(
        "found", (3,), dtype=h5py.vlen_dtype("i4")
    ),
    "records of numbers": lambda file: file.create_dataset(
        "found", data=np.zeros(3, [("i", "i4"), ("score", "f4")])
    ),
    "complex numbers": lambda file: file.create_dataset("found", data=np.ones((3, 4), "c8")),
    "references": lambda file: file.create_dataset(
        "found", data=np.array([file["x"].ref], h5py.ref_dtype), dtype=h5py.ref_dtype
    ),
}


@pytest.mark.parametrize("make", NEVER.values(), ids=NEVER)
def test_what_is_no_vector(path: Path, make: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        make(file)
    result = arrays(path)["found"]
    assert result.refusal
    assert not result.may_be_vectors


def test_a_soft_link_into_another_file(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file["group/q"] = vectors()
    with h5py.File(path, "w") as file:
        file["there"] = h5py.ExternalLink("o.h5", "/group")
        file["link"] = h5py.SoftLink("/there/q")
    refused = arrays(path)["link"]
    assert "it lies in another file" in refused.refusal
    assert refused.may_be_vectors
    followed = arrays(path, allow_external=True)
    assert (followed["link"].refusal, followed["link"].shape) == ("", (20, 8))
    assert "a group of another file" in followed["there"].refusal
    assert followed["there"].may_be_vectors
    with Hdf5Reader(path, OpenOptions(allow_external=True)) as reader:
        array = next(array for array in reader.arrays() if array.name == "link")
        with reader.writer(tmp_path / "d.h5", {"link": array}) as writer:
            for batch in reader.batches([array], None):
                batch.rows[...] *= 2
                writer.write(batch)
            writer.finish()
    with h5py.File(tmp_path / "d.h5") as file:
        assert isinstance(file.get("link", getlink=True), h5py.HardLink)
        np.testing.assert_array_equal(file["link"][()], vectors() * 2)
    with h5py.File(tmp_path / "o.h5") as file:
        np.testing.assert_array_equal(file["group/q"][()], vectors())


def test_a_link_that_only_its_maker_can_follow(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
        properties.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED)
        group = h5py.Group(h5py.h5g.create(file.id, b"g", gcpl=properties))
        group["mark"] = h5py.ExternalLink("o.h5", "/q")
    # Link type 64 is an external link; 80 is anybody's own.
    external, private = (b"\x0c%c\0\0\0\0\0\0\0\0\x04mark" % variant for variant in (64, 80))
    raw = path.read_bytes()
    assert raw.count(external) == 1
    path.write_bytes(raw.replace(external, private))
    result = arrays(path)["g/mark"]
    assert "of type 80" in result.refusal
    assert result.may_be_vectors
