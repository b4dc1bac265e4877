"""How a column chunk was written, so that the chunk in its place is written the same way.

The writer reads these properties from the source, and both encoders follow them. They are a
part of pyarrow's and parquet-cpp's "writer properties".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from l2cli.formats.parquet.footer import BYTE_STREAM_SPLIT, ChunkField, ColumnField
from l2cli.formats.parquet.pages import DATA_PAGE_V2, walk

if TYPE_CHECKING:
    from l2cli.formats.parquet.footer import Chunk


@dataclass(frozen=True)
class WriterProperties:
    """The writer properties of one column chunk.

    Attributes
    ----------
    codec : str
        The compression codec, as pyarrow calls it.
    has_statistics, has_index, has_checksums : bool
        Whether it has statistics, a page index, and a checksum for each page.
    is_split : bool
        Whether its encoding is BYTE_STREAM_SPLIT.
    page_version : str
        The version of its data pages, ``"1.0"`` or ``"2.0"``.
    """

    codec: str
    has_statistics: bool
    has_index: bool
    has_checksums: bool
    is_split: bool
    page_version: str

    @classmethod
    def of(cls, source: BinaryIO, chunk: Chunk) -> WriterProperties:
        """Return the properties of a chunk, from its metadata and its first pages."""
        pages = walk(source, chunk) if chunk.size else iter(())
        first = next(pages, None)
        data_page = first if first is None or first.num_values else next(pages, None)
        return cls(
            codec=chunk.codec or "none",
            has_statistics=ColumnField.STATISTICS in chunk.metadata,
            has_index=ChunkField.OFFSET_INDEX in chunk.struct,
            has_checksums=first is not None and first.checksum is not None,
            is_split=BYTE_STREAM_SPLIT in chunk.encodings,
            page_version="2.0" if data_page and data_page.type == DATA_PAGE_V2 else "1.0",
        )
