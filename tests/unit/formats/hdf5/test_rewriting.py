"""HDF5: the chosen rows change and nothing else does. Checked with h5py alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.errors import DestinationError, FormatError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.options import OpenOptions
from tests.support import doubling
from tests.support.assertions import assert_doubled

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec

SEED = 7
Snapshot = dict[str, Any]
Options = dict[str, Any]

_DIRECT = True


@pytest.fixture(autouse=True, params=[True, False], ids=["direct", "hdf5"])
def direct(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run every test of a module twice: rows pass by HDF5 where they can, and nowhere."""
    monkeypatch.setattr(sys.modules[__name__], "_DIRECT", request.param)
    return bool(request.param)


def rewrite(
    source: Path, destination: Path, *names: str, allow_external: bool = False, **options: Any
) -> None:
    """Double the rows of the arrays ``names``, by HDF5 as the fixture ``direct`` asks."""
    reader, opening = partial(Hdf5Reader, direct=_DIRECT), OpenOptions(allow_external)
    doubling.rewrite(source, destination, *names, reader=reader, opening=opening, **options)


def spec(path: Path, name: str, *, allow_external: bool = False) -> ArraySpec:
    with Hdf5Reader(path, OpenOptions(allow_external=allow_external)) as reader:
        return next(array for array in reader.arrays() if array.name == name)


def snapshot(path: Path) -> Snapshot:
    """Return all that a file holds, by path, in its order; references as what they lead to."""
    with h5py.File(path, "r") as file:
        actual: Snapshot = {
            "/": _attributes(file),
            "userblock": path.read_bytes()[: file.userblock_size],
        }
        _walk(file, "", actual, {})
        return actual


def _walk(group: h5py.Group, prefix: str, actual: Snapshot, seen: dict[Any, str]) -> None:
    actual[f"order of {prefix or '/'}"] = list(group)
    for name in group:
        path, info = f"{prefix}/{name}", group.id.links.get_info(name.encode())
        if info.type in (h5py.h5l.TYPE_SOFT, h5py.h5l.TYPE_EXTERNAL):
            actual[path] = (info.type, group.id.links.get_val(name.encode()))
            continue
        if info.type != h5py.h5l.TYPE_HARD:
            actual[path] = ("user-defined", info.type)
            continue
        target = group[name]
        if first := seen.get(info.u):
            actual[path] = ("same as", first)
            continue
        seen[info.u] = path
        actual[path] = _object(target)
        if isinstance(target, h5py.Group):
            _walk(target, path, actual, seen)


def _object(target: Any) -> Snapshot:
    actual: Snapshot = {"kind": type(target).__name__, "attributes": _attributes(target)}
    if isinstance(target, h5py.Dataset):
        properties = target.id.get_create_plist()
        filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
        actual |= {
            "type": target.id.get_type().encode(),
            "shape": target.shape,
            "maxshape": target.maxshape,
            "chunks": target.chunks,
            "layout": properties.get_layout(),
            "filters": filters,
            "fill": _plain(target.fillvalue) if target.dtype.kind in "fiu" else None,
            "fill time": properties.get_fill_time(),
            "values": _values(target),
        }
    return actual


def _values(dataset: h5py.Dataset) -> Any:
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() or dataset.is_virtual or dataset.shape is None:
        return None
    return _plain(dataset[()], dataset)


def _attributes(owner: Any) -> list[Any]:
    attributes = []
    for name in owner.attrs:
        variant = owner.attrs.get_id(name).get_type().encode()
        attributes.append((name, variant, _plain(owner.attrs[name], owner)))
    return attributes


