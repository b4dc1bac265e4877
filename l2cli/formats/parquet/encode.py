"""New pages for a column chunk by pyarrow, and the metadata that goes with any pages.

pyarrow's writer keeps a whole row group in memory, and row groups of gigabytes are common. So
each window is written as a tiny Parquet file of its own, in memory, and its pages are cut out.
Pages that don't share a dictionary are independent of each other: laid end to end they are one
column chunk, with metadata that add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.footer import (
    BYTE_STREAM_SPLIT,
    ChunkField,
    ColumnField,
    FileField,
    GroupField,
    integer,
    structure,
    values,
)
from l2cli.formats.parquet.page_index import IndexedPage, indexed_pages
from l2cli.formats.parquet.pages import DATA_PAGE_V2, walk
from l2cli.formats.parquet.statistics import merged_statistics
from l2cli.formats.parquet.thrift import I32, I64, LIST, STRUCT, Items, Struct
from l2cli.formats.tabular.types import list_depth, storage_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.parquet.footer import Chunk
    from l2cli.formats.tabular.columns import Place
    from l2cli.formats.tabular.types import ArrowType

ArrowArray = Any

_KEPT_OF_SOURCE = (ColumnField.PATH, ColumnField.KEY_VALUES)
"""What stays true of a column chunk when its values change."""
_SUMS = (ColumnField.NUM_VALUES, ColumnField.UNCOMPRESSED_BYTES, ColumnField.COMPRESSED_BYTES)


@dataclass(frozen=True)
class Style:
    """How a column chunk was written, as far as its successor is to be written so too."""

    codec: str
    has_statistics: bool
    has_index: bool
    has_checksums: bool
    is_split: bool
    page_version: str

    @classmethod
    def of(cls, source: BinaryIO, chunk: Chunk) -> Style:
        """Look at a chunk's metadata and at its first pages."""
        pages = walk(source, chunk) if chunk.size else iter(())
        first = next(pages, None)
        data = first if first is None or first.num_values else next(pages, None)
        return cls(
            codec=chunk.codec or "none",
            has_statistics=ColumnField.STATISTICS in chunk.metadata,
            has_index=ChunkField.OFFSET_INDEX in chunk.struct,
            has_checksums=first is not None and first.checksum is not None,
            is_split=BYTE_STREAM_SPLIT in chunk.encodings,
            page_version="2.0" if data and data.kind == DATA_PAGE_V2 else "1.0",
        )


def encode(
    arrays: Sequence[ArrowArray], sources: Sequence[Place], styles: Sequence[Style]
) -> list[Encoded]:
    """Encode each of some columns of equal length.

    Parameters
    ----------
    arrays
        What is to be written: top-level columns, with one column inside a struct.
    sources
        Where each is in the source: levels depend on whether it is nullable.
    styles
        How to write each. Checksums and the version of the pages are those of the first.
    """
    fields = [
        pa.field(str(number), array.type, nullable=source.fields[0].nullable)
        for number, (array, source) in enumerate(zip(arrays, sources, strict=True))
    ]
    table = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **_options(fields, styles)) as writer:
        writer.write_batch(table, row_group_size=max(1, table.num_rows))
    return _cut_out(sink.getvalue(), styles)


@dataclass(frozen=True)
class Encoded:
    """Pages of one column, in pieces, their ColumnMetaData, and what a page index says of them."""

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

    def add(self, encoded: Encoded) -> None:
        """Take in the metadata of further pages."""
        metadata = encoded.metadata
        self._merged = _merge(self._merged, metadata) if self._merged else dict(metadata)
        self.indexed += encoded.indexed

    def in_place_of(self, chunk: Chunk, start: int) -> Struct:
        """Return the ColumnMetaData of the chunk, whose pages begin at ``start``."""
        kept = {i: chunk.metadata[i] for i in _KEPT_OF_SOURCE if i in chunk.metadata}
        dropped = (*_KEPT_OF_SOURCE, ColumnField.SIZE_STATISTICS)
        merged = {i: value for i, value in self._merged.items() if i not in dropped}
        merged[ColumnField.DATA_OFFSET] = I64, start
        return dict(sorted({**merged, **kept}.items()))


