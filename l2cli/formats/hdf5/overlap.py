"""The check that no two datasets claim the same bytes, where one of them will be written over.

The writer calls it once for a file, before it copies anything.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from h5py import h5d, h5o

from l2cli.errors import FormatError
from l2cli.formats.hdf5.errors import RAISED_BY_H5PY
from l2cli.formats.hdf5.grid import stored_chunks
from l2cli.formats.hdf5.links import address_of, objects

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    import h5py


def check_apart(file: h5py.File, datasets: Iterable[h5d.DatasetID]) -> None:
    """Raise ``FormatError`` where bytes that ``datasets`` claim are claimed twice.

    To write there would change the other dataset, and HDF5 doesn't notice. Of the datasets that
    aren't written, only contiguous ones are compared.
    """
    written = {address_of(dataset): dataset for dataset in datasets}
    pieces = [piece for dataset in written.values() for piece in _pieces(dataset)]
    pieces += _unwritten(file, written)
    for (_, stop), (start, _) in pairwise(sorted(pieces)):
        if start < stop:
            raise FormatError(
                f"damaged: two pieces of its arrays claim byte {start:,} of the file; copy it again"
            )


def _unwritten(file: h5py.File, written: Container[int]) -> Iterator[tuple[int, int]]:
    """Yield where the other datasets lie that are in one piece, as far as they can be opened."""
    for link in objects(file):
        with suppress(*RAISED_BY_H5PY):
            item = None if link.address in written else h5o.open(file.id, link.path)
            is_whole = isinstance(item, h5d.DatasetID) and _layout(item) == h5d.CONTIGUOUS
            yield from _pieces(item) if is_whole else ()


def _pieces(dataset: h5d.DatasetID) -> Iterator[tuple[int, int]]:
    """Yield where each piece of the rows begins and ends in the file, in bytes."""
    if _layout(dataset) == h5d.CHUNKED:
        for start, size in stored_chunks(dataset).values():
            yield start, start + size
    elif _layout(dataset) == h5d.CONTIGUOUS and dataset.get_offset() is not None:
        start = dataset.get_offset()
        yield start, start + dataset.get_storage_size()


def _layout(dataset: h5d.DatasetID) -> int | None:
    """Return HDF5's number for how the rows are laid out; none where they are in other files."""
    properties = dataset.get_create_plist()
    return None if properties.get_external_count() else int(properties.get_layout())
