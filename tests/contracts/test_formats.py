"""Each format keeps the contract: how its own library writes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.contracts.formats import NAME, Array, FormatContract

if TYPE_CHECKING:
    from pathlib import Path


class TestNpy(FormatContract):
    suffix = ".npy"
    holds_several = False

    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        np.save(path, arrays[NAME])

    def load(self, path: Path) -> dict[str, Array]:
        return {NAME: np.load(path)}


class TestNpz(FormatContract):
    suffix = ".npz"

    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        np.savez_compressed(path, allow_pickle=False, **arrays)

    def load(self, path: Path) -> dict[str, Array]:
        with np.load(path) as archive:
            return dict(archive)


class TestHdf5(FormatContract):
    suffix = ".h5"

    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array

    def load(self, path: Path) -> dict[str, Array]:
        with h5py.File(path) as file:
            return {name: file[name][()] for name in file}


class TestParquet(FormatContract):
    suffix = ".parquet"

    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        pq.write_table(table_of(arrays), path, row_group_size=10)

    def load(self, path: Path) -> dict[str, Array]:
        return arrays_of(pq.read_table(path))


class TestArrow(FormatContract):
    suffix = ".arrow"

    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        table = table_of(arrays)
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=10)

    def load(self, path: Path) -> dict[str, Array]:
        return arrays_of(pa.ipc.open_file(path.read_bytes()).read_all())


class TestArrowStream(FormatContract):
    suffix = ".arrows"

    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        table = table_of(arrays)
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=10)

    def load(self, path: Path) -> dict[str, Array]:
        return arrays_of(pa.ipc.open_stream(path.read_bytes()).read_all())


def table_of(arrays: dict[str, Array]) -> Any:
    """Return a table with a column for each array, of lists where it has two axes."""
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
        if array.ndim > 1
        else pa.array(array)
        for name, array in arrays.items()
    }
    return pa.table(columns)


def arrays_of(table: Any) -> dict[str, Array]:
    """Return the columns of a table as arrays."""
    arrays = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            dim = column.type.list_size
            arrays[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        else:
            arrays[name] = column.to_numpy(zero_copy_only=False)
    return arrays
