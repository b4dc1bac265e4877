"""What must change in the metadata of column chunks that moved within the file.

Offsets count from the beginning of the file, so all of them shift. Besides its pages a column
chunk may own *annexes* elsewhere in the file: a Bloom filter and two page indexes. They follow
it where its values stayed as they were, and are left behind where they would now be untrue.
"""

from __future__ import annotations

import os
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
from l2cli.formats.parquet.pages import copy_bytes
from l2cli.formats.parquet.thrift import I32, I64, LIST, STRUCT, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOVING = (ColumnField.DATA_OFFSET, ColumnField.INDEX_OFFSET, ColumnField.DICTIONARY_OFFSET)
_OF_ANNEXES = {
    ChunkField.OFFSET_INDEX,
    ChunkField.OFFSET_INDEX_BYTES,
    ChunkField.COLUMN_INDEX,
    ChunkField.COLUMN_INDEX_BYTES,
}
_BLOOM_HEADER_BYTES = 256


def moved_chunk(chunk: Chunk, start: int) -> Struct:
    """Return the ColumnChunk of a chunk that was copied to ``start``."""
    metadata = dict(chunk.metadata)
    for field_id in _MOVING:
        if offset := integer(metadata, field_id, 0):
            metadata[field_id] = I64, offset + start - chunk.start
    return _with_offset(chunk, metadata, start)


def replaced_chunk(chunk: Chunk, metadata: Struct, start: int) -> Struct:
    """Return the ColumnChunk of a chunk whose values were replaced, without annexes."""
    replaced = _with_offset(chunk, metadata, start)
    return {i: value for i, value in replaced.items() if i not in _OF_ANNEXES}


def moved_group(
    group: RowGroup, columns: Mapping[int, Struct], replaced: set[int], shift: int
) -> Struct:
    """Return the RowGroup that begins ``shift`` bytes later.

    Parameters
    ----------
    columns
        Its new ColumnChunks, by leaf.
    replaced
        The leaves whose values are others now.
    """
    moved = dict(group.struct)
    moved[GroupField.COLUMNS] = LIST, Items(STRUCT, [columns[i] for i in sorted(columns)])
    for total, part in (
        (GroupField.TOTAL_BYTES, ColumnField.UNCOMPRESSED_BYTES),
        (GroupField.COMPRESSED_BYTES, ColumnField.COMPRESSED_BYTES),
    ):
        if total in moved:
            growth = sum(_growth(chunk, columns[chunk.leaf], part) for chunk in group.chunks)
            moved[total] = I64, max(0, moved[total][1] + growth)
    if offset := integer(moved, GroupField.OFFSET, 0):
        moved[GroupField.OFFSET] = I64, max(0, offset + shift)
    return _with_true_order(moved, replaced)


class Annexes:
    """The Bloom filters and page indexes of copied chunks, to be written after the last one."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int, int, Struct, int]] = []

    def add(self, chunk: Chunk, moved: Struct, start: int) -> None:
        """Remember the annexes of a chunk. ``moved`` is changed when they are written."""
        shift = start - chunk.start
        for field_id in (ChunkField.COLUMN_INDEX, ChunkField.OFFSET_INDEX):
            if field_id in moved:
                offset, size = integer(moved, field_id), integer(moved, field_id + 1)
                self._found.append((offset, size, field_id, moved, shift))
        metadata = structure(moved, ChunkField.METADATA)
        if offset := integer(metadata, ColumnField.BLOOM, 0):
            size = integer(metadata, ColumnField.BLOOM_BYTES, 0)
            self._found.append((offset, size, ColumnField.BLOOM, metadata, shift))

    def write(self, source: BinaryIO, destination: BinaryIO) -> None:
        """Append them to ``destination``, in the order that they have in ``source``."""
        source_bytes = source.seek(0, os.SEEK_END)
        for offset, size, field_id, owner, shift in sorted(self._found, key=lambda a: a[:3]):
            if field_id == ColumnField.BLOOM:
                size = size or _bloom_bytes(source, offset)
            if offset + size > source_bytes:
                raise ValueError("a page index or Bloom filter lies outside the file")
            owner[field_id] = I64, destination.tell()
            if field_id == ChunkField.OFFSET_INDEX:
                index = _shifted_index(source, offset, size, shift)
                owner[ChunkField.OFFSET_INDEX_BYTES] = I32, len(index)
                destination.write(index)
            else:
                copy_bytes(source, offset, offset + size, destination)


def _with_offset(chunk: Chunk, metadata: Struct, start: int) -> Struct:
    """Replace the metadata and ``file_offset``: where it begins, or, of old, where it ends."""
    struct = {**chunk.struct, ChunkField.METADATA: (STRUCT, metadata)}
    if offset := integer(struct, ChunkField.OFFSET, 0):
        shift = start - chunk.start
        if offset >= chunk.start + chunk.size:
            shift += integer(metadata, ColumnField.COMPRESSED_BYTES) - chunk.size
        struct[ChunkField.OFFSET] = I64, max(0, offset + shift)
    return struct


def _growth(chunk: Chunk, column: Struct, field_id: int) -> int:
    metadata = structure(column, ChunkField.METADATA)
    return integer(metadata, field_id) - integer(chunk.metadata, field_id)


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
