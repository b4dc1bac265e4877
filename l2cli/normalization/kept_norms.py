"""The norms that rows had before they were normalized, kept so that lengths can be restored."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import OptionError
from l2cli.filesystem.atomic import temporary_file

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch

    Array = np.ndarray[Any, Any]


_FILLED_ROWS = 2**16


class KeptNorms(contextlib.ExitStack):
    """The norms of the rows of some arrays, each array's in an ``.npy`` that is gone at the end.

    Parameters
    ----------
    arrays
        Whose norms will come, and the axes that a vector of each lies along.

    Raises
    ------
    OptionError
        Where it isn't known how many vectors a row has.
    """

    def __init__(self, arrays: list[tuple[ArraySpec, tuple[int, ...]]]) -> None:
        super().__init__()
        self._files: dict[str, NormsFile] = {}
        self._whole: dict[str, Path] = {}
        for array, axes in arrays:
            shape = [length for axis, length in enumerate(array.shape) if axis not in axes][1:]
            if None in shape:
                raise OptionError(
                    f"{array.label} has several vectors a row, not as many in each, so their norms "
                    "make no array; they can't be kept"
                )
            path = self.enter_context(temporary_file(named=True))
            self._files[array.name] = NormsFile(path, tuple(length or 0 for length in shape))

    def add(self, batch: Batch) -> None:
        """Take in the norms of a batch, if it is of one of the arrays."""
        if batch.array.name in self._files:
            self._files[batch.array.name].add(batch)

    def put(self, name: str, norms: Array) -> None:
        """Take in the norms of an array all at once: they are not one for each of its rows."""
        path = self.enter_context(temporary_file(named=True))
        with path.open("wb") as file:
            np.lib.format.write_array(file, norms)
        self._whole[name] = path

    def finish(self, num_rows: dict[str, int]) -> dict[str, Path]:
        """Return the file of each array, which has so many rows, null rows included."""
        found = {name: file.finish(num_rows[name]) for name, file in self._files.items()}
        return found | self._whole


class NormsFile:
    """An ``.npy`` of float64 norms, written row by row: NaN for null and for non-finite rows.

    Parameters
    ----------
    row_shape
        The shape of what a row has: ``()`` where it is one vector.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self._path = path
        self._row_shape = row_shape
        self._num_rows = 0
        self._file = path.open("wb")
        self._write_header()

    def add(self, batch: Batch) -> None:
        """Append the norms of a batch, and NaN for the null rows before each."""
        if batch.norms is None:
            return
        last = batch.row_number(len(batch.rows) - 1)
        if batch.row_numbers is None:
            numbers = np.arange(batch.start, last + 1)
        else:
            numbers = np.asarray(batch.row_numbers)
        self._fill(int(numbers[0]))
        block = self._block(last + 1)
        block[numbers - self._num_rows] = batch.norms
        self._append(block)

    def finish(self, num_rows: int) -> Path:
        """Bring it to ``num_rows`` and close it."""
        self._fill(num_rows)
        self._file.seek(0)
        self._write_header()
        self._file.close()
        return self._path

    def _fill(self, stop: int) -> None:
        """Write NaN up to row ``stop``, some at a time: there may be no end of null rows."""
        while self._num_rows < stop:
            self._append(self._block(min(stop, self._num_rows + _FILLED_ROWS)))

    def _block(self, stop: int) -> Array:
        return np.full((stop - self._num_rows, *self._row_shape), np.nan)

    def _append(self, block: Array) -> None:
        self._file.write(block.tobytes())
        self._num_rows += len(block)

    def _write_header(self) -> None:
        # NumPy leaves room in a header for the first length to grow: it can be written twice.
        shape = self._num_rows, *self._row_shape
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
