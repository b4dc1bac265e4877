"""The pages of a column chunk: walked by their headers, checked and copied, but not decoded.

Readers and writers walk with it, in and out of ``dense``. Of a page's body it knows the size and
the checksum alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.footer import integer, structure
from l2cli.formats.parquet.thrift import I32, Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.formats.parquet.footer import Chunk

DATA_PAGE, DATA_PAGE_V2 = 0, 3
DATA_FIELDS = {DATA_PAGE: 5, DATA_PAGE_V2: 8}
"""The field of a page header that holds what belongs to a type of data pages."""
_HEADER_BYTES = (512, 2**16, 2**24)
"""How much to read for a header; only statistics of long strings need the larger ones."""
COPY_BYTES = 2**20


class PageField:
    """Field ids of PageHeader."""

    TYPE, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, CHECKSUM = range(1, 5)


class DataField:
    """Field ids of DataPageHeader."""

    NUM_VALUES, ENCODING, DEFINITION_ENCODING, REPETITION_ENCODING, STATISTICS = range(1, 6)


class DataV2Field:
    """Field ids of DataPageHeaderV2."""

    NUM_VALUES, NUM_NULLS, NUM_ROWS, ENCODING = range(1, 5)
    DEFINITION_BYTES, REPETITION_BYTES, IS_COMPRESSED, STATISTICS = range(5, 9)


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes
    ----------
    type : int
        0 for a data page, 2 for a dictionary, 3 for a data page of version 2.
    start, body, stop : int
        Where in the file its header, its bytes and the next page begin.
    num_values : int
        Values in it, nulls included; 0 where it is no data page.
    checksum : int or None
        CRC32 of the bytes, where the file has it.
    header : Struct
        The whole header.
    """

    type: int
    start: int
    body: int
    stop: int
    num_values: int
    checksum: int | None
    header: Struct


def walk(file: BinaryIO, chunk: Chunk) -> Iterator[Page]:
    """Yield the pages of a chunk in turn, and check that they make up what the footer says.

    Raises
    ------
    ValueError
        If a page reaches beyond the chunk or the values don't add up.
    """
    start, end, num_values = chunk.start, chunk.start + chunk.size, 0
    while start < end:
        page = _page(file, start, end)
        yield page
        num_values += page.num_values
        start = page.stop
    if num_values != chunk.num_values:
        raise ValueError(
            f"a column has {num_values} values in its pages, the footer promises "
            f"{chunk.num_values}; the file is damaged"
        )


def check_pages(file: BinaryIO, chunk: Chunk) -> None:
    """Walk the pages of a chunk only to see whether they make it up."""
    for _ in walk(file, chunk):
        pass


def copy_chunk(source: BinaryIO, chunk: Chunk, destination: BinaryIO) -> None:
    """Append the bytes of a chunk to ``destination`` and check its pages as they pass."""
    for page in walk(source, chunk):
        copy_bytes(source, page.start, page.body, destination)
        checksum = copy_bytes(source, page.body, page.stop, destination)
        if page.checksum not in (None, checksum):
            raise ValueError(f"the page at byte {page.start} fails its checksum; it is damaged")


def copy_bytes(source: BinaryIO, start: int, stop: int, destination: BinaryIO) -> int:
    """Append a range of ``source`` to ``destination``, and return its CRC32."""
    source.seek(start)
    checksum = 0
    for offset in range(start, stop, COPY_BYTES):
        piece = source.read(min(COPY_BYTES, stop - offset))
        if not piece:
            raise ValueError("the file became shorter while it was read")
        checksum = zlib.crc32(piece, checksum)
        destination.write(piece)
    return checksum


def _page(file: BinaryIO, start: int, end: int) -> Page:
    header, body = _header(file, start, end)
    page_type = integer(header, PageField.TYPE)
    integer(header, PageField.UNCOMPRESSED_BYTES)
    stop = body + integer(header, PageField.COMPRESSED_BYTES)
    if stop > end:
        raise ValueError(f"the page at byte {start} reaches beyond its column; it is damaged")
    num_values = 0
    if page_type in DATA_FIELDS:
        num_values = integer(structure(header, DATA_FIELDS[page_type]), DataField.NUM_VALUES)
    checksum_type, checksum = header.get(PageField.CHECKSUM, (I32, None))
    if checksum_type != I32:
        raise ValueError(f"the header of the page at byte {start} is damaged")
    checksum = checksum and checksum & 0xFFFFFFFF  # Thrift has no unsigned integers.
    return Page(page_type, start, body, stop, num_values, checksum, header)


def _header(file: BinaryIO, start: int, end: int) -> tuple[Struct, int]:
    """Return a page header and where it ends. Its size is known only once it is decoded."""
    for size in _HEADER_BYTES:
        file.seek(start)
        raw = file.read(min(size, end - start))
        try:
            header, length = thrift.decode(raw)
        except ValueError as exc:
            if size == _HEADER_BYTES[-1] or len(raw) < size:
                raise ValueError(f"the header of the page at byte {start} is damaged") from exc
        else:
            return header, start + length
    raise AssertionError("the last size either returns or raises")
