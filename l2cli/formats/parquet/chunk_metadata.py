"""Encoded pages, and the metadata of a column chunk that is made of several runs of them.

Both encoders return :class:`EncodedPages`; the writer adds them up in :class:`ChunkMetadata`.
Nothing here knows how pages are encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from l2cli.formats.parquet.footer import ColumnField, integer, structure, values
from l2cli.formats.parquet.statistics import merged_statistics
from l2cli.formats.parquet.thrift import I32, I64, LIST, STRUCT, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.parquet.footer import Chunk
    from l2cli.formats.parquet.page_index import IndexedPage

_KEPT_OF_SOURCE = (ColumnField.PATH, ColumnField.KEY_VALUES)
"""What stays true of a column chunk when its values change."""
_SUMS = (ColumnField.NUM_VALUES, ColumnField.UNCOMPRESSED_BYTES, ColumnField.COMPRESSED_BYTES)


@dataclass(frozen=True)
class EncodedPages:
    """Some pages of one column.

    Attributes
    ----------
    pages : sequence of bytes-like
        The bytes of the pages, in pieces.
    metadata : Struct
        Their ColumnMetaData.
    indexed : sequence of IndexedPage
        What a page index says of them; empty where there is to be none.
    """

    pages: Sequence[Any]
    metadata: Struct
    indexed: Sequence[IndexedPage] = ()

    @property
    def num_bytes(self) -> int:
        """The size of the pages."""
        return integer(self.metadata, ColumnField.COMPRESSED_BYTES)


class ChunkMetadata:
    """The metadata of a column chunk that grows by one window at a time."""

    def __init__(self) -> None:
        self._merged: Struct = {}
        self.indexed: list[IndexedPage] = []

    def add(self, encoded: EncodedPages) -> None:
        """Add the metadata of further pages."""
        metadata = encoded.metadata
        self._merged = _merge(self._merged, metadata) if self._merged else dict(metadata)
        self.indexed += encoded.indexed

    def replacing(self, chunk: Chunk, start: int) -> Struct:
        """Return the ColumnMetaData for the chunk, whose new pages begin at ``start``."""
        kept = {i: chunk.metadata[i] for i in _KEPT_OF_SOURCE if i in chunk.metadata}
        dropped = (*_KEPT_OF_SOURCE, ColumnField.SIZE_STATISTICS)
        merged = {i: value for i, value in self._merged.items() if i not in dropped}
        merged[ColumnField.DATA_OFFSET] = I64, start
        return dict(sorted({**merged, **kept}.items()))


def _merge(first: Struct, second: Struct) -> Struct:
    merged = dict(first)
    for field_id in _SUMS:
        merged[field_id] = I64, first[field_id][1] + second[field_id][1]
    encodings = values(first, ColumnField.ENCODINGS, I32)
    encodings = list(dict.fromkeys(encodings + values(second, ColumnField.ENCODINGS, I32)))
    merged[ColumnField.ENCODINGS] = LIST, Items(I32, encodings)
    merged[ColumnField.ENCODING_STATS] = LIST, Items(STRUCT, _encoding_stats(first, second))
    if ColumnField.STATISTICS in first and ColumnField.STATISTICS in second:
        statistics = [structure(part, ColumnField.STATISTICS) for part in (first, second)]
        merged[ColumnField.STATISTICS] = STRUCT, merged_statistics(*statistics)
    else:
        merged.pop(ColumnField.STATISTICS, None)
    return merged


def _encoding_stats(first: Struct, second: Struct) -> list[Struct]:
    """Add up how many pages there are of each page type (field 1) and encoding (field 2)."""
    counts: dict[tuple[int, int], int] = {}
    for metadata in (first, second):
        for entry in values(metadata, ColumnField.ENCODING_STATS, STRUCT):
            key = entry[1][1], entry[2][1]
            counts[key] = counts.get(key, 0) + entry[3][1]
    return [{1: (I32, t), 2: (I32, e), 3: (I32, n)} for (t, e), n in counts.items()]
