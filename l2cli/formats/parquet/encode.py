"""The pages of a window: those of dense rows are made in ``dense``, all others by pyarrow.

pyarrow's writer keeps a whole row group in memory, and row groups of gigabytes are common. So
each window is written as a tiny Parquet file of its own, in memory, and its pages are cut out.
Pages that don't share a dictionary are independent of each other: laid end to end they are one
column chunk, with metadata that add up. The writer is the only caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.chunk_metadata import EncodedPages
from l2cli.formats.parquet.dense.encode import encode_dense
from l2cli.formats.parquet.footer import (
    ChunkField,
    ColumnField,
    FileField,
    GroupField,
    integer,
    structure,
    values,
)
from l2cli.formats.parquet.page_index import indexed_pages
from l2cli.formats.parquet.thrift import STRUCT
from l2cli.formats.tabular.types import list_depth, storage_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.parquet.footer import Footer
    from l2cli.formats.parquet.writer_properties import WriterProperties
    from l2cli.formats.tabular.rows import Window
    from l2cli.formats.tabular.schema import Change
    from l2cli.formats.tabular.types import ArrowType


def encode(
    window: Window,
    results: Sequence[np.ndarray[Any, Any]],
    change: Change[Columns],
    properties: Sequence[WriterProperties],
    footer: Footer,
    *,
    dense: bool,
) -> Iterable[tuple[int, EncodedPages]]:
    """Encode a window of an array, and yield the leaf and the pages of each column.

    Parameters
    ----------
    window : Window
        The rows as they were.
    results : sequence of ndarray
        The new rows of each part of the window.
    change : Change
        The array, and what becomes of it.
    properties : sequence of WriterProperties
        How to write each column. Checksums and the version of the pages are those of the first.
    footer : Footer
        The metadata of the source.
    dense : bool
        Whether to encode dense rows without pyarrow.
    """
    leaves = change.columns.leaves
    if dense:
        level, _ = footer.leaves[leaves[0]].levels
        dense_pages = encode_dense(window, results, change.dtype, level, properties[0])
        if dense_pages is not None:
            return ((leaves[0], pages) for pages in dense_pages)
    arrays = window.rebuild(results, change.dtype, change.length)
    fields = [
        pa.field(str(number), array.type, nullable=place.fields[0].nullable)
        for number, (array, place) in enumerate(zip(arrays, change.columns.places, strict=True))
    ]
    table = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **_options(fields, properties)) as writer:
        writer.write_batch(table, row_group_size=max(1, table.num_rows))
    return zip(leaves, _cut_out(sink.getvalue(), properties), strict=True)


def _cut_out(file: Any, properties: Sequence[WriterProperties]) -> list[EncodedPages]:
    """Return the column chunks of a file that was made here, and so needs no checking."""
    raw = memoryview(file)
    length = int.from_bytes(raw[-8:-4], "little")
    footer, _ = thrift.decode(bytes(raw[-8 - length : -8]))
    (group,) = values(footer, FileField.ROW_GROUPS, STRUCT)
    columns = values(group, GroupField.COLUMNS, STRUCT)
    chunks = []
    for column, column_properties in zip(columns, properties, strict=True):
        metadata = structure(column, ChunkField.METADATA)
        if not column_properties.has_statistics:
            metadata.pop(ColumnField.STATISTICS, None)
        num_rows = integer(group, GroupField.NUM_ROWS)
        indexed = indexed_pages(raw, column, num_rows) if column_properties.has_index else ()
        start = integer(metadata, ColumnField.DATA_OFFSET)  # there is no dictionary before it
        size = integer(metadata, ColumnField.COMPRESSED_BYTES)
        chunks.append(EncodedPages([raw[start : start + size]], metadata, indexed))
    return chunks


def _options(fields: Sequence[Any], properties: Sequence[WriterProperties]) -> dict[str, Any]:
    """Return the arguments of pyarrow's writer."""
    paths = [".".join((field.name, *_path_inside(field.type))) for field in fields]
    pairs = list(zip(paths, properties, strict=True))
    return {
        "use_dictionary": False,
        "store_schema": False,
        "compression": {path: column.codec for path, column in pairs},
        "write_statistics": [
            path for path, column in pairs if column.has_statistics or column.has_index
        ],
        "write_page_index": any(column.has_index for column in properties),
        "use_byte_stream_split": [path for path, column in pairs if column.is_split],
        "write_page_checksum": properties[0].has_checksums,
        "data_page_version": properties[0].page_version,
    }


def _path_inside(arrow_type: ArrowType) -> list[str]:
    """Return the names on the way from a top-level column to its only leaf."""
    arrow_type = storage_type(arrow_type)
    if pa.types.is_struct(arrow_type):
        (field,) = arrow_type
        return [field.name, *_path_inside(field.type)]
    return ["list", "element"] * list_depth(arrow_type)
