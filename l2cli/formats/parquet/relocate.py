"""What must change in the metadata of column chunks that moved within the file.

Offsets count from the beginning of the file, so all of them shift. Besides its pages a column
chunk may own *indexes* elsewhere in the file: a Bloom filter, a column index and an offset index.
They follow it where its values stayed as they were. Where the values are others now, the indexes
are made anew and the Bloom filter is dropped.
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


@dataclass(frozen=True)
class _Annex:
    """A Bloom filter, column index or offset index.

    Attributes
    ----------
    offset, size
        Where it is in the source.
    field_id
        Of the field that says where it is, in ``owner``.
    shift
        How far the pages moved that an offset index points to.
    index
        What it is now; ``None`` for what it was.
    """

    offset: int
    size: int
    field_id: int
    owner: Struct
    shift: int = 0
    index: bytes | None = None


class Annexes:
    """The Bloom filters and page indexes of all chunks, to be written after the last one."""

    def __init__(self) -> None:
        self._found: list[_Annex] = []

    def add(self, chunk: Chunk, moved: Struct, start: int) -> None:
        """Remember the indexes of a chunk. ``moved`` is changed when they are written."""
        for field_id in _INDEXES:
            if field_id in moved:
                place = integer(moved, field_id), integer(moved, field_id + 1)
                self._found.append(_Annex(*place, field_id, moved, start - chunk.start))
        metadata = structure(moved, ChunkField.METADATA)
        if offset := integer(metadata, ColumnField.BLOOM, 0):
            size = integer(metadata, ColumnField.BLOOM_BYTES, 0)
            self._found.append(_Annex(offset, size, ColumnField.BLOOM, metadata))

    def add_index(self, replaced: Struct, start: int, pages: Sequence[IndexedPage]) -> None:
        """Make anew the indexes that a chunk had, or drop them where that can't be."""
        new = column_index(pages), offset_index(pages, start)
        for field_id, index in zip(_INDEXES, new, strict=True):
            if field_id not in replaced:
                continue
            if pages and index is not None:
                offset = integer(replaced, field_id)
                self._found.append(_Annex(offset, 0, field_id, replaced, index=index))
            else:
                for stale in (field_id, field_id + 1):
                    replaced.pop(stale, None)

    def write(self, source: BinaryIO, destination: BinaryIO) -> None:
        """Append them to ``destination``, in the order that they have in ``source``."""
        source_bytes = source.seek(0, os.SEEK_END)
        for annex in sorted(self._found, key=lambda annex: (annex.offset, annex.field_id)):
            size = annex.size
            if annex.field_id == ColumnField.BLOOM:
                size = size or _bloom_bytes(source, annex.offset)
            if annex.offset + size > source_bytes:
                raise ValueError("a page index or Bloom filter lies outside the file")
            annex.owner[annex.field_id] = I64, destination.tell()
            index = annex.index
            if index is None and annex.field_id == ChunkField.OFFSET_INDEX:
                index = _shifted_index(source, annex.offset, size, annex.shift)
            if index is None:
                copy_bytes(source, annex.offset, annex.offset + size, destination)
            else:
                annex.owner[annex.field_id + 1] = I32, len(index)
                destination.write(index)


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