def _plain(value: Any, owner: Any = None) -> Any:
    """Return a value that compares with ``==``."""
    if isinstance(value, h5py.RegionReference):
        return owner.file[value].name, value and h5py.h5r.get_region(
            value, owner.file.id
        ).get_select_bounds()
    if isinstance(value, h5py.Reference):
        return owner.file[value].name if value else None
    if isinstance(value, h5py.Empty):
        return "empty", str(value.dtype)
    if isinstance(value, np.void) and value.dtype.names:
        return [_plain(value[name], owner) for name in value.dtype.names]
    if isinstance(value, np.ndarray) and (value.dtype == object or value.dtype.names):
        return [_plain(element, owner) for element in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.str, np.shape(value), value.tobytes()
    return value


def assert_only_values_differ(source: Path, destination: Path, *names: str) -> None:
    """Assert that the files are alike but for the values of the datasets ``names``."""
    old, new = snapshot(source), snapshot(destination)
    assert list(old) == list(new)
    with h5py.File(source) as file:
        chosen = [file[name] for name in names]
        for path, value in old.items():
            if isinstance(value, dict) and file[path] in chosen:
                value, new[path] = value | {"values": 0}, new[path] | {"values": 0}
            assert new[path] == value, path


def assert_not_grown(source: Path, destination: Path, *names: str) -> None:
    """Assert that the file is as long as it was, but for chunks that compress less well.

    A chunk that is longer than any hole goes to the end, and leaves one; and a version-1
    B-tree splits otherwise when it is filled anew.
    """
    allowed = source.stat().st_size + 4096
    with h5py.File(source) as old, h5py.File(destination) as new:
        for name in names:
            before, after = old[name].id.get_storage_size(), new[name].id.get_storage_size()
            one_chunk = after // max(1, new[name].id.get_num_chunks()) if after > before else 0
            allowed += max(0, after - before) + one_chunk
    assert destination.stat().st_size <= allowed


def rows_of(shape: tuple[int, ...], dtype: str = "<f4") -> np.ndarray[Any, Any]:
    return np.random.default_rng(SEED).standard_normal(shape).astype(dtype)


def fill_with_company(file: h5py.File, path: str = "x") -> None:
    """Put everything around dataset ``path`` that an HDF5 file may hold."""
    dataset = file[path]
    file.attrs["title"] = "häl"
    group = file.create_group("g", track_order=True)
    for name in ("z", "a", "m"):
        group[name] = np.arange(3)
    group["hard"], group["after"] = dataset, np.arange(2)
    group["loop"] = h5py.SoftLink("/g")
    group["root"] = file["/"]
    file["soft"], file["dangling"] = h5py.SoftLink(f"/{path}"), h5py.SoftLink("/nowhere")
    file["external"] = h5py.ExternalLink("other.h5", "/q")
    strings = h5py.string_dtype()
    file.create_dataset("names", data=["a", "ü", ""], dtype=strings)
    file["pairs"] = np.array([(1, 2.5)], [("i", "<i4"), ("f", "<f8")])
    file["empty"] = h5py.Empty("f4")
    file["flags"], file["opaque"] = np.array([True, False]), np.void(b"abc")
    file["complex"] = np.ones((2, 2), "c8")
    file["lists"] = np.array([np.arange(2), np.arange(3)], object).astype(h5py.vlen_dtype("i4"))
    file["type"] = np.dtype("<f8")
    quad = h5py.h5t.IEEE_F64LE.copy()
    quad.set_size(16)
    quad.set_precision(128)
    space = h5py.h5s.create_simple((2, 2))
    h5py.h5d.create(file.id, b"quad", quad, space)
    h5py.h5d.create(file.id, b"bits", h5py.h5t.STD_B8LE, space)
    add_attributes(dataset, group)


def add_attributes(dataset: h5py.Dataset, target: h5py.Group) -> None:
    """Give a dataset attributes of the types that are hard to copy."""
    attributes = dataset.attrs
    attributes["zulu"], attributes["text"] = 3, "häl"
    attributes["texts"] = np.array(["a", "bcd"], object)
    attributes["fixed"], attributes["none"] = np.array([b"ab", b"c"]), h5py.Empty(">f8")
    attributes["group"] = target.ref
    lists = np.array([np.arange(3), np.arange(2)], object)
    attributes.create("lists", lists, dtype=h5py.vlen_dtype("i4"))
    mixed = np.dtype([("n", ">i2"), ("s", h5py.string_dtype())])
    attributes.create("mixed", np.array([(1, "q")], mixed))
    attributes["flag"] = True


def _plugin(name: str) -> Options:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    return dict(getattr(hdf5plugin, name)())


CHUNKED: dict[str, Options] = {
    "contiguous": {},
    "plain": {"chunks": (64, 8)},
    "gzip": {"chunks": (64, 32), "compression": "gzip", "compression_opts": 3},
    "edge lzf": {"chunks": (70, 12), "compression": "lzf", "shuffle": True},
    "one chunk": {"chunks": (500, 32), "compression": "gzip"},
    "fletcher32": {"chunks": (70, 12), "fletcher32": True},
    "resizable": {"chunks": (70, 12), "maxshape": (None, 32), "compression": "gzip"},
    "half fixed": {"chunks": (70, 12), "maxshape": (900, None), "shuffle": True},
    "filled": {"chunks": (70, 12), "fillvalue": -1.5, "compression": "gzip"},
    "auto": {"chunks": True, "compression": "gzip"},
}
FILES: dict[str, Options] = {
    "old": {},
    "latest": {"libver": "latest"},
    "ordered": {"track_order": True},
    "user block": {"userblock_size": 512},
}


@pytest.mark.parametrize("file_options", FILES.values(), ids=FILES)
@pytest.mark.parametrize("options", CHUNKED.values(), ids=CHUNKED)
def test_only_the_rows_change(tmp_path: Path, options: Options, file_options: Options) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w", **file_options) as file:
        file.create_dataset("x", data=rows_of((500, 32)), track_order=True, **options)
        fill_with_company(file)
        file["about"] = np.array([file["x"].ref, file["g"].ref], h5py.ref_dtype)
        region = np.array([file["x"].regionref[2:5, 1:3]], h5py.regionref_dtype)
        file.create_dataset("region", data=region, dtype=h5py.regionref_dtype)
    if "userblock_size" in file_options:
        with source.open("r+b") as raw:
            raw.write(b"#!/bin/sh\n")
    destination.touch()
    rewrite(source, destination, "x")
    assert_only_values_differ(source, destination, "x", "region")
    assert_doubled(source, destination, "x")
    if "chunks" in options:
        assert_not_grown(source, destination, "x")
    else:
        assert destination.stat().st_size == source.stat().st_size


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(37,), (37, 5), (11, 3, 5), (0, 5), (1, 5), (4, 0)])
@pytest.mark.parametrize("chunked", [False, True])
def test_types_and_shapes(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], chunked: bool
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    options: Options = {}
    if chunked:
        options = {
            "chunks": tuple(3 for _ in shape),
            "maxshape": (None,) * len(shape),
            "compression": "gzip",
        }
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=rows_of(shape, dtype), **options)
    rewrite(source, destination, "x", batch_size=5)
    assert_only_values_differ(source, destination, "x")
    assert_doubled(source, destination, "x")
    if dtype.startswith(">"):
        assert "big-endian" in spec(source, "x").layout


