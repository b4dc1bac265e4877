"""The files that are normalized: random vectors of 768 components, in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIM = 768
_BLOCK_ROWS = 10_000


def make_npy(path: Path, num_rows: int, dtype: str = "f4") -> None:
    """Write an ``.npy``."""
    array = np.lib.format.open_memmap(path, "w+", dtype, (num_rows, DIM))
    for start, block in _blocks(num_rows):
        array[start : start + len(block)] = block


def make_contiguous(path: Path, num_rows: int) -> None:
    """Write HDF5 with one contiguous dataset."""
    _make_hdf5(path, num_rows)


def make_gzipped(path: Path, num_rows: int) -> None:
    """Write HDF5 with one dataset in chunks of 128 rows, shuffled, at gzip level 4."""
    chunks = min(128, num_rows), DIM
    _make_hdf5(path, num_rows, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True)


def make_list(path: Path, num_rows: int) -> None:
    """Write Parquet with a column ``list<float>``, in row groups of 10,000, with snappy."""
    _make_parquet(path, num_rows, pa.list_(pa.float32()))


def make_fixed(path: Path, num_rows: int) -> None:
    """Write Parquet with a column ``fixed_size_list<float>``, else the same."""
    _make_parquet(path, num_rows, pa.list_(pa.float32(), DIM))


def make_store(path: Path, num_shards: int, num_rows: int) -> None:
    """Write a folder of ``.npy`` shards."""
    path.mkdir()
    for index in range(num_shards):
        make_npy(path / f"shard_{index}.npy", num_rows)


def _make_hdf5(path: Path, num_rows: int, **storage: Any) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("embeddings", (num_rows, DIM), "f4", **storage)
        for start, block in _blocks(num_rows):
            dataset[start : start + len(block)] = block


def _make_parquet(path: Path, num_rows: int, list_type: Any) -> None:
    schema = pa.schema({"id": pa.int64(), "embedding": list_type})
    with pq.ParquetWriter(path, schema, use_dictionary=["id"]) as writer:
        for start, block in _blocks(num_rows):
            offsets = np.arange(0, block.size + 1, DIM, dtype="i4")
            values = pa.array(block.ravel())
            rows = (
                pa.FixedSizeListArray.from_arrays(values, DIM)
                if pa.types.is_fixed_size_list(list_type)
                else pa.ListArray.from_arrays(offsets, values)
            )
            numbers = pa.array(np.arange(start, start + len(block)))
            writer.write_table(pa.table([numbers, rows.cast(list_type)], schema))


def _blocks(num_rows: int) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    generator = np.random.default_rng(0)
    for start in range(0, num_rows, _BLOCK_ROWS):
        shape = min(_BLOCK_ROWS, num_rows - start), DIM
        yield start, generator.standard_normal(shape, "f4")
