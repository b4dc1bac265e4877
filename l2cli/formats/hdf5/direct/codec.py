"""The shuffle and deflate filters outside HDF5, by ISA-L, to be run on every core.

The results are zlib streams that every HDF5 reads. Each byte plane is deflated by itself, which
takes a tenth of zlib's time, and streams of dense vectors are as short as zlib's at level 9.
It knows bytes and filters only, nothing of rows.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5d, h5t, h5z
from isal import isal_zlib

if TYPE_CHECKING:
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_LEVEL = 1
"""ISA-L's levels above take longer and gain nothing where no bytes repeat."""

_SMALL_BLOCKS = 2
"""The ``memLevel`` at which ISA-L stores what doesn't compress, so that it is read quickly."""

_REPETITIVE = 0.8
"""What is shorter after ISA-L, as a part of what it was, zlib may shorten further.

Dense vectors of any float dtype stay above it. Zeros and repeated rows, of which zlib finds
more, lead below.
"""


@dataclass(frozen=True)
class Codec:
    """The filters of a dataset: deflate, with or without shuffle before it.

    Chunks are handed over as their bytes, ``(*chunk, itemsize)`` uint8, in the order of the file.

    Attributes
    ----------
    level : int
        Of deflate, 0 to 9.
    optional : bool
        Whether a chunk that deflate makes no shorter may be stored without it.
    """

    chunk: tuple[int, ...]
    itemsize: int
    shuffle: bool
    level: int
    optional: bool

    @property
    def num_bytes(self) -> int:
        """Bytes of one chunk."""
        return math.prod(self.chunk) * self.itemsize

    def decode(self, stored: bytes, skipped: int) -> Bytes:
        """Return the bytes of a chunk, a view in some order of memory.

        Parameters
        ----------
        skipped : int
            The chunk's filter mask: a bit for each filter that it did not go through.

        Raises
        ------
        ValueError
            Where ``stored`` is damaged.
        """
        if not skipped & self._deflate_bit:
            stored = _inflated(stored, self.num_bytes)
        if len(stored) != self.num_bytes:
            raise ValueError(f"a chunk holds {len(stored)} bytes, expected {self.num_bytes}")
        flat = np.frombuffer(stored, np.uint8)
        if self.shuffle and not skipped & 1:
            return np.moveaxis(flat.reshape(self.itemsize, *self.chunk), 0, -1)
        return flat.reshape(*self.chunk, self.itemsize)

    def encode(self, chunk: Bytes) -> tuple[bytes, int]:
        """Return what to store of a chunk, and the filter mask."""
        chunk = np.ascontiguousarray(chunk)
        if self.shuffle:
            pieces = [np.ascontiguousarray(chunk[..., k]).data for k in range(self.itemsize)]
        else:
            pieces = [chunk.data]
        deflated = _deflated(pieces, self.level)
        if len(deflated) >= chunk.nbytes and self.optional:
            return b"".join(pieces), self._deflate_bit
        return deflated, 0

    @property
    def _deflate_bit(self) -> int:
        return 2 if self.shuffle else 1


def codec_of(dataset: h5d.DatasetID) -> Codec | None:
    """Return the codec of a dataset's chunks; ``None`` where there is none, or it is another."""
    properties, stored = dataset.get_create_plist(), dataset.get_type()
    is_number = stored.get_class() in (h5t.FLOAT, h5t.INTEGER)
    if properties.get_layout() != h5d.CHUNKED or not is_number:
        return None
    pipeline = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    itemsize = stored.get_size()
    shuffle = bool(pipeline) and pipeline[0][0] == h5z.FILTER_SHUFFLE
    if shuffle and pipeline[0][2] != (itemsize,):
        return None
    if [code for code, *_ in pipeline[shuffle:]] != [h5z.FILTER_DEFLATE]:
        return None
    _code, flags, (level, *_), _name = pipeline[-1]
    optional = bool(flags & h5z.FLAG_OPTIONAL)
    return Codec(properties.get_chunk(), itemsize, shuffle, level, optional)


def _inflated(stored: bytes, num_bytes: int) -> bytes:
    try:
        return isal_zlib.decompress(stored, bufsize=num_bytes)
    except isal_zlib.error as exc:  # type: ignore[misc]  # its stub calls a class an instance
        raise ValueError(f"a chunk can't be decompressed: {exc}") from exc


def _deflated(pieces: list[memoryview], level: int) -> bytes:
    """Return a zlib stream of ``pieces``, which don't share blocks: each has its own codes."""
    deflater = isal_zlib.compressobj(_LEVEL, memLevel=_SMALL_BLOCKS)
    parts = []
    for piece in pieces:
        parts += [deflater.compress(piece), deflater.flush(isal_zlib.Z_SYNC_FLUSH)]
    quick = b"".join([*parts, deflater.flush()])
    if len(quick) > _REPETITIVE * sum(piece.nbytes for piece in pieces):
        return quick
    return min(quick, zlib.compress(b"".join(pieces), level), key=len)
