"""The metadata of column chunks and row groups that moved, were replaced or were added.

Offsets count from the beginning of the file, so all of them shift. Besides its pages a column
chunk may have a Bloom filter, a column index and an offset index elsewhere in the file. They
are copied where the values stayed as they were. Where the values are new, the indexes are made
anew and the Bloom filter is dropped. The writer and ``add_norms`` use it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.footer import (
    Chunk,
    ChunkField,
    ColumnField,
    GroupField,
    RowGroup,
    integer,
    structure,
    values,
)
from l2cli.formats.parquet.page_index import column_index, offset_index
from l2cli.formats.parquet.pages import copy_bytes
from l2cli.formats.parquet.thrift import I32, I64, LIST, STRUCT, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from l2cli.formats.parquet.page_index import IndexedPage

_MOVING = (ColumnField.DATA_OFFSET, ColumnField.INDEX_OFFSET, ColumnField.DICTIONARY_OFFSET)
_INDEXES = (ChunkField.COLUMN_INDEX, ChunkField.OFFSET_INDEX)
"""Each followed by the field of its size in bytes."""
_TOTALS = (
    (GroupField.TOTAL_BYTES, ColumnField.UNCOMPRESSED_BYTES),
    (GroupField.COMPRESSED_BYTES, ColumnField.COMPRESSED_BYTES),
)
"""The fields of a RowGroup that add up a field of its columns."""
_BLOOM_HEADER_BYTES = 256


def moved_chunk(chunk: Chunk, start: int) -> Struct:
    """Return the ColumnChunk of a chunk that was copied to ``start``."""
    metadata = dict(chunk.metadata)
    for field_id in _MOVING:
        if offset := integer(metadata, field_id, 0):
            metadata[field_id] = I64, offset + start - chunk.start
    return replaced_chunk(chunk, metadata, start)


def replaced_chunk(chunk: Chunk, metadata: Struct, start: int) -> Struct:
    """Return the ColumnChunk of a chunk that has other metadata and begins at ``start``.

    Its ``file_offset`` says where it begins, or, of old, where it ends.
    """
    struct = {**chunk.struct, ChunkField.METADATA: (STRUCT, metadata)}
    if offset := integer(struct, ChunkField.OFFSET, 0):
        shift = start - chunk.start
        if offset >= chunk.start + chunk.size:
            shift += integer(metadata, ColumnField.COMPRESSED_BYTES) - chunk.size
        struct[ChunkField.OFFSET] = I64, max(0, offset + shift)
    return struct


def moved_group(
    group: RowGroup, columns: Mapping[int, Struct], replaced: set[int], shift: int
) -> Struct:
    """Return the RowGroup that begins ``shift`` bytes later.

    Parameters
    ----------
    group : RowGroup
        The row group of the source.
    columns : mapping of int to Struct
        Its new ColumnChunks, by leaf.
    replaced : set of int
        The leaves whose values are new.
    shift : int
        How many bytes later it begins.
    """
    moved = with_columns(
        group.struct,
        [columns[leaf] for leaf in sorted(columns)],
        [(chunk.metadata, columns[chunk.leaf]) for chunk in group.chunks],
    )
    if offset := integer(moved, GroupField.OFFSET, 0):
        moved[GroupField.OFFSET] = I64, max(0, offset + shift)
    return _with_true_order(moved, replaced)


def with_columns(
    group: Struct, columns: list[Struct], changes: Sequence[tuple[Struct, Struct]]
) -> Struct:
    """Return the RowGroup with other columns, and its totals in bytes changed accordingly.

    Parameters
    ----------
    group : Struct
        The RowGroup.
    columns : list of Struct
        All of its ColumnChunks.
    changes : sequence of (Struct, Struct)
        The ColumnMetaData before and the ColumnChunk after of each that changed; ``{}`` before
        of one that is new.
    """
    changed = {**group, GroupField.COLUMNS: (LIST, Items(STRUCT, columns))}
    for total, part in _TOTALS:
        if total in changed:
            growth = sum(
                integer(structure(after, ChunkField.METADATA), part)
                - (integer(before, part) if before else 0)
                for before, after in changes
            )
            changed[total] = I64, max(0, integer(changed, total) + growth)
    return changed


@dataclass(frozen=True)
class _ChunkIndex:
    """A Bloom filter, column index or offset index of a column chunk.

    Attributes
    ----------
    offset, size : int
        Where it is in the source.
    field_id : int
        The field of ``owner`` that holds its offset.
    owner : Struct
        The struct that is to hold its new offset.
    shift : int
        How far the pages moved that an offset index points to.
    encoded : bytes or None
        Its new bytes; ``None`` where those of the source are copied.
    """

    offset: int
    size: int
    field_id: int
    owner: Struct
    shift: int = 0
    encoded: bytes | None = None


class ChunkIndexes:
    """The Bloom filters and page indexes of all chunks, to be written after the last one."""

    def __init__(self) -> None:
        self._indexes: list[_ChunkIndex] = []

    def add(self, chunk: Chunk, moved: Struct, start: int) -> None:
        """Add the indexes of a chunk that was copied. ``moved`` is changed in :meth:`write`."""
        for field_id in _INDEXES:
            if field_id in moved:
                offset, size = integer(moved, field_id), integer(moved, field_id + 1)
                shift = start - chunk.start
                self._indexes.append(_ChunkIndex(offset, size, field_id, moved, shift))
        metadata = structure(moved, ChunkField.METADATA)
        if offset := integer(metadata, ColumnField.BLOOM, 0):
            size = integer(metadata, ColumnField.BLOOM_BYTES, 0)
            self._indexes.append(_ChunkIndex(offset, size, ColumnField.BLOOM, metadata))

    def add_new(self, replaced: Struct, start: int, pages: Sequence[IndexedPage]) -> None:
        """Make the indexes of a chunk anew, or drop those that can't be made."""
        new = column_index(pages), offset_index(pages, start)
        for field_id, encoded in zip(_INDEXES, new, strict=True):
            if field_id not in replaced:
                continue
            if pages and encoded is not None:
                offset = integer(replaced, field_id)
                index = _ChunkIndex(offset, 0, field_id, replaced, encoded=encoded)
                self._indexes.append(index)
            else:
                for stale in (field_id, field_id + 1):
                    replaced.pop(stale, None)

    def write(self, source: BinaryIO, destination: BinaryIO) -> None:
        """Append them to ``destination``, in the order that they have in ``source``."""
        source_bytes = source.seek(0, os.SEEK_END)
        for index in sorted(self._indexes, key=lambda index: (index.offset, index.field_id)):
            size = index.size
            if index.field_id == ColumnField.BLOOM:
                size = size or _bloom_bytes(source, index.offset)
            if index.offset + size > source_bytes:
                raise ValueError("a page index or Bloom filter lies outside the file")
            index.owner[index.field_id] = I64, destination.tell()
            encoded = index.encoded
            if encoded is None and index.field_id == ChunkField.OFFSET_INDEX:
                encoded = _shifted_index(source, index.offset, size, index.shift)
            if encoded is None:
                copy_bytes(source, index.offset, index.offset + size, destination)
            else:
                index.owner[index.field_id + 1] = I32, len(encoded)
                destination.write(encoded)


def _with_true_order(group: Struct, replaced: set[int]) -> Struct:
    """Keep of the sorting columns those before the first whose values changed."""
    order = values(group, GroupField.SORTING, STRUCT)
    kept = 0
    while kept < len(order) and integer(order[kept], 1) not in replaced:
        kept += 1
    if kept == len(order):
        return group
    if not kept:
        return {i: value for i, value in group.items() if i != GroupField.SORTING}
    return {**group, GroupField.SORTING: (LIST, Items(STRUCT, order[:kept]))}


def _bloom_bytes(source: BinaryIO, offset: int) -> int:
    """Return the size of a Bloom filter, which old writers left to its own header."""
    source.seek(offset)
    header, length = thrift.decode(source.read(_BLOOM_HEADER_BYTES))
    return length + integer(header, 1)


def _shifted_index(source: BinaryIO, offset: int, size: int, shift: int) -> bytes:
    source.seek(offset)
    index, _ = thrift.decode(source.read(size))
    pages = [{**page, 1: (I64, integer(page, 1) + shift)} for page in values(index, 1, STRUCT)]
    return thrift.encode({**index, 1: (LIST, Items(STRUCT, pages))})
