"""One array in one row group, and what a batch keeps of where it came from.

The reader makes both; the decoders read a :class:`Section`, and the writer finds the
:class:`PieceContext` in the batches that come back. Nothing here reads or writes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.parquet.footer import Chunk, RowGroup
    from l2cli.formats.tabular.rows import Piece


@dataclass(frozen=True)
class Section:
    """One array in one row group.

    Attributes
    ----------
    columns : Columns
        The array.
    number : int
        The number of the row group.
    group : RowGroup
        The row group.
    first_row : int
        The row number, in the file, of the first row of the row group.
    window_rows : int
        How many rows each window has, except the last.
    """

    columns: Columns
    number: int
    group: RowGroup
    first_row: int
    window_rows: int

    @property
    def chunks(self) -> list[Chunk]:
        """The column chunks of the array."""
        return [chunk for chunk in self.group.chunks if chunk.leaf in self.columns.leaves]


@dataclass(frozen=True)
class PieceContext:
    """The context of a batch: the number of its row group, and its piece of a window."""

    group_number: int
    piece: Piece
