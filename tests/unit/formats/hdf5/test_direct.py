"""HDF5 past HDF5: runs of bytes, and chunks coded outside its lock. Checked with h5py and zlib."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2cli.errors import FormatError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.formats.hdf5.direct.chunks import codec_to_read
from l2cli.formats.hdf5.direct.codec import Codec
from tests.support.assertions import assert_doubled
from tests.unit.formats.hdf5.test_rewriting import (
    SEED,
    assert_not_grown,
    assert_only_values_differ,
    rewrite,
    rows_of,
)

if TYPE_CHECKING:
    from l2cli.arrays import Batch

    Array = np.ndarray[Any, Any]
    Options = dict[str, Any]

GZIP: Options = {"compression": "gzip", "shuffle": True}


def is_bypassed(path: Path) -> bool:
    with h5py.File(path) as file:
        return codec_to_read(file["x"].id) is not None


def planes(chunk: Array) -> bytes:
    """Return the bytes of ``chunk`` as HDF5's shuffle puts them."""
    return chunk.reshape(-1, 1).view(np.uint8).T.tobytes()


@pytest.mark.parametrize("userblock_size", [0, 512])
@pytest.mark.parametrize("dtype", ["<f4", ">f2"])
def test_a_run_of_bytes_is_all_that_changes(
    tmp_path: Path, userblock_size: int, dtype: str
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    rows = rows_of((500, 32), dtype)
    with h5py.File(source, "w", userblock_size=userblock_size) as file:
        for name in ("before", "x", "after"):
            file[name] = rows
        offset = file["x"].id.get_offset()
    whole = source.read_bytes()
    assert whole[offset : offset + rows.nbytes] == rows.tobytes()
    rewrite(source, destination, "x", batch_size=70)
    doubled = (rows * rows.dtype.type(2)).astype(dtype).tobytes()
    expected = whole[:offset] + doubled + whole[offset + rows.nbytes :]
    assert destination.read_bytes() == expected


def test_what_has_no_place_behind_a_user_block_gets_none(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w", userblock_size=512) as file:
        file.create_dataset("x", (1000, 64), "f4")
        file["after"] = np.arange(9)
    rewrite(source, destination, "x")
    assert destination.read_bytes() == source.read_bytes()


def test_a_link_back_into_the_file_leaves_the_source_alone(tmp_path: Path) -> None:
    for options in ({}, {"chunks": (20, 8), **GZIP}):
        source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
        with h5py.File(source, "w") as file:
            file.create_dataset("x", data=rows_of((90, 8)), **options)
            file["link"] = h5py.ExternalLink("s.h5", "/x")
        before = source.read_bytes()
        rewrite(source, destination, "link", allow_external=True)
        assert source.read_bytes() == before
        with h5py.File(source) as old, h5py.File(destination) as new:
            assert isinstance(new.get("link", getlink=True), h5py.HardLink)
            np.testing.assert_array_equal(new["x"][()], old["x"][()])
            np.testing.assert_array_equal(new["link"][()], old["x"][()] * 2)


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["x"] = rows_of((500, 32))
    with Hdf5Reader(path) as reader:
        batches = reader.batches(reader.arrays(), 100)
        next(batches)
        os.truncate(path, path.stat().st_size - 32 * 4 * 350)
        with pytest.raises(FormatError, match=r"s\.h5 became shorter while it was read"):
            list(batches)


def test_room_is_found_for_runs_of_bytes_alone(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file["x"], file["y"] = rows_of((500, 32)), rows_of((50, 32))
        file.create_dataset("z", data=rows_of((500, 32)), chunks=(70, 12), **GZIP)
    with Hdf5Reader(source) as reader:
        arrays = reader.arrays()
        with reader.writer(destination, {array.name: array for array in arrays}) as writer:
            assert [writer.reserve() for _ in range(3)] == [True, True, False]
            for batch in reader.batches(arrays, None):
                writer.write(replace(batch, rows=batch.rows * 2))
            writer.finish()
    assert_doubled(source, destination, "x", "y", "z")
    assert_only_values_differ(source, destination, "x", "y", "z")


LAYOUTS = {
    "whole rows": ((500, 32), (64, 32)),
    "split rows": ((500, 32), (70, 12)),
    "one chunk": ((50, 3), (50, 3)),
    "longer than the rows": ((50, 3), (64, 8)),
    "a chunk to a row": ((40, 16), (1, 16)),
    "rank 1": ((501,), (64,)),
    "rank 3": ((50, 6, 7), (7, 4, 3)),
}


@pytest.mark.parametrize(("shape", "chunks"), LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_chunks_of_any_shape(
    tmp_path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, shuffle: bool
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    options = GZIP | {"chunks": chunks, "shuffle": shuffle, "maxshape": (None,) * len(shape)}
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=rows_of(shape, dtype), **options)
    assert is_bypassed(source)
    for batch_size in (1, 7, 128, None):
        rewrite(source, destination, batch_size=batch_size)
        assert_only_values_differ(source, destination, "x")
        assert_doubled(source, destination, "x")
        assert_not_grown(source, destination, "x")


def test_many_blocks_are_read_in_order(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        options = {"chunks": (100, 300), **GZIP, "compression_opts": 1}
        file.create_dataset("x", data=rows_of((9_000, 400)), **options)
    rewrite(source, destination)
    assert_doubled(source, destination, "x")


@pytest.mark.parametrize("fill", [None, -1.5])
@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_a_dataset_that_grows_shows_its_fill_value(
    tmp_path: Path, fill: float | None, dtype: str
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        options = {"chunks": (64, 20), "maxshape": (None, None), **GZIP}
        file.create_dataset("x", data=rows_of((100, 32), dtype), fillvalue=fill, **options)
    rewrite(source, destination)
    with h5py.File(destination, "r+") as file:
        file["x"].resize((128, 40))
        assert (file["x"][100:] == (fill or 0)).all()
        assert (file["x"][:, 32:] == (fill or 0)).all()


@pytest.mark.parametrize("skipped", [0, 1, 2, 3])
def test_filters_that_a_chunk_did_not_go_through(tmp_path: Path, skipped: int) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    rows = rows_of((20, 8))
    stored = rows.tobytes() if skipped & 1 else planes(rows)
    with h5py.File(source, "w") as file:
        dataset = file.create_dataset("x", (40, 8), "<f4", chunks=(20, 8), **GZIP)
        dataset[20:] = rows
        stored = stored if skipped & 2 else zlib.compress(stored)
        dataset.id.write_direct_chunk((0, 0), stored, skipped)
    with h5py.File(source) as file:
        assert file["x"][:20].tobytes() == rows.tobytes()
    assert is_bypassed(source)
    rewrite(source, destination)
    assert_doubled(source, destination, "x")


@pytest.mark.parametrize("optional", [True, False])
def test_noise_is_stored_without_deflate_where_that_is_allowed(
    tmp_path: Path, optional: bool
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    noise = np.random.default_rng(SEED).integers(0, 2**16, (2000, 16), np.uint16)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1000, 16))
    flags = h5py.h5z.FLAG_OPTIONAL if optional else h5py.h5z.FLAG_MANDATORY
    properties.set_filter(h5py.h5z.FILTER_DEFLATE, flags, (4,))
    space = h5py.h5s.create_simple((2000, 16))
    with h5py.File(source, "w") as file:
        variant = h5py.h5t.STD_U16LE
        made = h5py.Dataset(h5py.h5d.create(file.id, b"x", variant, space, properties))
        made[...] = noise
    with Hdf5Reader(source) as reader:
        (array,) = reader.arrays()
        with reader.writer(destination, {"x": array}) as writer:
            for batch in reader.batches([array], None):
                writer.write(batch)
            writer.finish()
    with h5py.File(source) as old, h5py.File(destination) as new:
        assert old["x"][()].tobytes() == new["x"][()].tobytes() == noise.tobytes()
        masks = [new["x"].id.get_chunk_info(index).filter_mask for index in range(2)]
        assert masks == [int(optional)] * 2


def _with_plain_edges(file: h5py.File, rows: Array) -> None:
    """Make a dataset whose chunks at the edges go through no filter, which h5py can't ask for."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    library = next((line.split()[-1] for line in lines if "h5py.libs/libhdf5-" in line), None)
    if library is None:
        pytest.skip("h5py's own HDF5 isn't found")
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((64, 12))
    properties.set_shuffle()
    properties.set_deflate(4)
    set_options = ctypes.CDLL(library).H5Pset_chunk_opts
    assert set_options(ctypes.c_int64(properties.id), ctypes.c_uint(2)) == 0
    space = h5py.h5s.create_simple(rows.shape)
    made = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, properties)
    h5py.Dataset(made)[...] = rows


@pytest.mark.parametrize(("dim", "kept"), [(32, None), (24, None), (24, 20)])
def test_edges_without_filters_are_left_to_hdf5(tmp_path: Path, dim: int, kept: int | None) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    rows = rows_of((640, dim))
    with h5py.File(source, "w", libver="latest") as file:
        _with_plain_edges(file, rows)
    assert is_bypassed(source) == (dim == 24)
    rewrite(source, destination, dim=kept)
    with h5py.File(destination) as file:
        assert file["x"][()].tobytes() == (rows[:, :kept] * 2).tobytes()


LEFT_TO_HDF5: dict[str, Options] = {
    "contiguous": {},
    "plain": {"chunks": (64, 8)},
    "shuffle alone": {"chunks": (64, 8), "shuffle": True},
    "lzf": {"chunks": (64, 8), "compression": "lzf", "shuffle": True},
    "fletcher32": {"chunks": (64, 8), "fletcher32": True, **GZIP},
    "no rows": {"chunks": (64, 8), "shape": (0, 32), "maxshape": (None, 32), **GZIP},
    "unstored": {"chunks": (64, 8), "shape": (500, 32), **GZIP},
}


@pytest.mark.parametrize("options", LEFT_TO_HDF5.values(), ids=LEFT_TO_HDF5)
def test_what_is_left_to_hdf5(tmp_path: Path, options: Options) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        if "shape" in options:
            dataset = file.create_dataset("x", dtype="f4", **options)
            dataset[: dataset.shape[0] // 2] = 1.5
        else:
            file.create_dataset("x", data=rows_of((500, 32)), **options)
    assert not is_bypassed(source)
    rewrite(source, destination)
    assert_only_values_differ(source, destination, "x")
    assert_doubled(source, destination, "x")


def test_deflate_before_shuffle_is_left_to_hdf5(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((64, 8))
    properties.set_deflate(4)
    properties.set_shuffle()
    space = h5py.h5s.create_simple((500, 32))
    with h5py.File(source, "w") as file:
        made = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, properties)
        h5py.Dataset(made)[...] = rows_of((500, 32))
    assert not is_bypassed(source)
    rewrite(source, destination)
    assert_doubled(source, destination, "x")


def test_a_shuffle_of_another_length_is_left_to_hdf5(tmp_path: Path) -> None:
    source = tmp_path / "s.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=rows_of((500, 32)), chunks=(64, 8), **GZIP)
    raw, parameter = source.read_bytes(), b"shuffle\x00\x04"
    assert raw.count(parameter) == 1
    source.write_bytes(raw.replace(parameter, b"shuffle\x00\x02"))
    with h5py.File(source) as file:
        rows = file["x"][()]
    with Hdf5Reader(source) as reader:
        read = [batch.rows for batch in reader.batches(reader.arrays(), None)]
    assert np.concatenate(read).tobytes() == rows.tobytes() != rows_of((500, 32)).tobytes()


def test_a_file_that_hdf5_keeps_in_memory(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        file["x"] = rows_of((500, 32))
    script = (
        "import sys; from pathlib import Path;"
        "from tests.unit.formats.hdf5.test_rewriting import rewrite;"
        "rewrite(*map(Path, sys.argv[1:]))"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(source), str(destination)],
        cwd=Path(__file__).parents[4], env={**os.environ, "HDF5_DRIVER": "core"}, check=True,
    )  # fmt: skip
    assert_only_values_differ(source, destination, "x")
    assert_doubled(source, destination, "x")


def test_damaged_chunks_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    damages = {
        zlib.compress(bytes(640))[
            :-9
        ]: r"rows 10 to 19: it is damaged \(a chunk can't be decompressed: ",
        zlib.compress(
            bytes(64)
        ): r"rows 10 to 19: it is damaged \(a chunk holds 64 bytes, expected 320\)",
    }
    for stored, message in damages.items():
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=rows_of((50, 8)), chunks=(10, 8), **GZIP)
            file["x"].id.write_direct_chunk((10, 0), stored)
        with Hdf5Reader(path) as reader, pytest.raises(FormatError, match=message):
            list(reader.batches(reader.arrays(), 10))


VARIANTS: dict[str, Options] = {
    "contiguous": {},
    "gzip": {"chunks": (50, 32), **GZIP, "compression_opts": 1},
    "split rows": {"chunks": (70, 12), **GZIP, "compression_opts": 1},
    "lzf": {"chunks": (50, 32), "compression": "lzf"},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_one_thread_reads_while_another_writes(tmp_path: Path, options: Options) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        for name in ("a", "b"):
            file.create_dataset(name, data=rows_of((10_000, 32)), **options)
    batches: SimpleQueue[Batch | None] = SimpleQueue()
    with Hdf5Reader(source) as reader:
        arrays = reader.arrays()

        def read() -> None:
            for batch in reader.batches(arrays, 130):
                batches.put(batch)
            batches.put(None)

        with reader.writer(destination, {array.name: array for array in arrays}) as writer:
            thread = threading.Thread(target=read)
            thread.start()
            while batch := batches.get():
                writer.write(replace(batch, rows=batch.rows * 2))
            writer.finish()
            thread.join()
    assert_doubled(source, destination, "a", "b")


@given(
    st.integers(1, 40), st.integers(1, 9), st.sampled_from([1, 2, 4, 8]),
    st.booleans(), st.integers(0, 9), st.integers(0, 255), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_what_is_encoded_is_what_hdf5_decodes(
    num_rows: int, dim: int, itemsize: int, shuffle: bool, level: int, top: int, seed: int
) -> None:
    chunk = np.random.default_rng(seed).integers(0, top + 1, (num_rows, dim, itemsize), np.uint8)
    codec = Codec((num_rows, dim), itemsize, shuffle, level, optional=True)
    stored, skipped = codec.encode(chunk)
    flat = planes(chunk.view(f"V{itemsize}")) if shuffle else chunk.tobytes()
    assert (stored if skipped else zlib.decompress(stored)) == flat
    assert len(stored) <= len(flat)
    np.testing.assert_array_equal(codec.decode(stored, skipped), chunk)


def unit(rows: Array) -> Array:
    norms = np.sqrt((rows.astype("f8") ** 2).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.maximum(norms, 1e-6), rows.dtype)


def sparse(rows: Array) -> Array:
    return np.where(np.random.default_rng(1).random(rows.shape) < 0.1, rows, rows.dtype.type(0))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("variant", ["normal", "repeated", "sparse", "zeros"])
def test_chunks_are_no_longer_than_zlib_makes_them(variant: str, dtype: str, shuffle: bool) -> None:
    rows = unit(rows_of((200, 384), dtype))
    rows = {
        "normal": rows,
        "repeated": np.repeat(rows[:20], 10, axis=0),
        "sparse": unit(sparse(rows)),
        "zeros": np.zeros_like(rows),
    }[variant]
    codec = Codec(rows.shape, rows.itemsize, shuffle, 9, optional=True)
    stored, _ = codec.encode(rows.view(np.uint8).reshape(*rows.shape, rows.itemsize))
    flat = planes(rows) if shuffle else rows.tobytes()
    assert len(stored) <= 1.005 * len(zlib.compress(flat, 9))


def test_real_vectors_take_no_more_room(tmp_path: Path) -> None:
    sample = np.load(Path(__file__).parents[4] / "sample_data" / "glove-50d.npy")
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w") as file:
        options = {"chunks": (500, 50), **GZIP, "compression_opts": 9}
        file.create_dataset("x", data=sample, **options)
    rewrite(source, destination)
    with h5py.File(source) as old, h5py.File(destination) as new:
        assert new["x"].id.get_storage_size() <= old["x"].id.get_storage_size()
        assert new["x"].compression_opts == 9


def test_integers_are_read_past_hdf5_too(tmp_path: Path) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    values = np.random.default_rng(0).integers(-(2**40), 2**40, (90, 8))
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=values.astype(">i8"), chunks=(20, 3), **GZIP)
        file["y"] = values.astype(">i8")
    with Hdf5Reader(source) as reader:
        arrays = reader.arrays()
        outputs = {array.name: replace(array, dtype="float64") for array in arrays}
        with reader.writer(destination, outputs) as writer:
            for batch in reader.batches(arrays, 7):
                assert batch.rows.dtype == np.int64
                writer.write(replace(batch, rows=batch.rows.astype("f8")))
            writer.finish()
    with h5py.File(destination) as file:
        for name in ("x", "y"):
            assert file[name].dtype == np.dtype(">f8")
            np.testing.assert_array_equal(file[name][()], values)
