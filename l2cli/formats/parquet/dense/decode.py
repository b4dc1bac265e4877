"""Pages of rows of one length in which nothing is null, read without pyarrow.

That a page is of this kind is not believed but found out: its header, its size and every level
must be as they are for such rows. Any other page is left to pyarrow; a damaged one too, for
pyarrow knows what to say of it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from l2cli.arrays import windows
from l2cli.formats.parquet.dense.levels import are_of_rows
from l2cli.formats.parquet.footer import PLAIN, RLE, integer, structure
from l2cli.formats.parquet.pages import (
    DATA_FIELDS,
    DATA_PAGE,
    DataField,
    DataV2Field,
    PageField,
    walk,
)
from l2cli.formats.parquet.thrift import I32, TRUE, decode_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.formats.parquet.footer import Chunk
    from l2cli.formats.parquet.pages import Page

Array = np.ndarray[Any, Any]
Parts = tuple[memoryview, memoryview, memoryview]
"""The repetition levels, the definition levels and the values of a page."""

_CODECS = ("none", "snappy", "zstd")
"""With these it can be told whether a page yields as much as it promises."""
_MAX_VALUES = 2**22
"""Of one page: pyarrow needn't have all of its levels in memory."""


class _NotPlainError(Exception):
    """A page is for pyarrow."""


@dataclass(frozen=True)
class PlainChunk:
    """A column chunk of which some pages may be plain.

    Attributes
    ----------
    file
        Where it is.
    chunk
        The chunk.
    num_rows
        How many rows it has; there must be one.
    dtype
        Of the values.
    level
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
        """Return from which row on pages may be plain, as far as headers tell."""
        num_values = first = 0
        for page in walk(self.file, self.chunk):
            num_values += page.num_values
            if page.num_values and not _is_plain(page):
                first = num_values
        if self.chunk.codec not in _CODECS or not 0 < num_values == self.num_rows * self.length:
            return self.num_rows
        return -(-first // self.length)

    def read(self, start: int, window_rows: int) -> Iterator[Array]:
        """Yield ``(window_rows, length)`` from ``start`` on, up to a page that isn't plain."""
        pages = self._values(start * self.length)
        values = np.empty(0, self.dtype)
        for first, stop in windows(self.num_rows - start, window_rows):
            window = empty = self._allocate((stop - first) * self.length)
            while len(empty):
                if not len(values):
                    try:
                        values = next(pages)
                    except (StopIteration, _NotPlainError):
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
            raise _NotPlainError
        split = _split_v1 if page.kind == DATA_PAGE else _split_v2
        repetition, definition, values = split(memoryview(raw), page, str(self.chunk.codec))
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if len(values) != page.num_values * dtype.itemsize:
            raise _NotPlainError
        levels = bytes(repetition), bytes(definition)
        if not are_of_rows(levels, page.num_values, self.level, self.length):
            raise _NotPlainError
        return np.frombuffer(values, dtype)


def _is_plain(page: Page) -> bool:
    """Tell whether a page may be plain by its header."""
    if page.kind not in DATA_FIELDS or page.num_values > _MAX_VALUES:
        return False
    data = structure(page.header, DATA_FIELDS[page.kind])
    if page.kind != DATA_PAGE:
        return data.get(DataV2Field.ENCODING) == (I32, PLAIN)
    encodings = (DataField.ENCODING, DataField.DEFINITION_ENCODING, DataField.REPETITION_ENCODING)
    return [data.get(each) for each in encodings] == [(I32, PLAIN), (I32, RLE), (I32, RLE)]


def _split_v1(raw: memoryview, page: Page, codec: str) -> Parts:
    whole = _decompress(raw, codec, integer(page.header, PageField.UNCOMPRESSED_BYTES))
    repetition, rest = _cut(whole)
    definition, values = _cut(rest)
    return repetition, definition, values


def _split_v2(raw: memoryview, page: Page, codec: str) -> Parts:
    data = structure(page.header, DATA_FIELDS[page.kind])
    middle = integer(data, DataV2Field.REPETITION_BYTES)
    end = middle + integer(data, DataV2Field.DEFINITION_BYTES)
    num_bytes = integer(page.header, PageField.UNCOMPRESSED_BYTES) - end
    is_compressed = data.get(DataV2Field.IS_COMPRESSED, (TRUE, True))[1]
    values = _decompress(raw[end:], codec if is_compressed else "none", num_bytes)
    return raw[:middle], raw[middle:end], values


def _cut(view: memoryview) -> tuple[memoryview, memoryview]:
    """Cut off what has its size before it."""
    end = 4 + int.from_bytes(view[:4], "little")
    return view[4:end], view[end:]


def _decompress(raw: memoryview, codec: str, num_bytes: int) -> memoryview:
    """Decompress what must have ``num_bytes`` then."""
    if codec == "none":
        return raw
    try:
        if codec == "snappy" and decode_varint(bytes(raw[:10]), 0)[0] != num_bytes:
            raise _NotPlainError  # pyarrow would leave what is missing as it found the memory
        return memoryview(pa.Codec(codec).decompress(raw, num_bytes))
    except (OSError, ValueError, IndexError) as exc:
        raise _NotPlainError from exc
