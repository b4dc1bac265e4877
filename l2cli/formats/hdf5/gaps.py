"""Rows that were never stored: HDF5 makes up the fill value for them, as many as a file claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from l2cli.arrays import BATCH_BYTES
from l2cli.formats.hdf5.grid import chunk_rows, stored_chunks
from l2cli.formats.hdf5.storage import is_sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from h5py import h5d

    from l2cli.arrays import ArraySpec

_GAP_BYTES = 128 * 2**20
"""Of one batch of rows that aren't stored. They take no memory but where somebody copies them."""


class Stretch(NamedTuple):
    """Some rows, all of which are stored, or none."""

    start: int
    stop: int
    is_stored: bool


def stretches(dataset: h5d.DatasetID, array: ArraySpec) -> list[Stretch]:
    """Return the rows of ``array``, cut where large parts of them were never stored."""
    whole = Stretch(0, array.num_rows, is_stored=True)
    if array.num_bytes <= BATCH_BYTES or not is_sparse(dataset):
        return [whole]
    found: list[Stretch] = []
    position = 0
    for start, stop in [*_stored(dataset, array.num_rows), (array.num_rows, array.num_rows)]:
        if (start - position) * array.row_bytes > BATCH_BYTES:
            found.append(Stretch(position, start, is_stored=False))
            position = start
        if found and found[-1].is_stored:
            position = found.pop().start
        if stop > position:
            found.append(Stretch(position, stop, is_stored=True))
        position = stop
    return found


def gap_rows(array: ArraySpec, batch_size: int | None) -> int:
    """Return how many rows that aren't stored one batch takes."""
    return batch_size or max(1, _GAP_BYTES // max(1, array.row_bytes))


def _stored(dataset: h5d.DatasetID, num_rows: int) -> Iterator[tuple[int, int]]:
    """Yield the rows, where they begin and end, of which at least one chunk is stored."""
    step = chunk_rows(dataset)
    if dataset.get_storage_size():
        for start in sorted({corner[0] for corner in stored_chunks(dataset)}):
            yield start, min(start + step, num_rows)
