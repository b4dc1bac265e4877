"""Peak memory of the whole command: ``python -m benchmarks.figures.memory FOLDER``.

Makes files of 0.6 and 2.4 GB of each format in FOLDER, one after the other, normalizes each and
prints the largest resident size of the processes. FOLDER wants 5 GB; ``/dev/shm`` is quick.
"""

from __future__ import annotations

import sys
import tempfile
from multiprocessing import Process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import L2NORM, PIPE, Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIM = 768
SIZES = (200_000, 800_000)
_BLOCK = np.random.default_rng(0).standard_normal((10_000, DIM)).astype("f4")


def _blocks(num_rows: int) -> Iterator[tuple[int, int]]:
    return ((i, min(i + len(_BLOCK), num_rows)) for i in range(0, num_rows, len(_BLOCK)))


def _npy(path: Path, num_rows: int, order: bool = False) -> None:
    array = np.lib.format.open_memmap(path, "w+", "f4", (num_rows, DIM), fortran_order=order)
    for i, j in _blocks(num_rows):
        array[i:j] = _BLOCK[: j - i]


def _npy_fortran(path: Path, num_rows: int) -> None:
    _npy(path, num_rows, order=True)


def _hdf5(path: Path, num_rows: int, **storage: Any) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("emb", (num_rows, DIM), "f4", **storage)
        for i, j in _blocks(num_rows):
            dataset[i:j] = _BLOCK[: j - i]


def _hdf5_lzf(path: Path, num_rows: int) -> None:
    _hdf5(path, num_rows, chunks=(1000, DIM), compression="lzf")


def _parquet(path: Path, num_rows: int, fixed: bool = False) -> None:
    values = pa.array(np.concatenate([_BLOCK[: j - i].ravel() for i, j in _blocks(num_rows)]))
    if fixed:
        rows = pa.FixedSizeListArray.from_arrays(values, DIM)
    else:
        offsets = np.arange(num_rows + 1, dtype="i4") * DIM
        rows = pa.ListArray.from_arrays(offsets, values)
    pq.write_table(pa.table({"emb": rows}), path, row_group_size=num_rows, use_dictionary=False)


def _parquet_fixed(path: Path, num_rows: int) -> None:
    _parquet(path, num_rows, fixed=True)


FILES: dict[str, tuple[str, Callable[[Path, int], None], str]] = {
    "npy": ("x.npy", _npy, L2NORM),
    "npy through a pipe": ("x.npy", _npy, PIPE),
    "npy, Fortran order": ("x.npy", _npy_fortran, L2NORM),
    "HDF5, contiguous": ("x.h5", _hdf5, L2NORM),
    "HDF5, chunks of 1,000 rows, lzf": ("x.h5", _hdf5_lzf, L2NORM),
    "Parquet, list, one row group": ("x.parquet", _parquet, L2NORM),
    "Parquet, fixed_size_list, one row group": ("x.parquet", _parquet_fixed, L2NORM),
}


def _make(make: Callable[[Path, int], None], source: Path, num_rows: int) -> None:
    """Make a file in a process of its own: what that takes is none of the figure."""
    process = Process(target=make, args=(source, num_rows))
    process.start()
    process.join()


def main(parent: str) -> None:
    """Print the table."""
    print("| | 0.6 GB | 2.4 GB | difference |\n|---|---|---|---|")
    for file, (name, make, line) in FILES.items():
        peaks = []
        for num_rows in SIZES:
            with tempfile.TemporaryDirectory(dir=parent) as folder:
                source = Path(folder, name)
                _make(make, source, num_rows)
                command = Command(line, source, suffix=source.suffix)
                peaks.append(command.run(source, Path(folder)).megabytes)
        small, large = peaks
        print(f"| {file} | {small:.0f} MB | {large:.0f} MB | {large - small:+.0f} MB |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
