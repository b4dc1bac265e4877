"""The metadata at the end of a Parquet file, and the ranges of the file that it claims.

All modules of this package read and change metadata with it. It never asks pyarrow, which ends
the process on some corrupt files, and it compares every number with the size of the file before
it is used. What doesn't fit is a ``ValueError``, to which
:func:`l2cli.formats.tabular.errors.as_format_error` adds the path.

Field ids are those of ``parquet.thrift`` in apache/parquet-format.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"PAR1"
ENCRYPTED_MAGIC = b"PARE"
CODECS = {0: "none", 1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4", 6: "zstd", 7: "lz4"}
"""Codec ids by what pyarrow calls them. LZO is missing: nothing but Hadoop reads it."""
PLAIN, RLE, BYTE_STREAM_SPLIT = 0, 3, 9
"""Encodings."""


class FileField:
    """Field ids of FileMetaData."""

    SCHEMA, NUM_ROWS, ROW_GROUPS, KEY_VALUES, ENCRYPTION = 2, 3, 4, 5, 8


class ElementField:
    """Field ids of SchemaElement."""

    TYPE, LENGTH, REPETITION, NAME, NUM_CHILDREN, CONVERTED, SCALE, PRECISION = range(1, 9)
    LOGICAL = 10


class GroupField:
    """Field ids of RowGroup."""

    COLUMNS, TOTAL_BYTES, NUM_ROWS, SORTING, OFFSET, COMPRESSED_BYTES = range(1, 7)


class ChunkField:
    """Field ids of ColumnChunk."""

    PATH, OFFSET, METADATA = 1, 2, 3
    OFFSET_INDEX, OFFSET_INDEX_BYTES, COLUMN_INDEX, COLUMN_INDEX_BYTES = 4, 5, 6, 7
    CRYPTO, ENCRYPTED_METADATA = 8, 9


class ColumnField:
    """Field ids of ColumnMetaData."""

    TYPE, ENCODINGS, PATH, CODEC, NUM_VALUES = range(1, 6)
    UNCOMPRESSED_BYTES, COMPRESSED_BYTES, KEY_VALUES = 6, 7, 8
    DATA_OFFSET, INDEX_OFFSET, DICTIONARY_OFFSET = 9, 10, 11
    STATISTICS, ENCODING_STATS, BLOOM, BLOOM_BYTES, SIZE_STATISTICS = 12, 13, 14, 15, 16


@dataclass(frozen=True)
class Leaf:
    """A column as Parquet means it: a leaf of the schema.

    Attributes
    ----------
    element : int
        Its position in the list of schema elements.
    top : int
        The number of the top-level column that it is (in).
    levels : (int, int)
        The largest definition level and the largest repetition level.
    """

    element: int
    top: int
    levels: tuple[int, int]


@dataclass(frozen=True)
class Chunk:
    """One column in one row group: the struct, checked, and the bytes it claims."""

    leaf: int
    struct: Struct
    start: int
    size: int
    num_values: int

    @property
    def metadata(self) -> Struct:
        """The ColumnMetaData."""
        return structure(self.struct, ChunkField.METADATA)

    @property
    def codec(self) -> str | None:
        """The codec as pyarrow calls it, None for one that it can't read."""
        return CODECS.get(integer(self.metadata, ColumnField.CODEC))

    @property
    def encodings(self) -> list[int]:
        """The ids of the encodings in use."""
        return values(self.metadata, ColumnField.ENCODINGS, I32)