def test_bits_of_big_endian_floats_survive(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    bits = np.arange(2**16, dtype=np.uint16).reshape(-1, 64)
    wide = np.random.default_rng(SEED).integers(0, 2**32, (99, 8), np.uint32)
    with h5py.File(path, "w") as file:
        file["half"], file["single"] = (
            bits.astype(">u2").view(">f2"),
            wide.astype(">u4").view(">f4"),
        )
    with Hdf5Reader(path) as reader:
        read = {b.array.name: b.rows for b in reader.batches(reader.arrays(), None)}
        assert (read["half"].view(np.uint16) == bits).all()
        assert (read["single"].view(np.uint32) == wide).all()


@pytest.mark.parametrize("filters", ["Zstd", "Blosc", "LZ4", "Bitshuffle"])
def test_other_filters(tmp_path: Path, filters: str) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=rows_of((500, 32)), chunks=(100, 16), **_plugin(filters))
    rewrite(source, destination, "x")
    assert_only_values_differ(source, destination, "x")
    with h5py.File(source) as old, h5py.File(destination) as new:
        np.testing.assert_allclose(new["x"][()], old["x"][()] * 2, atol=2e-3)


@pytest.mark.parametrize("options", CHUNKED.values(), ids=CHUNKED)
def test_batch_size_changes_nothing(tmp_path: Path, options: Options) -> None:
    source = tmp_path / "s.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=rows_of((500, 32)), **options)
    for batch_size in (1, 7, None):
        rewrite(source, tmp_path / "d.h5", batch_size=batch_size)
        assert_doubled(source, tmp_path / "d.h5", "x")


