"""Dense rows decoded without pyarrow: rows of one length in which nothing is null.

The header, the size and every level of a page are compared with what they must be for such rows.
All other pages are left to pyarrow, the damaged ones too, since pyarrow says what is wrong with
them. ``parquet/decode.py`` is the only caller.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from l2cli.arrays import ITEM_SIZES, windows
from l2cli.formats.parquet.dense.levels import are_of_rows
from l2cli.formats.parquet.footer import PLAIN, RLE, ElementField, integer, structure
from l2cli.formats.parquet.pages import (
    DATA_FIELDS,
    DATA_PAGE,
    DataField,
    DataV2Field,
    PageField,
    walk,
)
from l2cli.formats.parquet.schema import ELEMENT_TYPES
from l2cli.formats.parquet.thrift import I32, TRUE, decode_varint
from l2cli.formats.tabular.lists import list_array
from l2cli.formats.tabular.structs import inside_structs, window_of
from l2cli.formats.tabular.types import storage_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.formats.parquet.footer import Chunk, Footer
    from l2cli.formats.parquet.pages import Page
    from l2cli.formats.parquet.section import Section
    from l2cli.formats.tabular.rows import Window

Array = np.ndarray[Any, Any]
Parts = tuple[memoryview, memoryview, memoryview]
"""The repetition levels, the definition levels and the values of a page."""

_CODECS = ("none", "snappy", "zstd")
"""The codecs with which a page that yields less than it promises is noticed."""
_MAX_VALUES = 2**22
"""Of one page: pyarrow needn't have all of its levels in memory."""