@dataclass(frozen=True)
class RowGroup:
    """One row group; ``chunks`` in the order of their bytes in the file."""

    struct: Struct
    num_rows: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Footer:
    """The metadata of one file.

    Attributes
    ----------
    struct : Struct
        The FileMetaData. Not to be changed: readers and writers share it.
    num_bytes : int
        The size of the encoded footer.
    body_bytes : int
        The size of what precedes it: the column chunks, their indexes and whatever else.
    """

    struct: Struct
    num_bytes: int
    body_bytes: int

    @classmethod
    def read(cls, file: BinaryIO) -> Footer:
        """Read and check the footer of an open file.

        Raises
        ------
        ValueError
            If it isn't one, or the file is cut off, or encrypted, or in several pieces.
        """
        raw, body_bytes = raw_footer(file)
        footer = cls(thrift.decode(raw)[0], len(raw), body_bytes)
        if FileField.ENCRYPTION in footer.struct:
            raise ValueError("the file is encrypted; decrypt it first")
        promised = integer(footer.struct, FileField.NUM_ROWS)
        if promised not in (0, footer.num_rows):  # some writers don't count, and write 0
            raise ValueError(
                f"the row groups have {footer.num_rows} rows, not the {promised} that the "
                "footer promises; the file is damaged"
            )
        if not promised:
            footer.struct[FileField.NUM_ROWS] = I64, footer.num_rows
        return footer

    @cached_property
    def num_rows(self) -> int:
        """Rows of the file, according to its row groups."""
        return sum(group.num_rows for group in self.row_groups)

    @cached_property
    def elements(self) -> list[Struct]:
        """The schema: a tree, node before children."""
        return values(self.struct, FileField.SCHEMA, STRUCT)

    @cached_property
    def leaves(self) -> list[Leaf]:
        """The leaves of the schema, in its order."""
        return list(_leaves(self.elements))

    @cached_property
    def row_groups(self) -> list[RowGroup]:
        """The row groups, in the footer's order, checked against the size of the file."""
        structs = values(self.struct, FileField.ROW_GROUPS, STRUCT)
        return [_row_group(struct, len(self.leaves), self.body_bytes) for struct in structs]

    @cached_property
    def key_values(self) -> dict[bytes, bytes]:
        """The key-value metadata that have a value."""
        pairs = values(self.struct, FileField.KEY_VALUES, STRUCT)
        return {pair[1][1]: pair[2][1] for pair in pairs if _is_pair(pair)}

    @cached_property
    def leaves_of(self) -> dict[int, list[int]]:
        """The numbers of the leaves of each top-level column."""
        leaves: dict[int, list[int]] = {}
        for number, leaf in enumerate(self.leaves):
            leaves.setdefault(leaf.top, []).append(number)
        return leaves

    @cached_property
    def chunks_of(self) -> dict[int, list[Chunk]]:
        """The chunks of each leaf, row group by row group."""
        chunks: dict[int, list[Chunk]] = {leaf: [] for leaf in range(len(self.leaves))}
        for group in self.row_groups:
            for chunk in group.chunks:
                chunks[chunk.leaf].append(chunk)
        return chunks


def footer_bytes(struct: Struct) -> bytes:
    """Return what a file ends with: the encoded FileMetaData, its size and the magic bytes."""
    raw = thrift.encode(struct)
    return raw + len(raw).to_bytes(4, "little") + MAGIC


def integer(struct: Struct, field_id: int, default: int | None = None) -> int:
    """Return a number of 0 or more that a struct holds."""
    field_type, value = struct.get(field_id, (I64, default))
    if field_type not in (I32, I64) or value is None:
        raise ValueError(f"the metadata lacks the number in field {field_id}")
    if value < 0:
        raise ValueError(f"the metadata has {value} in field {field_id}, which can't be negative")
    return int(value)


def structure(struct: Struct, field_id: int) -> Struct:
    """Return a struct that a struct holds."""
    field_type, value = struct.get(field_id, (0, None))
    if field_type != STRUCT:
        raise ValueError(f"the metadata lacks the struct in field {field_id}")
    inner: Struct = value
    return inner


def values(struct: Struct, field_id: int, element_type: int) -> list[Any]:
    """Return the elements of a list that a struct holds, none where it holds no such list."""
    field_type, items = struct.get(field_id, (LIST, Items(element_type, [])))
    if field_type != LIST or (items.values and items.element_type != element_type):
        raise ValueError(f"the metadata lacks the list in field {field_id}")
    elements: list[Any] = items.values
    return elements


