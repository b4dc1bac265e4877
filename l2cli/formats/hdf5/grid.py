"""The chunks of a dataset: their grid, and where they lie in the dataset and in the file.

Readers and writers of both paths, HDF5's own and the direct one, use it. It reads no rows.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from h5py import h5d

from l2cli.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    ChunkOffset = tuple[int, ...]
    Hyperslab = tuple[slice, ...]


def chunk_rows(dataset: h5d.DatasetID) -> int:
    """Return how many rows are stored together; 1 where there are no chunks."""
    properties = dataset.get_create_plist()
    return int(properties.get_chunk()[0]) if properties.get_layout() == h5d.CHUNKED else 1


def grid(dataset: h5d.DatasetID) -> tuple[int, ...]:
    """Return how many chunks lie along each axis."""
    return tuple(math.ceil(length / step) for length, step in _axes(dataset))


def last_chunk_offset(dataset: h5d.DatasetID) -> ChunkOffset:
    """Return where the last chunk begins."""
    return tuple((length - 1) // step * step for length, step in _axes(dataset))


def has_edges(dataset: h5d.DatasetID) -> bool:
    """Return whether some chunks reach beyond the dataset."""
    return any(length % step for length, step in _axes(dataset))


def stored_chunks(dataset: h5d.DatasetID) -> dict[ChunkOffset, tuple[int, int]]:
    """Return where in the file each stored chunk begins, and how long it is there, in bytes.

    The keys are the offsets of the chunks in the dataset. They are listed, not asked for one by
    one: HDF5's ``get_chunk_info_by_coord`` misses those of a newer format whose unlimited axis
    isn't the first.
    """
    stored: dict[ChunkOffset, tuple[int, int]] = {}

    def visit(chunk: h5d.StoreInfo) -> None:
        stored[chunk.chunk_offset] = chunk.byte_offset, chunk.size

    if dataset.get_num_chunks():
        dataset.chunk_iter(visit)
    return stored


def check_stored_sizes(dataset: h5d.DatasetID, label: str) -> None:
    """Refuse chunks that are stored as they are and are too short: HDF5 reads beyond them.

    Raises
    ------
    FormatError
        With the row that the first such chunk begins at.
    """
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.CHUNKED or properties.get_nfilters():
        return
    expected = math.prod(properties.get_chunk()) * dataset.get_type().get_size()
    for chunk_offset, (_, size) in stored_chunks(dataset).items():
        if size < expected:  # It may have more: text takes more room in a file than in memory.
            raise FormatError(
                f"{label} is damaged: the chunk at row {chunk_offset[0]:,} has {size:,} bytes, "
                f"expected {expected:,}; copy it again"
            )


def chunk_hyperslabs(
    chunk: tuple[int, ...], start: int, shape: tuple[int, ...]
) -> Iterator[tuple[ChunkOffset, Hyperslab]]:
    """Yield where each chunk under a window begins in the dataset, and its hyperslab in the window.

    Parameters
    ----------
    start : int
        The row that the window begins at. A chunk that begins before is taken from there on.
    shape : tuple of int
        The window's.
    """
    origins = (start,) + (0,) * (len(shape) - 1)
    edges = [
        _edges(origin, length, step)
        for origin, length, step in zip(origins, shape, chunk, strict=True)
    ]
    for ranges in itertools.product(*edges):
        chunk_offset = tuple(first for first, _ in ranges)
        hyperslab = tuple(
            slice(first - origin, stop - origin)
            for origin, (first, stop) in zip(origins, ranges, strict=True)
        )
        yield chunk_offset, hyperslab


def _edges(origin: int, length: int, step: int) -> list[tuple[int, int]]:
    firsts = range(origin - origin % step, origin + length, step)
    return [(max(first, origin), min(first + step, origin + length)) for first in firsts]


def _axes(dataset: h5d.DatasetID) -> list[tuple[int, int]]:
    """Return the dataset's length and the chunks', axis by axis."""
    return list(zip(dataset.shape, dataset.get_create_plist().get_chunk(), strict=True))