def dense_windows(
    section: Section, footer: Footer, file: BinaryIO
) -> tuple[int, Iterator[Window]] | None:
    """Return the windows of dense rows of a section, and the row at which they begin.

    They end before the first page that is not dense, which may be at once. The headers of all
    pages are checked meanwhile.

    Returns
    -------
    tuple of int and iterator of Window, or None
        ``None`` where pyarrow has to read the whole section.
    """
    chunk = _dense_chunk(section, footer, file)
    if chunk is None:
        return None
    num_windows = -(-chunk.first_row() // section.window_rows)
    start = min(section.group.num_rows, num_windows * section.window_rows)
    fields = section.columns.places[0].fields
    arrow_type = storage_type(fields[-1].type)
    return start, (
        window_of(
            [inside_structs(list_array(rows, arrow_type), fields)], section.columns.path_inside
        )
        for rows in chunk.read(start, section.window_rows)
    )


def _dense_chunk(section: Section, footer: Footer, file: BinaryIO) -> _DenseChunk | None:
    """Return the chunk of a list column whose values can be taken as they are stored."""
    spec = section.columns.spec
    if section.columns.is_wide or spec.dtype not in ELEMENT_TYPES:
        return None
    (chunk,) = section.chunks
    leaf = footer.leaves[chunk.leaf]
    if leaf.levels[1] != 1:
        return None
    stored_type = footer.elements[leaf.element].get(ElementField.TYPE)
    dense = _DenseChunk(file, chunk, section.group.num_rows, spec.dtype, leaf.levels[0])
    is_of_type = stored_type == ELEMENT_TYPES[spec.dtype][ElementField.TYPE]
    is_of_size = spec.row_bytes in (0, dense.length * ITEM_SIZES[spec.dtype])
    window_rows = min(section.window_rows, section.group.num_rows)
    fits_offsets = window_rows * dense.length < 2**31
    return dense if is_of_type and is_of_size and fits_offsets else None


class _NotDenseError(Exception):
    """A page has to be read by pyarrow."""


@dataclass(frozen=True)
class _DenseChunk:
    """A column chunk of which some pages may be dense.

    Attributes
    ----------
    file : binary file
        The file that it is in.
    chunk : Chunk
        The column chunk.
    num_rows : int
        How many rows it has, one at least.
    dtype : str
        The dtype of the values.
    level : int
        The largest definition level of the column.
    """

    file: BinaryIO
    chunk: Chunk
    num_rows: int
    dtype: str
    level: int

    @property
    def length(self) -> int:
        """How many values a row has where all have as many."""
        return self.chunk.num_values // self.num_rows

    def first_row(self) -> int:
        """Return the row from which on pages may be dense, judging by their headers."""
        num_values = first = 0
        for page in walk(self.file, self.chunk):
            num_values += page.num_values
            if page.num_values and not _may_be_dense(page):
                first = num_values
        if self.chunk.codec not in _CODECS or not 0 < num_values == self.num_rows * self.length:
            return self.num_rows
        return -(-first // self.length)

    def read(self, start: int, window_rows: int) -> Iterator[Array]:
        """Yield ``(window_rows, length)`` from ``start`` on, up to a page that isn't dense."""
        pages = self._values(start * self.length)
        values = np.empty(0, self.dtype)
        for first, stop in windows(self.num_rows - start, window_rows):
            window = empty = self._allocate((stop - first) * self.length)
            while len(empty):
                if not len(values):
                    try:
                        values = next(pages)
                    except (StopIteration, _NotDenseError):
                        return
                size = min(len(values), len(empty))
                empty[:size] = values[:size]
                empty, values = empty[size:], values[size:]
            yield window.reshape(-1, self.length)

    def _allocate(self, num_values: int) -> Array:
        """Return memory that is aligned as Arrow and the graph want it."""
        dtype = np.dtype(self.dtype)
        return np.frombuffer(pa.allocate_buffer(num_values * dtype.itemsize), dtype)

    def _values(self, first: int) -> Iterator[Array]:
        """Yield the values from number ``first`` on, page by page."""
        start = 0
        for page in walk(self.file, self.chunk):
            stop = start + page.num_values
            if stop > max(start, first):
                yield self._decode(page)[max(0, first - start) :]
            start = stop

    def _decode(self, page: Page) -> Array:
        """Return the values of a page."""
        self.file.seek(page.body)
        raw = self.file.read(page.stop - page.body)
        if page.checksum is not None and page.checksum != zlib.crc32(raw):
            raise _NotDenseError
        split = _split_v1 if page.type == DATA_PAGE else _split_v2
        repetition, definition, values = split(memoryview(raw), page, str(self.chunk.codec))
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if len(values) != page.num_values * dtype.itemsize:
            raise _NotDenseError
        levels = bytes(repetition), bytes(definition)
        if not are_of_rows(levels, page.num_values, self.level, self.length):
            raise _NotDenseError
        return np.frombuffer(values, dtype)


def _may_be_dense(page: Page) -> bool:
    """Return whether a page may be dense, judging by its header."""
    if page.type not in DATA_FIELDS or page.num_values > _MAX_VALUES:
        return False
    data = structure(page.header, DATA_FIELDS[page.type])
    if page.type != DATA_PAGE:
        return data.get(DataV2Field.ENCODING) == (I32, PLAIN)
    encodings = (DataField.ENCODING, DataField.DEFINITION_ENCODING, DataField.REPETITION_ENCODING)
    return [data.get(field_id) for field_id in encodings] == [(I32, PLAIN), (I32, RLE), (I32, RLE)]


def _split_v1(raw: memoryview, page: Page, codec: str) -> Parts:
    whole = _decompress(raw, codec, integer(page.header, PageField.UNCOMPRESSED_BYTES))
    repetition, rest = _cut(whole)
    definition, values = _cut(rest)
    return repetition, definition, values


def _split_v2(raw: memoryview, page: Page, codec: str) -> Parts:
    data = structure(page.header, DATA_FIELDS[page.type])
    middle = integer(data, DataV2Field.REPETITION_BYTES)
    end = middle + integer(data, DataV2Field.DEFINITION_BYTES)
    num_bytes = integer(page.header, PageField.UNCOMPRESSED_BYTES) - end
    is_compressed = data.get(DataV2Field.IS_COMPRESSED, (TRUE, True))[1]
    values = _decompress(raw[end:], codec if is_compressed else "none", num_bytes)
    return raw[:middle], raw[middle:end], values


def _cut(view: memoryview) -> tuple[memoryview, memoryview]:
    """Split off the bytes whose number stands before them."""
    end = 4 + int.from_bytes(view[:4], "little")
    return view[4:end], view[end:]


def _decompress(raw: memoryview, codec: str, num_bytes: int) -> memoryview:
    """Decompress to ``num_bytes``, no more and no fewer."""
    if codec == "none":
        return raw
    try:
        if codec == "snappy" and decode_varint(bytes(raw[:10]), 0)[0] != num_bytes:
            raise _NotDenseError  # pyarrow would leave what is missing as it found the memory
        return memoryview(pa.Codec(codec).decompress(raw, num_bytes))
    except (OSError, ValueError, IndexError) as exc:
        raise _NotDenseError from exc