def _cut_out(file: Any, styles: Sequence[Style]) -> list[Encoded]:
    """Return the column chunks of a file that we made, which needs no checking."""
    raw = memoryview(file)
    length = int.from_bytes(raw[-8:-4], "little")
    footer, _ = thrift.decode(bytes(raw[-8 - length : -8]))
    (group,) = values(footer, FileField.ROW_GROUPS, STRUCT)
    columns = values(group, GroupField.COLUMNS, STRUCT)
    found = []
    for column, style in zip(columns, styles, strict=True):
        metadata = structure(column, ChunkField.METADATA)
        if not style.has_statistics:
            metadata.pop(ColumnField.STATISTICS, None)
        num_rows = integer(group, GroupField.NUM_ROWS)
        indexed = indexed_pages(raw, column, num_rows) if style.has_index else ()
        start = integer(metadata, ColumnField.DATA_OFFSET)  # there is no dictionary before it
        size = integer(metadata, ColumnField.COMPRESSED_BYTES)
        found.append(Encoded([raw[start : start + size]], metadata, indexed))
    return found


def _options(fields: Sequence[Any], styles: Sequence[Style]) -> dict[str, Any]:
    paths = [".".join((field.name, *_path_inside(field.type))) for field in fields]
    pairs = list(zip(paths, styles, strict=True))
    return {
        "use_dictionary": False,
        "store_schema": False,
        "compression": {path: style.codec for path, style in pairs},
        "write_statistics": [
            path for path, style in pairs if style.has_statistics or style.has_index
        ],
        "write_page_index": any(style.has_index for style in styles),
        "use_byte_stream_split": [path for path, style in pairs if style.is_split],
        "write_page_checksum": styles[0].has_checksums,
        "data_page_version": styles[0].page_version,
    }


def _path_inside(arrow_type: ArrowType) -> list[str]:
    """Return the names on the way from a top-level column to its only leaf."""
    arrow_type = storage_type(arrow_type)
    if pa.types.is_struct(arrow_type):
        (field,) = arrow_type
        return [field.name, *_path_inside(field.type)]
    return ["list", "element"] * list_depth(arrow_type)


def _merge(one: Struct, other: Struct) -> Struct:
    merged = dict(one)
    for field_id in _SUMS:
        merged[field_id] = I64, one[field_id][1] + other[field_id][1]
    encodings = values(one, ColumnField.ENCODINGS, I32)
    encodings = list(dict.fromkeys(encodings + values(other, ColumnField.ENCODINGS, I32)))
    merged[ColumnField.ENCODINGS] = LIST, Items(I32, encodings)
    merged[ColumnField.ENCODING_STATS] = LIST, Items(STRUCT, _encoding_stats(one, other))
    if ColumnField.STATISTICS in one and ColumnField.STATISTICS in other:
        statistics = [structure(each, ColumnField.STATISTICS) for each in (one, other)]
        merged[ColumnField.STATISTICS] = STRUCT, merged_statistics(*statistics)
    else:
        merged.pop(ColumnField.STATISTICS, None)
    return merged


def _encoding_stats(one: Struct, other: Struct) -> list[Struct]:
    """Add up how many pages there are of each kind (field 1) and encoding (field 2)."""
    counts: dict[tuple[int, int], int] = {}
    for metadata in (one, other):
        for entry in values(metadata, ColumnField.ENCODING_STATS, STRUCT):
            key = entry[1][1], entry[2][1]
            counts[key] = counts.get(key, 0) + entry[3][1]
    return [{1: (I32, k), 2: (I32, e), 3: (I32, n)} for (k, e), n in counts.items()]