def test_batches_can_be_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = rows_of((10, 4)), rows_of((3, 4))
    with Hdf5Reader(path) as reader:
        for _ in range(2):
            batches = list(reader.batches(reader.arrays(), 4))
            assert [(b.array.name, b.start) for b in batches] == [
                ("a", 0), ("a", 4), ("a", 8), ("b", 0),
            ]  # fmt: skip


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("fill", [0.0, np.nan, 2.0])
def test_unstored_chunks_stay_unstored(
    tmp_path: Path, compression: str | None, fill: float
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        dataset = file.create_dataset(
            "x", (100_000, 64), "f4", chunks=(100, 40), fillvalue=fill, compression=compression
        )
        dataset[250:260] = 1.0
        dataset[70_001] = np.nan
    rewrite(source, destination)
    assert_doubled(source, destination, "x")
    if fill != 2.0:
        assert destination.stat().st_size <= source.stat().st_size + 4096


@pytest.mark.parametrize("fill_time", ["ifset", "never", "alloc"])
@pytest.mark.parametrize("rows", [0, 1, 30])
def test_unstored_contiguous(tmp_path: Path, fill_time: str, rows: int) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset("x", (1000, 64), "f4", fill_time=fill_time)
        file["after"] = np.arange(9)
    with Hdf5Reader(source) as reader:
        (array,) = [array for array in reader.arrays() if array.name == "x"]
        with reader.writer(destination, {"x": array}) as writer:
            for batch in reader.batches([array], 100):
                if batch.start == 300:
                    batch.rows[:rows] = 5
                writer.write(batch)
            writer.finish()
    with h5py.File(destination) as file:
        assert file["x"][300 : 300 + rows].sum() == rows * 64 * 5
        assert file["x"][()].sum() == rows * 64 * 5
    if not rows and fill_time != "never":
        assert destination.stat().st_size == source.stat().st_size


def test_never_filled_chunks(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        dataset = file.create_dataset("x", (400, 8), "f4", chunks=(100, 8), fill_time="never")
        dataset[:100] = 1.0
    rewrite(source, destination, batch_size=30)
    with h5py.File(destination) as file:
        assert file["x"][()].sum() == 100 * 8 * 2


REPLACED = {**CHUNKED, "contiguous": {}, "filled": {"fillvalue": -1.5}}


@pytest.mark.parametrize("file_options", FILES.values(), ids=FILES)
@pytest.mark.parametrize("options", REPLACED.values(), ids=REPLACED)
@pytest.mark.parametrize(("dtype", "dim"), [("float16", None), ("float64", None), (None, 8)])
def test_another_dtype_or_length(
    tmp_path: Path, options: Options, file_options: Options, dtype: str | None, dim: int | None
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w", **file_options) as file:
        file["before"] = np.arange(5)
        file.create_dataset("x", data=rows_of((500, 32), ">f4"), track_order=True, **options)
        file["between"] = file["x"]
        fill_with_company(file)
    rewrite(source, destination, "between", dtype=dtype, dim=dim)
    old, new = snapshot(source), snapshot(destination)
    assert list(old) == list(new)
    name = next(path for path in ("/x", "/between") if isinstance(old[path], dict))
    expected, actual = old.pop(name), new.pop(name)
    assert old == new
    same = ("kind", "attributes", "layout", "fill time")
    assert {key: actual[key] for key in same} == {key: expected[key] for key in same}
    assert [one[0] for one in actual["filters"]] == [one[0] for one in expected["filters"]]
    with h5py.File(source) as before, h5py.File(destination) as after:
        values = (before["x"][()].astype("f4")[:, :dim] * np.float32(2)).astype(dtype or "f4")
        assert after["x"].dtype == np.dtype(dtype or "f4").newbyteorder(">")
        assert after["x"].fillvalue == before["x"].fillvalue
        np.testing.assert_array_equal(after["x"][()], values)
        assert after["g/hard"] == after["x"] == after["between"] == after["soft"]


def test_a_replaced_dataset_leaves_no_hole(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file["x"] = rows_of((20_000, 64))
    rewrite(source, destination, dtype="float16")
    assert destination.stat().st_size < 0.52 * source.stat().st_size
    rewrite(source, destination, dtype="float64")
    assert destination.stat().st_size < 2.01 * source.stat().st_size


def test_integers_become_floats(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset(
            "i", data=np.arange(40, dtype=">i8").reshape(8, 5), chunks=(3, 5), compression="gzip"
        )
    assert spec(source, "i").dtype == "int64"
    rewrite(source, destination, "i", dtype="float32")
    with h5py.File(destination) as file:
        assert file["i"].dtype == np.dtype(">f4")
        np.testing.assert_array_equal(file["i"][()], np.arange(40).reshape(8, 5) * 2)


def test_integer_packing_does_not_round_floats(tmp_path: Path) -> None:
    source = tmp_path / "s.h5"
    with h5py.File(source, "w") as file:
        values = np.arange(40).reshape(8, 5)
        file.create_dataset("i", data=values, chunks=(3, 5), scaleoffset=0, shuffle=True)
    with Hdf5Reader(source) as reader:
        (array,) = reader.arrays()
        output = replace(array, dtype="float32")
        with reader.writer(tmp_path / "d.h5", {"i": output}) as writer:
            for batch in reader.batches([array], None):
                writer.write(replace(batch, rows=batch.rows.astype("f4") / 8))
            writer.finish()
    with h5py.File(tmp_path / "d.h5") as file:
        assert file["i"].shuffle
        np.testing.assert_array_equal(file["i"][()], values / 8)


@pytest.mark.parametrize("track_order", [False, True])
def test_dimension_scales_move_to_a_replaced_dataset(tmp_path: Path, track_order: bool) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w", track_order=track_order) as file:
        for name, length in (("t", 6), ("t2", 6), ("c", 4)):
            file.create_dataset(name, data=np.arange(length, dtype="f4"), track_order=track_order)
            file[name].make_scale(f"name of {name}")
        for name in ("x", "y"):
            dataset = file.create_dataset(name, data=rows_of((6, 4)), track_order=track_order)
            dataset.attrs["first"] = 1
            for axis, scale in ((0, "t"), (0, "t2"), (1, "c")):
                dataset.dims[axis].attach_scale(file[scale])
            dataset.dims[0].label = "time"
            dataset.attrs["last"] = 1
    rewrite(source, destination, "x", "t", dtype="float64")
    with h5py.File(destination) as file:
        assert file["x"].dtype == file["t"].dtype == np.float64
        for name in ("x", "y"):
            dims = file[name].dims
            assert [scale.name for scale in dims[0].values()] == ["/t", "/t2"]
            assert [scale.name for scale in dims[1].values()] == ["/c"]
            assert dims[0].label == "time"
        users = [(file[r].name, axis) for r, axis in file["t"].attrs["REFERENCE_LIST"]]
        assert sorted(users) == [("/x", 0), ("/y", 0)]
        assert file["t"].attrs["NAME"] == b"name of t"
        assert list(file["x"].attrs) == list(h5py.File(source)["x"].attrs)


@pytest.mark.parametrize("variant", ["attribute", "dataset", "region", "list", "compound"])
def test_references_forbid_a_replacement(tmp_path: Path, variant: str) -> None:
    source = tmp_path / "s.h5"
    with h5py.File(source, "w") as file:
        file["x"], file["y"] = rows_of((4, 3)), rows_of((4, 3))
        reference = file["x"].ref
        if variant == "attribute":
            file["y"].attrs["about"] = reference
        elif variant == "dataset":
            file.create_dataset("r", data=np.array([reference], h5py.ref_dtype))
        elif variant == "region":
            file.create_dataset("r", (1,), h5py.regionref_dtype)[0] = file["x"].regionref[1:2]
        elif variant == "list":
            values = np.empty(1, object)
            values[0] = np.array([reference], h5py.ref_dtype)
            file["y"].attrs.create("r", values, dtype=h5py.vlen_dtype(h5py.ref_dtype))
        else:
            mixed = np.dtype([("n", "i4"), ("r", h5py.ref_dtype)])
            file.create_dataset("r", data=np.array([(1, reference)], mixed))
    with pytest.raises(DestinationError, match="holds references to it, which would break"):
        rewrite(source, tmp_path / "d.h5", "x", dtype="float16")
    rewrite(source, tmp_path / "d.h5", "y", dtype="float16")
    rewrite(source, tmp_path / "d.h5", "x")


def test_bfloat16_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = rows_of((4, 3))
    with pytest.raises(DestinationError, match=r"HDF5 can't hold bfloat16.*use `dtype='float16'"):
        rewrite(tmp_path / "s.h5", tmp_path / "d.h5", "x", dtype="bfloat16")


def test_a_compact_dataset_may_outgrow_its_header(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((500, 30))
        dataset = h5py.Dataset(
            h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, properties)
        )
        dataset[...] = rows_of((500, 30))
    assert spec(source, "x").layout == "compact"
    rewrite(source, destination)
    assert_only_values_differ(source, destination, "x")
    assert_doubled(source, destination, "x")
    rewrite(source, destination, dtype="float64")
    with h5py.File(source) as old, h5py.File(destination) as new:
        np.testing.assert_array_equal(new["x"][()], old["x"][()] * 2.0)


def outside_files(folder: Path) -> Path:
    """Write a file whose arrays lie in others: by link, as raw bytes, and virtually."""
    folder.mkdir()
    with h5py.File(folder / "other.h5", "w") as file:
        file.create_dataset("q", data=rows_of((90, 8)), chunks=(20, 8), compression="gzip")
        file["q"].attrs["unit"] = "m"
        file["group/q"] = rows_of((2, 2))
    rows_of((90, 8)).tofile(folder / "raw.bin")
    virtual = h5py.VirtualLayout((90, 8), "f4", maxshape=(None, 8))
    virtual[:] = h5py.VirtualSource("other.h5", "q", (90, 8))
    inner = h5py.VirtualLayout((4, 8), "f4")
    inner[:] = h5py.VirtualSource(".", "own", (90, 8))[3:7]
    through = h5py.VirtualLayout((90, 8), "f4")
    through[:] = h5py.VirtualSource(".", "link", (90, 8))
    source = folder / "s.h5"
    with h5py.File(source, "w", track_order=True) as file:
        file["own"] = rows_of((90, 8))
        file["link"] = h5py.ExternalLink("other.h5", "/q")
        file["group"] = h5py.ExternalLink("other.h5", "/group")
        file["broken"] = h5py.ExternalLink("missing.h5", "/q")
        raw = [(str(folder / "raw.bin"), 0, 90 * 8 * 4)]
        file.create_dataset("raw", (90, 8), "f4", external=raw, fillvalue=4.0)
        file["raw"].attrs["unit"] = "s"
        file.create_virtual_dataset("virtual", virtual, fillvalue=-1)
        file.create_virtual_dataset("inner", inner)
        file.create_virtual_dataset("through", through)
        file["last"] = 1
    return source


def test_other_files_are_read_only_where_allowed(tmp_path: Path) -> None:
    source = outside_files(tmp_path / "in")
    with Hdf5Reader(source) as reader:
        refusals = {array.name: array.refusal for array in reader.arrays()}
    for name in ("link", "group", "raw", "virtual", "broken", "through"):
        assert "it lies in another file" in refusals[name]
        assert "`allow_external=True` reads it" in refusals[name]
    assert not refusals["inner"]
    assert spec(source, "link").layout == "→ other.h5:/q"
    with Hdf5Reader(source, OpenOptions(allow_external=True)) as reader:
        refusals = {array.name: array.refusal for array in reader.arrays()}
    assert "leads nowhere" in refusals["broken"]
    assert "a group of another file" in refusals["group"]
    assert not any(refusals[name] for name in ("link", "raw", "virtual", "inner"))
    (tmp_path / "in" / "other.h5").unlink()
    assert "is missing" in spec(source, "virtual", allow_external=True).refusal


def test_rows_of_other_files_are_stored_in_the_copy(tmp_path: Path) -> None:
    source, destination = outside_files(tmp_path / "in"), tmp_path / "d.h5"
    bystanders = {path: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    names = ("own", "link", "raw", "virtual", "inner")
    rewrite(source, destination, *names, allow_external=True)
    assert {path: path.read_bytes() for path in (tmp_path / "in").iterdir()} == bystanders
    with h5py.File(source) as old, h5py.File(destination) as new:
        assert list(new) == list(old)
        for name in names:
            assert isinstance(new.get(name, getlink=True), h5py.HardLink)
            assert not new[name].is_virtual
            assert not new[name].external
            assert new[name].fillvalue == old[name].fillvalue
            np.testing.assert_array_equal(new[name][()], old[name][()] * 2)
        assert new["link"].compression == "gzip"
        assert new["link"].attrs["unit"] == "m"
        assert new["raw"].attrs["unit"] == "s"
    shutil.rmtree(tmp_path / "in")
    with h5py.File(destination) as file:
        assert all(file[name][()].any() for name in names)


REFUSED = {
    "names": "not numbers",
    "pairs": "not numbers",
    "empty": "null dataspace",
    "flags": "not numbers",
    "opaque": "not numbers",
    "complex": "not numbers",
    "lists": "not numbers",
    "quad": "non-standard float",
    "bits": "not numbers",
}


def test_what_cannot_be_normalized_says_why(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "x", data=rows_of((50, 4)), chunks=(7, 4), compression="gzip", shuffle=True
        )
        fill_with_company(file)
        brain = h5py.h5t.IEEE_F16LE.copy()
        brain.set_fields(15, 7, 8, 0, 7)
        brain.set_ebias(127)
        h5py.h5d.create(file.id, b"brain", brain, h5py.h5s.create_simple((2, 2)))
    with Hdf5Reader(path) as reader:
        actual = {array.name: array for array in reader.arrays()}
        assert not reader.notes
    for name, reason in (REFUSED | {"brain": "non-standard float"}).items():
        assert reason in actual[name].refusal, name
    # Each dataset stands once, under the name nearest the root.
    assert "g/hard" not in actual
    assert actual["x"].layout == "chunks 7×4, shuffle+gzip 4"
    assert actual["complex"].dtype == "complex"
    assert actual["flags"].dtype == "bool"
    assert "/nowhere" in actual["dangling"].refusal
    assert not {"soft", "type", "g"} & set(actual)


def test_ann_benchmarks_sparse_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["train"], file["test"] = rows_of((50, 4)), rows_of((5, 4))
        file["neighbors"] = np.zeros((5, 3), "i4")
        file["distances"] = rows_of((5, 3))
        file.attrs["type"] = "dense"
    rewrite(path, tmp_path / "d.h5", "train", "test")
    assert_only_values_differ(path, tmp_path / "d.h5", "train", "test")
    with h5py.File(path, "r+") as file:
        file.attrs["type"] = "sparse"
    assert spec(path, "train").refusal == spec(path, "test").refusal == "a flattened sparse array"


def test_an_anndata_file(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5ad", tmp_path / "d.h5ad"
    with h5py.File(source, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        for name in ("X", "obsm/X_pca", "obsm/X_umap", "layers/raw"):
            file.create_dataset(name, data=rows_of((60, 5)), chunks=(13, 5), compression="lzf")
            file[name].attrs["encoding-type"] = "array"
        file.create_dataset("obs/_index", data=[f"cell {i}" for i in range(60)])
        file["obs"].attrs["column-order"] = np.array([], h5py.string_dtype())
        file["uns/params/method"] = "arpack"
    rewrite(source, destination, "obsm/X_pca")
    assert_only_values_differ(source, destination, "obsm/X_pca")
    assert_doubled(source, destination, "obsm/X_pca")


def test_a_pandas_store(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    pandas = pytest.importorskip("pandas")
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    frame = pandas.DataFrame(rows_of((30, 4), "<f8"), columns=list("abcd"))
    frame.to_hdf(source, key="frame")
    rewrite(source, destination, "frame/block0_values")
    pandas.testing.assert_frame_equal(pandas.read_hdf(destination, "frame"), frame * 2)


def test_a_user_defined_link_survives(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
        properties.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED)
        group = h5py.Group(h5py.h5g.create(file.id, b"g", gcpl=properties))
        group["x"], group["mark"] = rows_of((50, 4)), h5py.ExternalLink("o.h5", "/q")
        group["z"] = rows_of((50, 4))
    raw = source.read_bytes()
    # Link type 64 is an external link; 80 is anybody's own.
    external, private = (b"\x0c%c\x01\0\0\0\0\0\0\0\x04mark" % variant for variant in (64, 80))
    assert raw.count(external) == 1
    source.write_bytes(raw.replace(external, private))
    for dtype in (None, "float16"):
        rewrite(source, destination, "g/x", dtype=dtype)
        old, new = snapshot(source), snapshot(destination)
        assert new["/g/mark"] == old["/g/mark"] == ("user-defined", 80)
        assert (set(old), old["/g/z"]) == (set(new), new["/g/z"])


def test_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    path.write_text("hello" * 1000)
    with pytest.raises(FormatError, match="not an HDF5 file"):
        Hdf5Reader(path)


def test_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["x"] = rows_of((50, 4))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FormatError, match=f"cut off: it holds 2000 bytes where .* {size}"):
        Hdf5Reader(path)


def test_marked_as_open(tmp_path: Path) -> None:
    path, copy = tmp_path / "s.h5", tmp_path / "c.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = rows_of((50, 4))
        file.swmr_mode = True
        file.flush()
        shutil.copy(path, copy)
    with pytest.raises(FormatError, match=r"marked as open for writing.*h5clear -s FILE"):
        Hdf5Reader(copy)


def test_locked(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    script = "import h5py, sys; f = h5py.File(sys.argv[1], 'w'); print(flush=True); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        with pytest.raises(FormatError, match="HDF5_USE_FILE_LOCKING=FALSE"):
            Hdf5Reader(path)
    finally:
        writer.communicate(b"\n")


def test_damaged_chunks_are_named(tmp_path: Path) -> None:
    for options in ({"compression": "gzip"}, {"fletcher32": True}):
        path = tmp_path / "s.h5"
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("x", data=rows_of((50, 8)), chunks=(10, 8), **options)
            chunk = dataset.id.get_chunk_info(3)
        with path.open("r+b") as raw:
            raw.seek(chunk.byte_offset + 5)
            raw.write(b"\xff\x00" * 20)
        with Hdf5Reader(path) as reader, pytest.raises(FormatError, match="'x', rows 30 to 39"):
            list(reader.batches(reader.arrays(), 10))


def test_a_block_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["x"] = rows_of((100, 8))
        offset = file["x"].id.get_offset()
    raw = path.read_bytes()
    address = offset.to_bytes(8, "little") + (3200).to_bytes(8, "little")
    assert raw.count(address) == 1
    path.write_bytes(raw.replace(address, (offset + 64).to_bytes(8, "little") + address[8:]))
    # HDF5 1.14.6 notices by itself when it opens the dataset.
    refusal = spec(path, "x").refusal
    assert "it claims 3200 bytes from" in refusal or "its bytes don't fit into" in refusal


def test_an_unknown_filter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=rows_of((100, 8)), chunks=(10, 8), shuffle=True)
    raw = path.read_bytes()
    message = b"\x02\x00\x08\x00\x01\x00\x01\x00shuffle\x00"
    assert raw.count(message) == 1
    path.write_bytes(raw.replace(message, b"\xf0\x7f" + message[2:]))
    assert "needs the HDF5 filter 32752 (shuffle), which isn't installed" in spec(path, "x").refusal


def test_a_missing_row_is_no_success(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = rows_of((10, 8))
    with Hdf5Reader(tmp_path / "s.h5") as reader:
        arrays = reader.arrays()
        with reader.writer(tmp_path / "d.h5", {"x": arrays[0]}) as writer:
            batch = next(reader.batches(arrays, 4))
            writer.write(batch)
            with pytest.raises(DestinationError, match="got 4 rows, expected 10"):
                writer.finish()


def test_an_unwritable_destination(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = rows_of((10, 8))
    with pytest.raises(DestinationError, match=r"d\.h5.*No such file or directory"):
        rewrite(tmp_path / "s.h5", tmp_path / "missing" / "d.h5")


HOSTILE = """
import os, random, resource, signal, sys, traceback
from pathlib import Path
from tests.unit.formats.hdf5 import test_rewriting
from l2cli.errors import L2NormError
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
folder, count, test_rewriting._DIRECT = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[4] == "True"
whole, rng = (folder / "s.h5").read_bytes(), random.Random(count)

def attempt():
    for dtype in (None, "float16"):
        try:
            test_rewriting.rewrite(folder / "bad.h5", folder / "d.h5", dtype=dtype)
        except L2NormError as exc:
            assert "\\n" not in str(exc), exc

for number in range(count):
    raw = bytearray(whole)
    if sys.argv[3] == "cut":
        del raw[len(raw) * number // count:]
    else:
        for _ in range(rng.choice((1, 1, 4))):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    (folder / "bad.h5").write_bytes(raw)
    if not (child := os.fork()):
        signal.alarm(20)
        try:
            attempt()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # HDF5 itself may crash; what reads untrusted files does so in a child process.
    assert status <= 0 and status != -signal.SIGALRM, (number, status)
"""


@pytest.mark.parametrize(("variant", "count"), [("cut", 100), ("flip", 150)])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damage_raises_our_errors_only(
    tmp_path: Path, direct: bool, variant: str, count: int, libver: str
) -> None:
    count = count if direct else count // 3  # What reads the headers is the same.
    with h5py.File(tmp_path / "s.h5", "w", libver=libver) as file:
        file.create_dataset("x", data=rows_of((60, 4)), chunks=(20, 4), compression="gzip")
        file["y"] = rows_of((10, 4))
        file["x"].attrs["names"] = np.array(["a", "b"], object)
        file["group/soft"] = h5py.SoftLink("/x")
    root = Path(__file__).parents[4]
    script = [sys.executable, "-c", HOSTILE, str(tmp_path), str(count), variant, str(direct)]
    result = subprocess.run(
        script, cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "HDF5-DIAG" not in result.stderr
