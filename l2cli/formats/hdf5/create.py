"""A new HDF5 file of contiguous datasets.

Conversions to HDF5 use it, and know no datatype or property of HDF5.
"""

from __future__ import annotations

from contextlib import suppress
from typing import IO, TYPE_CHECKING

import h5py

from l2cli.formats.create import NewFileWriter
from l2cli.formats.hdf5.errors import writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch


class NewHdf5Writer(NewFileWriter):
    """A new HDF5 file. A dataset is made when its first rows arrive, whose length it has."""

    format_name = "HDF5"

    def __init__(self, target: Path | IO[bytes], outputs: Mapping[str, ArraySpec]) -> None:
        super().__init__(target, outputs)
        self._target = target
        self._datasets: dict[str, h5py.Dataset] = {}
        with writing(f"can't write {target}"):
            self._file = h5py.File(target, "w")

    @classmethod
    def refusal(cls, output: ArraySpec) -> str:
        """Return why HDF5 can't hold an array; empty where it can."""
        if output.dtype == "bfloat16":
            return "HDF5 can't hold bfloat16; use `dtype='float16'` or `dtype='float32'`"
        return ""

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        self.check(batch)
        if len(batch.rows):
            with writing(f"can't write {self._target}: {batch.array.label}"):
                dataset = self._dataset(batch.array.name)
                dataset[batch.start : batch.start + len(batch.rows)] = batch.rows

    def finish(self) -> None:
        """Make the datasets that got no rows, and close the file."""
        with writing(f"can't write {self._target}"):
            for name in self.outputs:
                self._dataset(name)
            self._file.close()

    def close(self) -> None:
        """Close the file, finished or not."""
        # An unfinished file is thrown away: errors while it is closed are of no interest.
        with suppress(OSError, RuntimeError, ValueError):
            self._file.close()

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self._datasets:
            array = self.settled(name)
            self._datasets[name] = self._file.create_dataset(array.name, array.shape, array.dtype)
        return self._datasets[name]
