"""Whether the rows that will be written over lie apart, as they do in every sound file."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from h5py import h5d

from l2cli.errors import FormatError
from l2cli.formats.hdf5.grid import stored_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def check_apart(datasets: Iterable[h5d.DatasetID]) -> None:
    """Raise ``FormatError`` where two pieces of ``datasets`` claim the same bytes of their file.

    What is written to one would change the other, without a word from HDF5.
    """
    pieces = sorted(piece for dataset in datasets for piece in _pieces(dataset))
    for (_, stop), (start, _) in pairwise(pieces):
        if start < stop:
            raise FormatError(
                f"damaged: two pieces of its arrays claim byte {start:,} of the file; copy it again"
            )


def _pieces(dataset: h5d.DatasetID) -> Iterator[tuple[int, int]]:
    """Yield where each piece of the rows begins and ends in the file, in bytes."""
    layout = dataset.get_create_plist().get_layout()
    if layout == h5d.CHUNKED:
        for start, size in stored_chunks(dataset).values():
            yield start, start + size
    elif layout == h5d.CONTIGUOUS and (offset := dataset.get_offset()) is not None:
        yield offset, offset + dataset.get_storage_size()
