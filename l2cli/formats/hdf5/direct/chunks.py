"""Chunked datasets whose chunks are decoded and encoded here, several at once.

HDF5 only reads and writes the stored bytes. ``direct/open.py`` is the only caller.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5d, h5i

# h5py's lock. Before 3.16 h5py doesn't take it for raw chunks, and without it HDF5 crashes.
from h5py._objects import phil

from l2cli.arrays import empty_rows
from l2cli.formats.hdf5.direct.codec import Codec, codec_of
from l2cli.formats.hdf5.grid import (
    chunk_hyperslabs,
    grid,
    has_edges,
    last_chunk_offset,
    stored_chunks,
)
from l2cli.formats.hdf5.storage import free_chunks, has_unallocated_chunks
from l2cli.runtime.processors import num_processors

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    Rows = np.ndarray[Any, Any]
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Block = tuple[Rows, list[Future[None]]]

_MOST_AHEAD_BYTES = 32 * 2**20
"""The most that is decoded in advance, and that waits while it is encoded."""

_MOST_BAND_BYTES = 64 * 2**20
"""The largest row of chunks. Of larger ones HDF5 needs less memory."""


def codec_to_read(dataset: h5d.DatasetID) -> Codec | None:
    """Return the codec to read ``dataset`` with; ``None`` where HDF5 has to read it."""
    codec = codec_of(dataset)
    if codec is None or 0 in dataset.shape or has_unallocated_chunks(dataset):
        return None
    is_small = math.prod(grid(dataset)[1:]) * codec.num_bytes <= _MOST_BAND_BYTES
    return codec if is_small and not _has_unfiltered_edges(dataset, codec) else None


def chunk_ranges(dataset: h5d.DatasetID) -> list[tuple[int, int]]:
    """Return where the chunks that will be freed begin and end, in bytes; runs of them as one."""
    # Older HDF5 counts from the end of the user block, and newer from the file's beginning.
    if (
        codec_to_read(dataset) is None
        or h5i.get_file_id(dataset).get_create_plist().get_userblock()
    ):
        return []
    ranges: list[tuple[int, int]] = []
    for start, size in sorted(stored_chunks(dataset).values()):
        if ranges and ranges[-1][1] == start:
            ranges[-1] = ranges[-1][0], start + size
        else:
            ranges.append((start, start + size))
    return ranges


class ChunkReader:
    """Reads a dataset from its first row to its last.

    Parameters
    ----------
    codec : Codec
        From :func:`codec_to_read`.
    batch_rows : int
        How many rows will be read at a time.
    pool : ThreadPoolExecutor
        Where chunks are decoded, some before they are asked for.
    """

    def __init__(
        self, dataset: h5d.DatasetID, codec: Codec, batch_rows: int, pool: ThreadPoolExecutor
    ) -> None:
        self._dataset = dataset
        self._codec = codec
        self._pool = pool
        self._stored = dataset.dtype
        self._block_rows = max(codec.chunk[0], batch_rows - batch_rows % codec.chunk[0])
        self._ahead_rows = _num_ahead(codec) // math.prod(grid(dataset)[1:]) * codec.chunk[0]
        self._blocks: dict[int, Block] = {}

    def read(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop``, in the machine's byte order."""
        first = start - start % self._block_rows
        end = min(stop + self._ahead_rows, self._dataset.shape[0])
        self._blocks = {
            begin: self._blocks.get(begin) or self._begin(begin)
            for begin in range(first, end, self._block_rows)
        }
        pieces = []
        for begin in range(first, stop, self._block_rows):
            rows, decoding = self._blocks[begin]
            for chunk in decoding:
                chunk.result()
            pieces.append(rows[max(0, start - begin) : stop - begin])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _begin(self, start: int) -> Block:
        """Have the rows from ``start`` on decoded, as many as one block takes."""
        num_rows, *row_shape = self._dataset.shape
        shape = (min(self._block_rows, num_rows - start), *row_shape)
        rows = empty_rows(shape, self._stored.newbyteorder("="))
        target = _in_file_order(rows, self._stored)
        decoding = [
            self._pool.submit(self._decode, chunk_offset, target[hyperslab])
            for chunk_offset, hyperslab in chunk_hyperslabs(self._codec.chunk, start, shape)
        ]
        return rows, decoding

    def _decode(self, chunk_offset: tuple[int, ...], target: Bytes) -> None:
        with phil:
            skipped, stored = self._dataset.read_direct_chunk(chunk_offset)
        chunk = self._codec.decode(stored, skipped)[tuple(map(slice, target.shape))]
        for index in range(self._codec.itemsize):
            target[..., index] = chunk[..., index]


