"""Contiguous datasets, read and overwritten as one range of bytes, without HDF5 and its lock.

``direct/open.py`` is the only caller, but for :func:`copy_all_but`, with which the writer copies
a file except for the bytes that will be written over.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from h5py import h5d, h5fd, h5i, h5p, h5t

from l2cli.arrays import empty_rows
from l2cli.filesystem.byte_ranges import read_exactly, write_fully
from l2cli.formats.hdf5.elements import Element

if TYPE_CHECKING:
    from pathlib import Path

    Rows = np.ndarray[Any, Any]

_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class ContiguousRange:
    """Where the rows of a contiguous dataset lie.

    Attributes
    ----------
    offset : int
        In bytes, from the beginning of the file.
    shape : tuple of int
        ``(num_rows, ...)``.
    stored : dtype
        The dtype, in the byte order of the file.
    """

    offset: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]

    def position(self, row: int) -> int:
        """Return where a row begins, in bytes."""
        return self.offset + row * math.prod(self.shape[1:]) * self.stored.itemsize

    @property
    def limits(self) -> tuple[int, int]:
        """Where the first row begins and the last one ends, in bytes."""
        return self.offset, self.position(self.shape[0])


def contiguous_range(dataset: h5d.DatasetID) -> ContiguousRange | None:
    """Return where the rows of ``dataset`` lie, if that is one range of a single file."""
    # What is quick to ask comes first, for a file may hold thousands of datasets.
    if not dataset.get_storage_size() or dataset.get_offset() is None:
        return None
    if dataset.get_type().get_class() == h5t.COMPOUND or not _is_single_file():
        return None
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.CONTIGUOUS or properties.get_external_count():
        return None
    element = Element(dataset.get_type())
    shape = dataset.shape + element.shape
    return ContiguousRange(dataset.get_offset(), shape, element.numbers.dtype)


@functools.cache
def _is_single_file() -> bool:
    """Return whether HDF5 opens files as they are.

    Other drivers are chosen with HDF5_DRIVER, and may keep a file in memory or in pieces.
    """
    return bool(h5p.create(h5p.FILE_ACCESS).get_driver() == h5fd.SEC2)


def copy_all_but(ranges: list[tuple[int, int]], source: Path, target: Path) -> None:
    """Copy the file ``source`` to ``target``, with zeros in ``ranges`` of bytes."""
    if not ranges:
        shutil.copyfile(source, target)
        return
    with source.open("rb") as old, target.open("wb") as new:
        end = os.fstat(old.fileno()).st_size
        position = 0
        for start, stop in sorted(ranges):
            _copy(old, new, position, start)
            position = stop
        _copy(old, new, position, end)
        new.truncate(end)


def _copy(old: IO[bytes], new: IO[bytes], start: int, stop: int) -> None:
    old.seek(start)
    new.seek(start)
    while start < stop and (piece := old.read(min(_PIECE_BYTES, stop - start))):
        start += new.write(piece)


class ContiguousReader:
    """Reads the rows of a contiguous dataset.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        The dataset. It stays open, and so does its file.
    label : str
        The file's name, for messages.
    """

    def __init__(self, dataset: h5d.DatasetID, byte_range: ContiguousRange, label: str) -> None:
        self._dataset = dataset
        self._file: int = h5i.get_file_id(dataset).get_vfd_handle()
        self._range = byte_range
        self._label = label

    def read(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop``, in the machine's byte order."""
        stored = self._range.stored
        rows = empty_rows((stop - start, *self._range.shape[1:]), stored)
        read_exactly(self._file, rows, self._range.position(start), self._label)
        return rows.astype(stored.newbyteorder("="), copy=False)


class ContiguousWriter:
    """Overwrites the rows of a contiguous dataset.

    Parameters
    ----------
    file : int
        A file descriptor, which the writer keeps open.
    """

    def __init__(self, file: int, byte_range: ContiguousRange) -> None:
        self._file = file
        self._range = byte_range

    def write(self, start: int, rows: Rows) -> None:
        """Write ``rows`` from row ``start`` on."""
        rows = np.ascontiguousarray(rows, self._range.stored)
        write_fully(self._file, rows, self._range.position(start))

    def finish(self) -> None:
        """Do nothing: all is written."""
