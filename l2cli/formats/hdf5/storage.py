"""The rows of one dataset, read and overwritten by HDF5 itself, a window at a time.

It works for every dataset; ``direct`` is faster where it can be used. The cache is as large as
one row of chunks, so that no chunk is decompressed twice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5d, h5p, h5s, h5z

from l2cli.arrays import is_one_row, windows
from l2cli.dtypes import numpy_dtype
from l2cli.formats.hdf5.foreign import access_properties
from l2cli.formats.hdf5.grid import chunk_hyperslabs, grid
from l2cli.formats.hdf5.plugins import filters

if TYPE_CHECKING:
    from h5py import h5f

    from l2cli.formats.hdf5.elements import Element

    Rows = np.ndarray[Any, Any]

_FIXED_SIZE_FILTERS = {h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
"""Filters after which every chunk is as long as it was before: it is overwritten in place."""

_UNFILTERED_CACHE_BYTES = 32 * 2**20
"""The largest cache for chunks without filters, which HDF5 can read in part as well."""

_MOST_SLOTS = 2**20


def open_dataset(file: h5f.FileID, path: bytes) -> h5d.DatasetID:
    """Open a dataset, which must not be open yet, with a cache that holds one row of its chunks.

    So every window that touches a chunk finds it decompressed, however few rows a window has.
    """
    dataset = h5d.open(file, path)
    is_chunked = dataset.get_create_plist().get_layout() == h5d.CHUNKED
    access = _cache_properties(dataset) if is_chunked else access_properties()
    # They count where a dataset is opened that is not open yet, so it is opened anew.
    dataset.close()
    return h5d.open(file, path, access)


def has_unallocated_chunks(dataset: h5d.DatasetID) -> bool:
    """Return whether a part of the dataset was never stored, and has no storage in the file."""
    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    if layout == h5d.CHUNKED:
        return bool(dataset.get_num_chunks() < math.prod(grid(dataset)))
    # Not by its offset: with a user block, HDF5 returns one for unallocated storage too.
    unused = layout == h5d.CONTIGUOUS and not properties.get_external_count()
    return unused and not dataset.get_storage_size()


class DatasetReader:
    """Reads a dataset.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        From :func:`open_dataset`.
    element : Element
        The part of its elements that is read.
    dtype : str
        What its rows are to be.
    """

    def __init__(self, dataset: h5d.DatasetID, element: Element, dtype: str) -> None:
        self._dataset = dataset
        self._row_shape = dataset.shape[1:] + element.shape
        self._dtype = numpy_dtype(dtype)
        self._memory_type = element.memory_type(dtype)

    def read(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop``, in the machine's byte order."""
        # Zeros, not empty: HDF5 leaves alone what was never stored and has no fill value.
        rows: Rows = np.zeros((stop - start, *self._row_shape), self._dtype)
        if rows.size:
            spaces = _spaces(self._dataset, (start,), rows)
            self._dataset.read(*spaces, rows, self._memory_type)
        return rows