def raw_footer(file: BinaryIO) -> tuple[bytes, int]:
    """Return the encoded footer of an open file, and where it begins."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(4)
    if head == ENCRYPTED_MAGIC:
        raise ValueError("the file is encrypted; decrypt it first")
    if head != MAGIC:
        raise ValueError("not a Parquet file: it doesn't begin with PAR1")
    file.seek(max(4, size - 8))
    tail = file.read(8)
    if tail[4:] != MAGIC:
        raise ValueError("the file is cut off: it doesn't end with PAR1")
    length = int.from_bytes(tail[:4], "little")
    body_bytes = size - 8 - length
    if body_bytes < 4:
        raise ValueError(f"damaged: a footer of {length} bytes in a file of {size}")
    file.seek(body_bytes)
    return file.read(length), body_bytes


def _leaves(elements: list[Struct]) -> Iterator[Leaf]:
    """Walk the tree; a frame is (children to come, levels of the parent)."""
    if not elements:
        raise ValueError("the schema is empty")
    frames = [(integer(elements[0], ElementField.NUM_CHILDREN, 0), (0, 0))]
    top = -1
    for number, element in enumerate(elements[1:], 1):
        while frames and not frames[-1][0]:
            frames.pop()
        if not frames or element.get(ElementField.NAME, (0,))[0] != BINARY:
            raise ValueError("the schema isn't a tree of columns")
        top += len(frames) == 1
        frames[-1] = frames[-1][0] - 1, frames[-1][1]
        levels = _deeper(frames[-1][1], element)
        if ElementField.TYPE in element:
            yield Leaf(number, top, levels)
        else:
            frames.append((integer(element, ElementField.NUM_CHILDREN, 0), levels))
    if any(children for children, _ in frames):
        raise ValueError("the schema is cut off")


def _deeper(levels: tuple[int, int], element: Struct) -> tuple[int, int]:
    """Return the levels below an element: 0 is required, 1 optional, 2 repeated."""
    repetition = integer(element, ElementField.REPETITION, 0)
    return levels[0] + (repetition > 0), levels[1] + (repetition == 2)


def _row_group(struct: Struct, num_leaves: int, body_bytes: int) -> RowGroup:
    columns = values(struct, GroupField.COLUMNS, STRUCT)
    if len(columns) != num_leaves:
        raise ValueError(f"a row group has {len(columns)} columns, the schema {num_leaves}")
    chunks = [_chunk(leaf, column, body_bytes) for leaf, column in enumerate(columns)]
    chunks.sort(key=lambda chunk: chunk.start)
    end = 0
    for chunk in chunks:
        if chunk.size and chunk.start < end:
            raise ValueError("damaged: two columns claim the same bytes of the file")
        end = max(end, chunk.start + chunk.size)
    return RowGroup(struct, integer(struct, GroupField.NUM_ROWS), tuple(chunks))


def _chunk(leaf: int, struct: Struct, body_bytes: int) -> Chunk:
    if ChunkField.PATH in struct:
        raise ValueError("its columns are in other files; name those (this is a summary)")
    if ChunkField.CRYPTO in struct or ChunkField.ENCRYPTED_METADATA in struct:
        raise ValueError("the file has encrypted columns; decrypt it first")
    metadata = structure(struct, ChunkField.METADATA)
    first = integer(metadata, ColumnField.DATA_OFFSET)
    # Some writers say 0 where there is no dictionary, or nothing but one.
    offsets = filter(None, (first, integer(metadata, ColumnField.DICTIONARY_OFFSET, 0)))
    start = min(offsets, default=0)
    size = integer(metadata, ColumnField.COMPRESSED_BYTES)
    stop = max(first, start + size)
    if size and (start < len(MAGIC) or stop > body_bytes):
        raise ValueError(
            f"a column claims bytes {start} to {stop}, but the columns end at "
            f"byte {body_bytes}; the file is damaged or cut off"
        )
    return Chunk(leaf, struct, start, size, integer(metadata, ColumnField.NUM_VALUES))


def with_key_values(footer: Footer, changed: dict[bytes, bytes]) -> Items:
    """Return the key-value metadata with some values changed."""
    pairs = values(footer.struct, FileField.KEY_VALUES, STRUCT)
    return Items(STRUCT, [_with_value(pair, changed) for pair in pairs])


def _with_value(pair: Struct, changed: dict[bytes, bytes]) -> Struct:
    if _is_pair(pair) and pair[1][1] in changed:
        return {**pair, 2: (BINARY, changed[pair[1][1]])}
    return pair


def _is_pair(pair: Struct) -> bool:
    """Return whether a KeyValue has both a key and a value; the value is optional."""
    return pair.get(1, (0,))[0] == BINARY and pair.get(2, (0,))[0] == BINARY
