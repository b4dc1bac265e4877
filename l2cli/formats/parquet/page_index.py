"""The page index of a column chunk: where its pages are, and the bounds of each page's values.

Readers skip the pages that can't hold what they look for. The index is in two parts near the end
of the file, an *offset index* and a *column index*: ``PageIndex.md`` of apache/parquet-format.
Field ids are those of ``parquet.thrift``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.footer import ChunkField, integer, values
from l2cli.formats.parquet.statistics import bounds_of, order_of
from l2cli.formats.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, TRUE, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOCATIONS = 1
_OFFSET, _PAGE_BYTES, _FIRST_ROW = 1, 2, 3
_NULL_PAGES, _LEAST, _GREATEST, _BOUNDARY_ORDER, _NULL_COUNTS = 1, 2, 3, 4, 5
_UNORDERED, _ASCENDING, _DESCENDING = 0, 1, 2


@dataclass(frozen=True)
class IndexedPage:
    """What the page index says of one page.

    Attributes
    ----------
    num_bytes : int
        Its size, the header included.
    bounds : (bytes, bytes) or None
        The least and the greatest number in it, encoded; ``None`` where it holds none.
    num_nulls : int
        How many values are null.
    is_null : bool
        Whether all are.
    """

    num_bytes: int
    num_rows: int
    bounds: tuple[bytes, bytes] | None
    num_nulls: int = 0
    is_null: bool = False

    @classmethod
    def of_numbers(cls, num_bytes: int, num_rows: int, statistics: Struct) -> IndexedPage:
        """Describe a page in which nothing is null."""
        return cls(num_bytes, num_rows, bounds_of(statistics))


def indexed_pages(raw: memoryview, column: Struct, num_rows: int) -> list[IndexedPage]:
    """Return the pages of a column chunk from the index in a file that pyarrow made.

    Parameters
    ----------
    raw : memoryview
        The file.
    column : Struct
        The ColumnChunk.
    num_rows : int
        Of the row group.
    """
    located = values(_part(raw, column, ChunkField.OFFSET_INDEX), _LOCATIONS, STRUCT)
    starts = [integer(page, _FIRST_ROW) for page in located]
    described = _described(_part(raw, column, ChunkField.COLUMN_INDEX), len(located))
    return [
        IndexedPage(integer(page, _PAGE_BYTES), stop - start, *what)
        for page, (start, stop), what in zip(
            located, pairwise([*starts, num_rows]), described, strict=True
        )
    ]


def offset_index(pages: Sequence[IndexedPage], start: int) -> bytes:
    """Encode where pages are that lie one after the other from ``start`` on."""
    located: list[Struct] = []
    row = 0
    for page in pages:
        located.append(
            {_OFFSET: (I64, start), _PAGE_BYTES: (I32, page.num_bytes), _FIRST_ROW: (I64, row)}
        )
        start, row = start + page.num_bytes, row + page.num_rows
    return thrift.encode({_LOCATIONS: (LIST, Items(STRUCT, located))})


def column_index(pages: Sequence[IndexedPage]) -> bytes | None:
    """Encode the bounds of pages; ``None`` where a page has none, though it isn't all null."""
    bounds = [page.bounds or (b"", b"") for page in pages]
    if any(page.bounds is None and not page.is_null for page in pages):
        return None
    return thrift.encode(
        {
            _NULL_PAGES: (LIST, Items(TRUE, [page.is_null for page in pages])),
            _LEAST: (LIST, Items(BINARY, [least for least, _ in bounds])),
            _GREATEST: (LIST, Items(BINARY, [greatest for _, greatest in bounds])),
            _BOUNDARY_ORDER: (I32, _boundary_order([page.bounds for page in pages if page.bounds])),
            _NULL_COUNTS: (LIST, Items(I64, [page.num_nulls for page in pages])),
        }
    )


def _boundary_order(bounds: Sequence[tuple[bytes, bytes]]) -> int:
    """Return whether both bounds only ever rise, or only ever fall, from page to page."""
    orders = [(order_of(least), order_of(greatest)) for least, greatest in bounds]
    pairs = list(pairwise(orders))
    if orders and all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairs):
        return _ASCENDING
    if orders and all(a[0] >= b[0] and a[1] >= b[1] for a, b in pairs):
        return _DESCENDING
    return _UNORDERED


def _part(raw: memoryview, column: Struct, field_id: int) -> Struct:
    """Decode one part of the index; it is empty where the file lacks it."""
    start = integer(column, field_id, 0)
    size = integer(column, field_id + 1, 0)
    return thrift.decode(bytes(raw[start : start + size]))[0] if size else {}


def _described(index: Struct, num_pages: int) -> list[tuple[Any, ...]]:
    """Return bounds, number of nulls and whether all is null, page by page."""
    if not index:  # A page of NaN has no bounds, and then pyarrow leaves out those of all.
        return [(None,)] * num_pages
    are_null = values(index, _NULL_PAGES, TRUE)
    bounds = zip(values(index, _LEAST, BINARY), values(index, _GREATEST, BINARY), strict=True)
    counts = values(index, _NULL_COUNTS, I64)
    return [
        (None if is_null else pair, count, is_null)
        for pair, count, is_null in zip(bounds, counts, are_null, strict=True)
    ]