class DatasetWriter:
    """Overwrites a dataset from its first row to its last.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        From :func:`open_dataset`, of a file that may be written.
    element : Element
        The part of its elements that is overwritten.
    keep_unallocated : bool
        Whether chunks that equal the fill value are left unstored, as they are in the source.
    """

    def __init__(self, dataset: h5d.DatasetID, element: Element, *, keep_unallocated: bool) -> None:
        self._dataset = dataset
        self._element = element
        self._properties = dataset.get_create_plist()
        self._chunked = self._properties.get_layout() == h5d.CHUNKED
        # Beside a field there are others, which must stay, and it has no fill value of its own.
        is_whole = not element.fields
        self._fill = _fill_bits(dataset) if keep_unallocated and is_whole else None
        if self._chunked and is_whole and (keep_unallocated or _changes_size(self._properties)):
            free_chunks(dataset)

    def write(self, start: int, rows: Rows) -> None:
        """Write ``rows`` from row ``start`` on."""
        if self._fill is not None and is_one_row(rows) and _is_all(rows[:1], self._fill):
            return
        rows = np.ascontiguousarray(rows)
        if self._fill is None or not rows.size:
            self._put((start,), rows)
        elif self._chunked:
            self._write_chunks(start, rows, self._fill)
        elif not _is_all(rows, self._fill):
            self._write_skipped(start, rows)

    def finish(self) -> None:
        """Compress and write what is cached."""
        self._dataset.close()

    def _put(self, start: tuple[int, ...], rows: Rows) -> None:
        if rows.size:
            memory_type = self._element.memory_type(rows.dtype.name)
            spaces = _spaces(self._dataset, start, rows)
            self._dataset.write(*spaces, np.ascontiguousarray(rows), memory_type)

    def _write_chunks(self, start: int, rows: Rows, fill: Rows) -> None:
        """Write the chunks that hold anything but the fill value."""
        chunk = self._properties.get_chunk()
        for chunk_offset, hyperslab in chunk_hyperslabs(chunk, start, rows.shape[: len(chunk)]):
            if not _is_all(rows[hyperslab], fill):
                self._put(chunk_offset, rows[hyperslab])

    def _write_skipped(self, start: int, rows: Rows) -> None:
        """Write the first rows that aren't fill values to a dataset without chunks.

        That allocates the whole dataset. HDF5 doesn't clear storage that it uses again, so the
        rows that were skipped until now are written as well.
        """
        assert self._fill is not None
        fill = self._fill.view(rows.dtype)
        for first, stop in windows(start, max(1, len(rows))):
            self._put((first,), np.full((stop - first, *rows.shape[1:]), fill))
        self._put((start,), rows)
        self._fill = None


def _spaces(
    dataset: h5d.DatasetID, start: tuple[int, ...], rows: Rows
) -> tuple[h5s.SpaceID, h5s.SpaceID]:
    """Return the dataspace of ``rows``, and where in ``dataset`` they begin (0 on other axes)."""
    shape, space = rows.shape[: dataset.rank], dataset.get_space()
    space.select_hyperslab(start + (0,) * (len(shape) - len(start)), shape)
    return h5s.create_simple(shape), space


def _cache_properties(dataset: h5d.DatasetID) -> h5p.PropDAID:
    access = h5p.create(h5p.DATASET_ACCESS)
    properties = dataset.get_create_plist()
    across = grid(dataset)[1:]
    item_size = dataset.get_type().get_size()
    row_of_chunks = math.prod(properties.get_chunk()) * math.prod(across) * item_size
    if not filters(properties) and row_of_chunks > _UNFILTERED_CACHE_BYTES:
        access.set_chunk_cache(1, 0, 0.75)
        return access
    # HDF5 hashes by chunk offset with each axis rounded up to a power of two; collisions evict.
    slots = 4 * math.prod(1 << max(0, length - 1).bit_length() for length in across) + 1
    access.set_chunk_cache(min(slots, _MOST_SLOTS), max(row_of_chunks, 2**20), 0.75)
    return access


def _changes_size(properties: h5p.PropDCID) -> bool:
    return bool(filters(properties).keys() - _FIXED_SIZE_FILTERS)


def free_chunks(dataset: h5d.DatasetID) -> None:
    """Free the storage of all chunks, to be used again while the file is open.

    Without it, each chunk that becomes larger than before would leave a hole in the file.
    """
    shape = dataset.shape
    dataset.set_extent((0, *shape[1:]))
    dataset.set_extent(shape)


def _fill_bits(dataset: h5d.DatasetID) -> Rows | None:
    """Return the fill value as an unsigned integer, or ``None`` where it can't be relied on."""
    properties = dataset.get_create_plist()
    undefined = properties.fill_value_defined() == h5d.FILL_VALUE_UNDEFINED
    if undefined or properties.get_fill_time() == h5d.FILL_TIME_NEVER:
        return None
    stored = dataset.dtype
    fill: Rows = np.zeros((), stored.base.newbyteorder("="))
    if properties.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        if stored.shape:
            return None
        properties.get_fill_value(fill)
    return fill.view(f"u{fill.itemsize}")


def _is_all(rows: Rows, fill: Rows) -> bool:
    """Compare bits, so that a negative zero isn't a zero and a NaN is itself."""
    return bool((np.ascontiguousarray(rows).view(fill.dtype) == fill).all())
