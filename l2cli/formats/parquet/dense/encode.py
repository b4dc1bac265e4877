"""Dense rows encoded without pyarrow: rows of one length in which nothing is null.

Most files of vectors hold only such rows. Their values are encoded as they lie in memory and
their levels are known beforehand, so a page costs little more than a copy. ``parquet/encode.py``
is the only caller.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.arrays import windows
from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.chunk_metadata import EncodedPages
from l2cli.formats.parquet.dense.levels import definition_levels, repetition_levels
from l2cli.formats.parquet.footer import CODECS, PLAIN, RLE, ColumnField, ElementField
from l2cli.formats.parquet.page_index import IndexedPage
from l2cli.formats.parquet.pages import (
    DATA_FIELDS,
    DATA_PAGE,
    DATA_PAGE_V2,
    DataField,
    DataV2Field,
    PageField,
)
from l2cli.formats.parquet.schema import ELEMENT_TYPES
from l2cli.formats.parquet.statistics import statistics_of
from l2cli.formats.parquet.thrift import FALSE, I32, I64, LIST, STRUCT, TRUE, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.formats.parquet.writer_properties import WriterProperties
    from l2cli.formats.tabular.rows import Window

Array = np.ndarray[Any, Any]

_PAGE_BYTES = 2**20
"""Bytes of values that fill a page, as with pyarrow."""
_CODEC_IDS = {name: number for number, name in CODECS.items()}
_ARROW_CODECS = {"lz4": "lz4_raw"}
"""Names of codecs, where they aren't those that pyarrow's writer calls them by."""


def encode_dense(
    window: Window, results: Sequence[Array], dtype: str, level: int, properties: WriterProperties
) -> Iterator[EncodedPages] | None:
    """Encode a window of dense rows, page by page; ``None`` where pyarrow has to do it.

    Parameters
    ----------
    window : Window
        The rows as they were.
    results : sequence of ndarray
        The new rows of each part of the window.
    dtype : str
        The dtype of the new rows.
    level : int
        The largest definition level of the column.
    properties : WriterProperties
        How to write them.
    """
    if not window.is_dense or properties.is_split or dtype not in ELEMENT_TYPES:
        return None
    rows = np.ascontiguousarray(results[0], dtype)
    # Rows that are larger than a page are pyarrow's to cut.
    if rows.itemsize * rows.shape[1] > _PAGE_BYTES:
        return None
    page_rows = -(-_PAGE_BYTES // rows[0].nbytes)
    pages = windows(len(rows), page_rows)
    return (_encode_page(rows[start:stop], level, properties) for start, stop in pages)


@dataclass(frozen=True)
class _Body:
    """What follows the header of a page.

    Attributes
    ----------
    page_type : int
        The type of the page, ``DATA_PAGE`` or ``DATA_PAGE_V2``.
    parts : list of object
        The bytes, in pieces.
    uncompressed_bytes : int
        Their size if nothing were compressed.
    data_header : Struct
        The part of the page header that belongs to the type of the page.
    """

    page_type: int
    parts: list[Any]
    uncompressed_bytes: int
    data_header: Struct

    @property
    def num_bytes(self) -> int:
        return sum(map(len, self.parts))


def _encode_page(rows: Array, level: int, properties: WriterProperties) -> EncodedPages:
    make_body = _body_v2 if properties.page_version == "2.0" else _body_v1
    body = make_body(rows, level, properties.codec)
    statistics = statistics_of(rows) if properties.has_statistics or properties.has_index else {}
    kept = statistics if properties.has_statistics else {}
    header = _header(body, kept, has_checksum=properties.has_checksums)
    num_pages = {1: (I32, body.page_type), 2: (I32, PLAIN), 3: (I32, 1)}
    metadata: Struct = {
        ColumnField.TYPE: ELEMENT_TYPES[rows.dtype.name][ElementField.TYPE],
        ColumnField.ENCODINGS: (LIST, Items(I32, [RLE, PLAIN])),
        ColumnField.CODEC: (I32, _CODEC_IDS[properties.codec]),
        ColumnField.NUM_VALUES: (I64, rows.size),
        ColumnField.UNCOMPRESSED_BYTES: (I64, len(header) + body.uncompressed_bytes),
        ColumnField.COMPRESSED_BYTES: (I64, len(header) + body.num_bytes),
        ColumnField.ENCODING_STATS: (LIST, Items(STRUCT, [num_pages])),
    }
    if kept:
        metadata[ColumnField.STATISTICS] = STRUCT, kept
    num_bytes = len(header) + body.num_bytes
    indexed = (
        [IndexedPage.of_numbers(num_bytes, len(rows), statistics)] if properties.has_index else []
    )
    return EncodedPages([header, *body.parts], metadata, indexed)


def _body_v1(rows: Array, level: int, codec: str) -> _Body:
    """Return levels and values, compressed as one."""
    levels = repetition_levels(*rows.shape), definition_levels(rows.size, level)
    sized = [len(part).to_bytes(4, "little") + part for part in levels]
    whole = b"".join((*sized, rows.data))
    data: Struct = {
        DataField.NUM_VALUES: (I32, rows.size),
        DataField.ENCODING: (I32, PLAIN),
        DataField.DEFINITION_ENCODING: (I32, RLE),
        DataField.REPETITION_ENCODING: (I32, RLE),
    }
    return _Body(DATA_PAGE, [_compressed(whole, codec)], len(whole), data)


def _body_v2(rows: Array, level: int, codec: str) -> _Body:
    """Return the levels as they are, and the values compressed if that makes them smaller."""
    repetition, definition = repetition_levels(*rows.shape), definition_levels(rows.size, level)
    values = rows.reshape(-1).view(np.uint8).data
    compressed = _compressed(values, codec)
    is_smaller = len(compressed) < len(values)
    data: Struct = {
        DataV2Field.NUM_VALUES: (I32, rows.size),
        DataV2Field.NUM_NULLS: (I32, 0),
        DataV2Field.NUM_ROWS: (I32, len(rows)),
        DataV2Field.ENCODING: (I32, PLAIN),
        DataV2Field.DEFINITION_BYTES: (I32, len(definition)),
        DataV2Field.REPETITION_BYTES: (I32, len(repetition)),
        DataV2Field.IS_COMPRESSED: (TRUE if is_smaller else FALSE, is_smaller),
    }
    parts = [repetition, definition, compressed if is_smaller else values]
    num_bytes = len(repetition) + len(definition) + len(values)
    return _Body(DATA_PAGE_V2, parts, num_bytes, data)


def _header(body: _Body, statistics: Struct, *, has_checksum: bool) -> bytes:
    data = dict(body.data_header)
    if statistics:
        field_id = DataField.STATISTICS if body.page_type == DATA_PAGE else DataV2Field.STATISTICS
        data[field_id] = STRUCT, statistics
    header: Struct = {
        PageField.TYPE: (I32, body.page_type),
        PageField.UNCOMPRESSED_BYTES: (I32, body.uncompressed_bytes),
        PageField.COMPRESSED_BYTES: (I32, body.num_bytes),
    }
    if has_checksum:
        checksum = 0
        for part in body.parts:
            checksum = zlib.crc32(part, checksum)
        # Thrift has no unsigned integers.
        header[PageField.CHECKSUM] = I32, (checksum ^ 2**31) - 2**31
    header[DATA_FIELDS[body.page_type]] = STRUCT, data
    return thrift.encode(header)


def _compressed(values: Any, codec: str) -> Any:
    return values if codec == "none" else pa.Codec(_ARROW_CODECS.get(codec, codec)).compress(values)
