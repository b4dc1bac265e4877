"""Rows that were never stored, for which HDF5 returns the fill value.

A small file may claim very many of them. The reader takes them in large batches that occupy
almost no memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from l2cli.arrays import BATCH_BYTES
from l2cli.formats.hdf5.grid import chunk_rows, stored_chunks
from l2cli.formats.hdf5.storage import has_unallocated_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from h5py import h5d

    from l2cli.arrays import ArraySpec

_GAP_BYTES = 128 * 2**20
"""The size of a batch of rows that aren't stored. It is one row, broadcast, until it is copied."""


class Stretch(NamedTuple):
    """Some rows, all of which are stored, or none."""

    start: int
    stop: int
    is_stored: bool


def stretches(dataset: h5d.DatasetID, array: ArraySpec) -> list[Stretch]:
    """Return the rows of ``array``, cut where large parts of them were never stored."""
    whole = Stretch(0, array.num_rows, is_stored=True)
    if array.num_bytes <= BATCH_BYTES or not has_unallocated_chunks(dataset):
        return [whole]
    parts: list[Stretch] = []
    position = 0
    for start, stop in [*_stored(dataset, array.num_rows), (array.num_rows, array.num_rows)]:
        if (start - position) * array.row_bytes > BATCH_BYTES:
            parts.append(Stretch(position, start, is_stored=False))
            position = start
        if parts and parts[-1].is_stored:
            position = parts.pop().start
        if stop > position:
            parts.append(Stretch(position, stop, is_stored=True))
        position = stop
    return parts


def gap_rows(array: ArraySpec, batch_size: int | None) -> int:
    """Return how many rows that aren't stored one batch takes."""
    return batch_size or max(1, _GAP_BYTES // max(1, array.row_bytes))


def _stored(dataset: h5d.DatasetID, num_rows: int) -> Iterator[tuple[int, int]]:
    """Yield the rows, where they begin and end, of which at least one chunk is stored."""
    step = chunk_rows(dataset)
    if dataset.get_storage_size():
        for start in sorted({chunk_offset[0] for chunk_offset in stored_chunks(dataset)}):
            yield start, min(start + step, num_rows)
