"""The good files that mutants are made of: every format and layout, small, the vectors alike."""

from __future__ import annotations

import functools
import io
import random
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from h5py import h5f, h5p

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUM_ROWS, DIM = 20, 8
"""The same in all, since the backend compiles for each length of a row."""
_NAME = "embedding"
_CODECS = ("none", "snappy", "gzip", "brotli", "lz4", "zstd")


@dataclass(frozen=True)
class Seed:
    """One good file.

    Attributes
    ----------
    options
        What it takes to normalize it.
    """

    name: str
    suffix: str
    content: bytes
    options: dict[str, Any] = field(default_factory=dict)


@functools.cache
def seeds() -> tuple[Seed, ...]:
    """Return all of them, always in the same order."""
    return (*_npy(), *_npz(), *_hdf5(), *_parquet(), *_arrow())


def _rows(dtype: Any = "f4") -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(NUM_ROWS, DIM)).astype(dtype)


def _saved(write: Callable[[io.BytesIO], Any]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _npy_bytes(array: np.ndarray[Any, Any], version: tuple[int, int] = (1, 0)) -> bytes:
    return _saved(lambda stream: np.lib.format.write_array(stream, array, version=version))


def _npy() -> Iterator[Seed]:
    for major in (1, 2, 3):
        yield Seed(f"npy version {major}", ".npy", _npy_bytes(_rows(), (major, 0)))
    for dtype in ("f2", "f8", ">f4"):
        yield Seed(f"npy {dtype}", ".npy", _npy_bytes(_rows(dtype)))
    yield Seed("npy Fortran", ".npy", _npy_bytes(np.asfortranarray(_rows())))
    yield Seed("npy one vector", ".npy", _npy_bytes(_rows()[0]))
    bfloat16 = _rows(ml_dtypes.bfloat16).view("V2")
    yield Seed("npy bfloat16", ".npy", _npy_bytes(bfloat16), {"dtype": "bfloat16"})
    records = np.zeros(NUM_ROWS, [("id", "i4"), (_NAME, "f4", DIM)])
    records[_NAME] = _rows()
    yield Seed("npy records", ".npy", _npy_bytes(records))
    several = _npy_bytes(_rows()) + _npy_bytes(_rows()[:3])
    yield Seed("npy two arrays", ".npy", several, {"select": ("*",)})


def _npz() -> Iterator[Seed]:
    others: dict[str, Any] = {"ids": np.arange(NUM_ROWS), "names": np.array(["a", "bb"] * 10)}
    yield Seed("npz", ".npz", _saved(lambda to: np.savez(to, embedding=_rows(), **others)))
    yield Seed(
        "npz deflate",
        ".npz",
        _saved(lambda to: np.savez_compressed(to, **others, embedding=_rows())),
    )
    yield Seed(
        "npz Fortran", ".npz", _saved(lambda to: np.savez(to, embedding=np.asfortranarray(_rows())))
    )
    yield Seed("npz with text", ".npz", _saved(_write_mixed_zip))


def _write_mixed_zip(stream: io.BytesIO) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in (("README", b"text"), (f"{_NAME}.npy", _npy_bytes(_rows("f8")))):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_BZIP2)
        archive.comment = b"a comment"


def _hdf5() -> Iterator[Seed]:
    chunked: dict[str, Any] = {"chunks": (7, DIM)}
    layouts: dict[str, dict[str, Any]] = {
        "contiguous": {},
        "chunked": chunked,
        "unlimited": {**chunked, "maxshape": (None, DIM)},
        "gzip": {**chunked, "compression": "gzip", "shuffle": True},
        "lzf": {**chunked, "compression": "lzf", "fletcher32": True},
        "columns": {"chunks": (20, 3), "compression": "gzip"},
    }
    for libver in ("earliest", "latest"):
        for layout, options in layouts.items():
            content = _hdf5_bytes(libver, options)
            yield Seed(f"HDF5 {layout} {libver}", ".h5", content)


