"""The norms that rows had before they were normalized, kept so that lengths can be restored.

Used by a job where norms are asked for. Each array's lie in a temporary ``.npy`` until they are
added to the destination or copied to a file of their own. It knows no formats but ``.npy``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import OptionError
from l2cli.filesystem.atomic import temporary_file
from l2cli.formats.registry import extend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.engine.normalizer import Normalizer
    from l2cli.formats.registry import Format
    from l2cli.report import Report

    Array = np.ndarray[Any, Any]


_FILLED_ROWS = 2**16
"""How many missing norms are written at a time."""


class KeptNorms(contextlib.ExitStack):
    """The norms of the rows of some arrays, each array's in an ``.npy`` that is gone at the end.

    Parameters
    ----------
    arrays : sequence of ArraySpec
        The arrays that will be written.
    normalizers : mapping
        By name, of those that are normalized, whose norms are kept.

    Raises
    ------
    OptionError
        Where it isn't known how many vectors a row has.
    """

    def __init__(self, arrays: Sequence[ArraySpec], normalizers: Mapping[str, Normalizer]) -> None:
        super().__init__()
        self._normalizers = normalizers
        self._files: dict[str, NormsFile] = {}
        for array in arrays:
            if array.name not in normalizers or normalizers[array.name].spans_batches:
                continue
            axes = normalizers[array.name].vectors.axes
            shape = [length for axis, length in enumerate(array.shape) if axis not in axes][1:]
            if None in shape:
                raise OptionError(
                    f"{array.label} has several vectors a row, not as many in each, so their norms "
                    "make no array; they can't be kept"
                )
            path = self.enter_context(temporary_file(named=True))
            self._files[array.name] = NormsFile(path, tuple(length or 0 for length in shape))

    def add(self, batch: Batch) -> None:
        """Append the norms of a batch, if it has some."""
        if batch.norms is not None:
            self._files[batch.array.name].add(batch)

    def finish(self, report: Report) -> dict[str, Path]:
        """Return the file of each array; ``report`` says how many rows that has, null rows too."""
        num_rows = {array.name: array.shape[0] or 0 for array in report.arrays}
        return {
            name: self._whole(normalizer.column_norms)
            if normalizer.spans_batches
            else self._files[name].finish(num_rows[name])
            for name, normalizer in self._normalizers.items()
        }

    def _whole(self, norms: Array) -> Path:
        """Return a file of norms of vectors along axis 0, which are known all at once."""
        path = self.enter_context(temporary_file(named=True))
        with path.open("wb") as file:
            np.lib.format.write_array(file, norms)
        return path


def add_norms(path: Path, file_format: Format, norms: Mapping[str, Path], norms_name: str) -> None:
    """Add norms to a container, under one name, or of several arrays behind the name of each.

    Parameters
    ----------
    path : Path
        The container.
    file_format : Format
        What it is.
    norms : mapping
        The ``.npy`` of each array, by its name in the container.
    norms_name : str
        What they are called.
    """
    for name, file in norms.items():
        extend(path, file_format, norms_name if len(norms) == 1 else f"{name}_{norms_name}", file)


class NormsFile:
    """An ``.npy`` of float64 norms, written row by row: NaN for null and for non-finite rows.

    Parameters
    ----------
    path : Path
        Where it is written.
    row_shape : tuple of int
        The shape of a row's norms: ``()`` where it is one vector.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self._path = path
        self._row_shape = row_shape
        self._num_rows = 0
        self._file = path.open("wb")
        self._write_header()

    def add(self, batch: Batch) -> None:
        """Append the norms of a batch, and NaN for the null rows before each."""
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
