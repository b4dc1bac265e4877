"""Which datasets can be read and written without HDF5, and what reads and writes them.

The reader and the writer of this package ask here, and use ``storage`` where the answer is
``None``: contiguous datasets are ranges of bytes, chunks of some filters are coded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2cli.formats.hdf5.direct.chunks import ChunkReader, ChunkWriter, chunk_ranges, codec_to_read
from l2cli.formats.hdf5.direct.codec import Codec, codec_of
from l2cli.formats.hdf5.direct.contiguous import (
    ContiguousRange,
    ContiguousReader,
    ContiguousWriter,
    contiguous_range,
)

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from h5py import h5d

DirectStorage = ContiguousRange | Codec
"""Where the rows of a dataset are written: a range of bytes, or chunks of a codec."""


def is_contiguous(dataset: h5d.DatasetID) -> bool:
    """Return whether the rows of a dataset are one range of bytes in its file."""
    return contiguous_range(dataset) is not None


def open_direct_reader(
    dataset: h5d.DatasetID, batch_rows: int, pool: ThreadPoolExecutor, label: str
) -> ContiguousReader | ChunkReader | None:
    """Return what reads ``dataset`` without HDF5; ``None`` where HDF5 has to do it.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        The dataset, which has to stay open.
    batch_rows : int
        How many rows will be read at a time.
    pool : ThreadPoolExecutor
        Where chunks are decoded.
    label : str
        The name of the file, for messages.
    """
    if byte_range := contiguous_range(dataset):
        return ContiguousReader(dataset, byte_range, label)
    if codec := codec_to_read(dataset):
        return ChunkReader(dataset, codec, batch_rows, pool)
    return None


def direct_storage(source: h5d.DatasetID, new: h5d.DatasetID | None) -> DirectStorage | None:
    """Return where to write the rows of a dataset without HDF5; ``None`` where HDF5 has to do it.

    Parameters
    ----------
    source : h5py.h5d.DatasetID
        The dataset of the source.
    new : h5py.h5d.DatasetID or None
        The dataset of the copy; ``None`` for the range of bytes that the source has, which can
        be written while the copy is not open in HDF5.
    """
    if new is None:
        return contiguous_range(source)
    codec = codec_of(new)
    return codec if codec and codec_to_read(source) else None


def open_direct_writer(
    storage: DirectStorage, file: int, dataset: h5d.DatasetID | None, pool: ThreadPoolExecutor
) -> ContiguousWriter | ChunkWriter:
    """Return what writes rows to what :func:`direct_storage` returned.

    Parameters
    ----------
    storage : ContiguousRange or Codec
        Where to write.
    file : int
        The descriptor of the copy, for ranges of bytes.
    dataset : h5py.h5d.DatasetID or None
        The dataset of the copy, for chunks.
    pool : ThreadPoolExecutor
        Where chunks are encoded.
    """
    if isinstance(storage, ContiguousRange):
        return ContiguousWriter(file, storage)
    assert dataset is not None
    return ChunkWriter(dataset, storage, pool)


def replaced_ranges(source: h5d.DatasetID) -> list[tuple[int, int]]:
    """Return the bytes that need not be copied, because they will be written over, or freed."""
    byte_range = contiguous_range(source)
    return [byte_range.limits] if byte_range else chunk_ranges(source)