def _hdf5_bytes(libver: str, options: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.h5")
        with _created_hdf5(path, libver) as file:
            dataset = file.create_dataset(_NAME, data=_rows(), **options)
            dataset.attrs["unit"] = "none"
            dataset.attrs["scale"] = np.arange(3.0)
            file["ids"] = np.arange(NUM_ROWS)
            file["names"] = ["a", "bb", "ccc"]
            file["alias"] = file["ids"]
            file["soft"] = h5py.SoftLink("/ids")
            file["outside"] = h5py.ExternalLink("other.h5", "/x")
            if libver == "earliest":
                file.create_group("group")["x"] = 1.5
        return path.read_bytes()


def _created_hdf5(path: Path, libver: str) -> h5py.File:
    """Create a file that keeps no time, so that its bytes are always the same."""
    access, creation = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
    low = {"earliest": h5f.LIBVER_EARLIEST, "latest": h5f.LIBVER_LATEST}[libver]
    access.set_libver_bounds(low, h5f.LIBVER_LATEST)
    creation.set_obj_track_times(False)
    return h5py.File(h5f.create(bytes(path), h5f.ACC_TRUNC, creation, access))


def _lists(variant: Any, nulls: bool = False) -> pa.Array:
    values: list[Any] = _rows(variant.value_type.to_pandas_dtype()).tolist()
    if nulls:
        values[3] = values[19] = None
    return pa.array(values, variant)


def _table(column: Any) -> pa.Table:
    words = pa.array(["a", "b", None, "d"] * 5)
    columns = {"id": list(range(NUM_ROWS)), "word": words, _NAME: column}
    return pa.table(columns).replace_schema_metadata({"key": "value"})


def _columns() -> dict[str, Any]:
    float32 = pa.float32()
    return {
        "list": _lists(pa.list_(float32)),
        "large_list": _lists(pa.large_list(float32)),
        "fixed_size_list": _lists(pa.list_(float32, DIM)),
        "list of nulls": _lists(pa.list_(float32), nulls=True),
        "fixed_size_list of nulls": _lists(pa.list_(float32, DIM), nulls=True),
        "float64": _lists(pa.list_(pa.float64())),
        "halffloat": _lists(pa.list_(pa.float16())),
    }


def _parquet() -> Iterator[Seed]:
    for name, column in _columns().items():
        yield _parquet_seed(name, _table(column), compression="none", use_dictionary=False)
    lists = _table(_columns()["list of nulls"])
    for codec in _CODECS:
        yield _parquet_seed(codec, lists, compression=codec, row_group_size=7)
    yield _parquet_seed("dictionary", lists, use_dictionary=True)
    yield _parquet_seed("page version 2", lists, data_page_version="2.0", use_dictionary=False)
    yield _parquet_seed("page index", lists, write_page_index=True, write_page_checksum=True)
    yield _parquet_seed("pages", lists, data_page_size=64, use_dictionary=False)
    wide = pa.table({f"dim_{number}": column for number, column in enumerate(_rows().T)})
    content = _saved(lambda stream: pq.write_table(wide, stream))
    yield Seed("Parquet wide", ".parquet", content, {"select": ("dim_*",)})
    yield from _polars()


def _parquet_seed(name: str, table: pa.Table, **options: Any) -> Seed:
    content = _saved(lambda stream: pq.write_table(table, stream, **options))
    return Seed(f"Parquet {name}", ".parquet", content)


def _polars() -> Iterator[Seed]:
    import polars

    frame = polars.DataFrame({_NAME: _rows().tolist(), "word": ["a", "bb"] * 10})
    frame = frame.with_columns(polars.col(_NAME).cast(polars.List(polars.Float32)))
    yield Seed("Parquet by polars", ".parquet", _saved(frame.write_parquet))
    array = frame.with_columns(polars.col(_NAME).cast(polars.Array(polars.Float32, DIM)))
    yield Seed("Arrow by polars", ".arrow", _saved(array.write_ipc))


def _arrow() -> Iterator[Seed]:
    for name, column in _columns().items():
        yield Seed(f"Arrow {name}", ".arrow", _arrow_bytes(_table(column), pa.ipc.new_file))
    table = _table(_columns()["list of nulls"])
    words = table["word"].dictionary_encode()
    encoded = table.set_column(1, "word", words)
    yield Seed("Arrow dictionary", ".arrow", _arrow_bytes(encoded, pa.ipc.new_file))
    yield Seed("Arrow stream", ".arrows", _arrow_bytes(table, pa.ipc.new_stream))
    yield Seed("Arrow stream dictionary", ".arrows", _arrow_bytes(encoded, pa.ipc.new_stream))
    for codec in ("lz4", "zstd"):
        options = pa.ipc.IpcWriteOptions(compression=codec)
        content = _arrow_bytes(table, pa.ipc.new_file, options=options)
        yield Seed(f"Arrow {codec}", ".arrow", content)
    content = _saved(lambda stream: pyarrow.feather.write_feather(table, stream))
    yield Seed("Arrow feather", ".feather", content)


def _arrow_bytes(table: pa.Table, opened: Any, **options: Any) -> bytes:
    def write(stream: io.BytesIO) -> None:
        with opened(stream, table.schema, **options) as writer:
            writer.write_table(table, max_chunksize=8)

    return _saved(write)


def generator(seed: int, index: int) -> random.Random:
    """Return what decides about mutant ``index`` of ``seed``."""
    return random.Random(f"{seed}/{index}")
