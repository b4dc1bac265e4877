"""A new Parquet file: row groups of a fixed size in bytes."""

from __future__ import annotations

from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.formats.tabular.table import NewTableWriter, TableSink

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.formats.tabular.table import ArrowSchema, RecordBatch

_GROUP_BYTES = 64 * 2**20
"""Of one row group, which waits in memory for its last row."""


class NewParquetWriter(NewTableWriter):
    """A new Parquet file."""

    format_name = "Parquet"

    @classmethod
    def open_sink(cls, target: Path | IO[bytes], schema: ArrowSchema) -> TableSink:
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
        words = [column.name for column in schema if not pa.types.is_nested(column.type)]
        self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=words or False)

    def write(self, batch: RecordBatch) -> None:
        self._waiting.append(batch)
        if sum(each.nbytes for each in self._waiting) >= _GROUP_BYTES:
            self._write_group()

    def finish(self) -> None:
        if self._waiting:
            self._write_group()
        self._writer.close()

    def close(self) -> None:
        # An unfinished file is thrown away: what pyarrow says while it closes it helps nobody.
        with suppress(pa.ArrowException, OSError, ValueError):
            self._writer.close()
        self._file.close()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting = []
