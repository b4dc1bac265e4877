"""A new Parquet file, written by pyarrow, in row groups of about one size in bytes.

Conversions to Parquet use it, with tables that a reader of any format made.
"""

from __future__ import annotations

from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.errors import FormatError
from l2cli.formats.tabular.table import NewTableWriter, TableSink

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.formats.tabular.table import ArrowSchema, RecordBatch

_GROUP_BYTES = 64 * 2**20
"""The size of one row group, which is kept in memory until it is complete."""


class NewParquetWriter(NewTableWriter):
    """A new Parquet file, which has no source as its template."""

    format_name = "Parquet"

    @classmethod
    def open_sink(cls, target: Path | IO[bytes], schema: ArrowSchema) -> TableSink:
        """Open a file or stream to write record batches of a schema to."""
        return _ParquetSink(target, schema)

    @classmethod
    def can_hold(cls, column: Any) -> bool:
        """Try it: what Parquet lacks differs from one pyarrow to the next.

        That it lacks dictionaries of lists, pyarrow says only when there are rows.
        """
        if pa.types.is_dictionary(column.type) and pa.types.is_nested(column.type.value_type):
            return False
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([column])).close()
        except pa.ArrowException:
            return False
        return True


class _ParquetSink(TableSink):
    def __init__(self, target: Path | IO[bytes], schema: ArrowSchema) -> None:
        self._waiting: list[RecordBatch] = []
        self._file = pa.OSFile(str(target), "w")
        # Dictionaries don't help numbers that hardly ever come twice, and cost much time.
        names = [column.name for column in schema if not pa.types.is_nested(column.type)]
        self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=names or False)

    def write(self, batch: RecordBatch) -> None:
        _check_nulls(batch)
        self._waiting.append(batch)
        if sum(batch.nbytes for batch in self._waiting) >= _GROUP_BYTES:
            self._write_group()

    def finish(self) -> None:
        if self._waiting:
            self._write_group()
        self._writer.close()

    def close(self) -> None:
        # An unfinished file is thrown away: errors while it is closed are of no interest.
        with suppress(pa.ArrowException, OSError, ValueError):
            self._writer.close()
        self._file.close()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting = []


def _check_nulls(batch: RecordBatch) -> None:
    """Refuse nulls in a column that is said to have none: of lists pyarrow makes empty ones."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not field.nullable and column.null_count:
            raise FormatError(
                f"column '{field.name}' is declared not null, but has null rows, for which Parquet "
                "has no place then; declare it nullable where it is made"
            )
