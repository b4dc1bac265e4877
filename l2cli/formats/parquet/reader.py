"""Reading Parquet: list columns of numbers, and tables with a column for each component.

The reader finds the arrays of a file, yields their rows in batches and opens the writer that
takes these batches back. How rows are decoded is the matter of ``decode``.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow.parquet as pq

from l2cli.arrays import BATCH_BYTES, ITEM_SIZES, ArraySpec, Batch, rows_per_batch
from l2cli.errors import FormatError, SelectionError
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.parquet.columns import Columns, single_columns, wide_columns
from l2cli.formats.parquet.decode import decode
from l2cli.formats.parquet.footer import Footer
from l2cli.formats.parquet.pages import check_pages
from l2cli.formats.parquet.section import PieceContext, Section
from l2cli.formats.parquet.writer import ParquetWriter
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.table import Table, TableReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from l2cli.formats.parquet.footer import RowGroup
    from l2cli.formats.tabular.rows import Window
    from l2cli.options import OpenOptions

_READ_AHEAD_BYTES = 2**20
_READ_AHEAD_BYTES_OF_ALL = 2**26
"""Read ahead of each column, and of all columns together where a table has hundreds."""
_WIDE_WINDOW_BYTES = 4 * BATCH_BYTES
"""The size of a window of a wide table. Each column gets its share of it as a page."""
_TABLE_ROWS = 2**14
"""How many rows are read at a time of a table without vectors."""


class ParquetReader(TableReader):
    """A Parquet file opened for reading.

    Parameters
    ----------
    path : Path
        The file.
    opening : OpenOptions
        How it was asked to be opened; nothing of that concerns Parquet.
    dense : bool, default True
        Whether dense rows (of one length, without nulls) are read, and written, without
        pyarrow. Results are the same either way.

    Raises
    ------
    FormatError
        If it is no Parquet file, is cut off, encrypted or otherwise damaged.
    """

    def __init__(
        self, path: Path, opening: OpenOptions = DEFAULT_OPENING, *, dense: bool = True
    ) -> None:
        super().__init__(path, opening)
        self._dense = dense
        self._metadata: Any = None
        with ExitStack() as stack, as_format_error(path):
            self._file: BinaryIO = stack.enter_context(path.open("rb"))
            self._footer = Footer.read(self._file)
            # pyarrow gets the footer only after it was checked: it is less careful itself.
            with self._open(1) as parquet_file:
                self._metadata = parquet_file.metadata
                self._schema = parquet_file.schema_arrow
                self._columns = single_columns(self._footer, self._schema)
            stack.pop_all()
        if self._metadata.num_rows != self._footer.num_rows:
            self.notes.append(
                f"the footer says 0 rows and the row groups have {self._footer.num_rows:,}; "
                "what is written says the latter"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def arrays(self) -> list[ArraySpec]:
        """Return every top-level column, in the order of the schema."""
        return [columns.spec for columns in self._columns]

    def group(self, pattern: str) -> ArraySpec | None:
        """Return the scalar float columns that match a glob as one ``(num_rows, k)`` array."""
        columns = wide_columns(self._footer, self._columns, pattern)
        return None if columns is None else columns.spec

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        """Yield the rows, row group by row group, in each array by array as the file has them.

        Rows of a list column may differ in length; all rows of a batch have the same. A batch
        without rows stands for null rows only.
        """
        selected = self._selected(arrays)
        num_leaves = max((len(columns.leaves) for columns in selected), default=1)
        with self._open(num_leaves) as parquet_file:
            first_row = 0
            for number, group in enumerate(self._footer.row_groups):
                for columns in _in_file_order(group, selected if group.num_rows else []):
                    window_rows = _window_rows(self._footer, columns.spec, columns.leaves)
                    section = Section(columns, number, group, first_row, window_rows)
                    yield from self._section(parquet_file, section, batch_size)
                first_row += group.num_rows

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> ParquetWriter:
        """Open a writer with this file as its template and new rows for ``outputs``."""
        changes = [(self._named(name), output) for name, output in outputs.items()]
        _refuse_overlap([columns for columns, _ in changes])
        return ParquetWriter(self.path, self._footer, path, changes, dense=self._dense)

    def table(self) -> Table:
        """Return everything, to be written in another format."""
        return Table(self._schema, self._record_batches())

    def _record_batches(self) -> Iterator[Any]:
        rows = [
            _window_rows(self._footer, columns.spec, columns.leaves)
            for columns in self._columns
            if not columns.spec.refusal and self._footer.num_rows
        ]
        with as_format_error(self.path):
            for group in self._footer.row_groups:
                for chunk in group.chunks:
                    check_pages(self._file, chunk)
        with self._open(len(self._footer.leaves)) as parquet_file:
            record_batches = parquet_file.iter_batches(min(rows, default=_TABLE_ROWS))
            num_rows = 0
            while True:
                with as_format_error(self.path):
                    record_batch = next(record_batches, None)
                if record_batch is None:
                    break
                num_rows += record_batch.num_rows
                yield record_batch
        if num_rows != self._footer.num_rows:
            raise FormatError(
                f"{self.path}: read {num_rows} rows, the footer promises {self._footer.num_rows}"
            )

    def _open(self, num_leaves: int) -> Any:
        """Let pyarrow open the file, with buffers for so many columns at a time."""
        limit = max(2**20, min(self._footer.num_bytes, 2**31 - 1))
        buffer_size = min(_READ_AHEAD_BYTES, max(2**14, _READ_AHEAD_BYTES_OF_ALL // num_leaves))
        with as_format_error(self.path):
            return pq.ParquetFile(
                str(self.path),
                metadata=self._metadata,
                buffer_size=buffer_size,
                pre_buffer=False,
                memory_map=False,
                page_checksum_verification=True,
                thrift_string_size_limit=limit,
                thrift_container_size_limit=limit,
            )

    def _named(self, name: str) -> Columns:
        for columns in self._columns:
            if columns.spec.name == name and not columns.spec.refusal:
                return columns
        wide = wide_columns(self._footer, self._columns, name)
        if wide is None:
            raise SelectionError(f"{self.path}: no array '{name}' that can be normalized")
        return wide

    def _selected(self, arrays: Sequence[ArraySpec]) -> list[Columns]:
        selected = [self._named(array.name) for array in arrays]
        _refuse_overlap(selected)
        return selected

    def _section(
        self, parquet_file: Any, section: Section, batch_size: int | None
    ) -> Iterator[Batch]:
        """Yield the batches of one array in one row group."""
        num_rows = 0
        for window in self._windows(parquet_file, section):
            with as_format_error(self.path):
                pieces = window.pieces(batch_size)
            for piece in pieces:
                first_row = section.first_row + num_rows
                context = PieceContext(section.number, piece)
                yield piece.batch(section.columns.spec, first_row, context)
            num_rows += window.num_rows
        if num_rows != section.group.num_rows:
            raise FormatError(
                f"{self.path}: read {num_rows} rows of '{section.columns.spec.name}' in row "
                f"group {section.number}, the footer promises {section.group.num_rows}"
            )

    def _windows(self, parquet_file: Any, section: Section) -> Iterator[Window]:
        windows = decode(section, self._footer, self._file, parquet_file, dense=self._dense)
        while True:
            with as_format_error(self.path):
                window = next(windows, None)
            if window is None:
                return
            yield window


def _window_rows(footer: Footer, spec: ArraySpec, leaves: Sequence[int]) -> int:
    """Return how many rows to decode at a time, whatever the batches: see ``tabular/rows.py``."""
    if len(leaves) > 1:
        return max(1, _WIDE_WINDOW_BYTES // spec.row_bytes)
    if spec.row_bytes:
        return rows_per_batch(spec, None)
    num_values = sum(chunk.num_values for chunk in footer.chunks_of[leaves[0]])
    mean_bytes = -(-num_values // footer.num_rows) * ITEM_SIZES[spec.dtype]
    return max(1, BATCH_BYTES // max(1, mean_bytes))


def _in_file_order(group: RowGroup, selected: Sequence[Columns]) -> list[Columns]:
    """Order arrays by where in the row group the first of their columns begins."""
    order = {chunk.leaf: position for position, chunk in enumerate(group.chunks)}
    return sorted(selected, key=lambda columns: min(order[leaf] for leaf in columns.leaves))


def _refuse_overlap(selected: Sequence[Columns]) -> None:
    leaves = [leaf for columns in selected for leaf in columns.leaves]
    if len(set(leaves)) < len(leaves):
        names = ", ".join(f"'{columns.spec.name}'" for columns in selected)
        raise SelectionError(f"{names} have a column in common; select it once")