class ChunkWriter:
    """Overwrites a dataset from its first row to its last.

    Parameters
    ----------
    codec : Codec
        From :func:`codec_of`.
    pool : ThreadPoolExecutor
        Where chunks are encoded.
    """

    def __init__(self, dataset: h5d.DatasetID, codec: Codec, pool: ThreadPoolExecutor) -> None:
        self._dataset = dataset
        self._codec = codec
        self._pool = pool
        self._stored = dataset.dtype
        self._fill = _fill_bytes(dataset)
        self._next = 0
        self._waiting: list[Rows] = []
        self._encoding: deque[tuple[tuple[int, ...], Future[tuple[bytes, int]]]] = deque()
        free_chunks(dataset)

    def write(self, start: int, rows: Rows) -> None:
        """Write ``rows`` from row ``start`` on, once the last row of their chunks is there."""
        self._waiting.append(np.ascontiguousarray(rows))
        stop = start + len(rows)
        if stop < self._dataset.shape[0]:
            stop -= stop % self._codec.chunk[0]
        if stop > self._next:
            self._encode(stop)

    def finish(self) -> None:
        """Write what is still being encoded."""
        self._store(0)
        self._dataset.close()

    def _encode(self, stop: int) -> None:
        """Have all rows before ``stop`` encoded, which is where chunks end."""
        rows = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        num_rows = stop - self._next
        source = _in_file_order(rows, self._stored)
        shape = (num_rows, *rows.shape[1:])
        for chunk_offset, hyperslab in chunk_hyperslabs(self._codec.chunk, self._next, shape):
            encoded = self._pool.submit(self._encoded, source[hyperslab])
            self._encoding.append((chunk_offset, encoded))
            self._store(_num_ahead(self._codec))
        self._waiting = [rows[num_rows:]] if num_rows < len(rows) else []
        self._next = stop

    def _encoded(self, chunk: Bytes) -> tuple[bytes, int]:
        whole = (*self._codec.chunk, self._codec.itemsize)
        if chunk.shape != whole:
            # The part beyond the dataset becomes visible if the dataset is extended.
            padded = np.empty(whole, np.uint8)
            padded[...] = self._fill
            padded[tuple(map(slice, chunk.shape))] = chunk
            chunk = padded
        return self._codec.encode(chunk)

    def _store(self, most: int) -> None:
        """Write the oldest chunks, until there are at most ``most`` left."""
        while len(self._encoding) > most:
            chunk_offset, encoded = self._encoding.popleft()
            stored, skipped = encoded.result()
            with phil:
                self._dataset.write_direct_chunk(chunk_offset, stored, skipped)


def _num_ahead(codec: Codec) -> int:
    """Return how many chunks may be decoded before they are asked for, or encoded meanwhile."""
    return min(2 * num_processors(), _MOST_AHEAD_BYTES // codec.num_bytes)


def _has_unfiltered_edges(dataset: h5d.DatasetID, codec: Codec) -> bool:
    """Return whether chunks that reach beyond the dataset are stored without filters.

    Such is an option of files for HDF5 1.10 and later, that can't be asked for.
    """
    if not has_edges(dataset):
        return False
    with phil:
        skipped, stored = dataset.read_direct_chunk(last_chunk_offset(dataset))
    return len(stored) == codec.num_bytes and not skipped


def _in_file_order(rows: Rows, stored: np.dtype[Any]) -> Bytes:
    """Return a view of the bytes of ``rows``, ``(*shape, itemsize)``, as ``stored`` has them."""
    view = rows.view(np.uint8).reshape(*rows.shape, rows.itemsize)
    return view if stored.isnative else view[..., ::-1]


def _fill_bytes(dataset: h5d.DatasetID) -> Bytes:
    """Return the bytes of the fill value, as the file has them; zeros if there is none."""
    properties = dataset.get_create_plist()
    fill = np.zeros((), dataset.dtype)
    if properties.fill_value_defined() != h5d.FILL_VALUE_UNDEFINED:
        properties.get_fill_value(fill)
    return np.frombuffer(fill.tobytes(), np.uint8)
