"""A new Arrow IPC file, or a new stream, written by pyarrow.

Conversions to Arrow use it, with tables that a reader of any format made.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from l2cli.formats.tabular.table import NewTableWriter, TableSink

if TYPE_CHECKING:
    from l2cli.formats.tabular.table import ArrowSchema, RecordBatch


class NewArrowWriter(NewTableWriter):
    """A new Arrow IPC file; a stream where ``target`` is one."""

    format_name = "Arrow"
    streams = True

    @classmethod
    def open_sink(cls, target: Path | IO[bytes], schema: ArrowSchema) -> TableSink:
        """Open a file, or take a stream, for a table."""
        if isinstance(target, Path):
            return _ArrowSink(target.open("wb"), schema, pa.ipc.new_file)
        return _ArrowSink(target, schema, pa.ipc.new_stream)

    @classmethod
    def can_hold(cls, column: Any) -> bool:
        """Return whether the format has the type of an Arrow field."""
        return True


class NewArrowStreamWriter(NewArrowWriter):
    """A new Arrow IPC stream, in a file or in a pipe."""

    @classmethod
    def open_sink(cls, target: Path | IO[bytes], schema: ArrowSchema) -> TableSink:
        """Open a file, or take a stream, for a table."""
        file = target.open("wb") if isinstance(target, Path) else target
        return _ArrowSink(file, schema, pa.ipc.new_stream)


class _ArrowSink(TableSink):
    def __init__(self, file: IO[bytes], schema: ArrowSchema, new: Any) -> None:
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._file = file
        self._writer = new(file, schema, options=options)

    def write(self, batch: RecordBatch) -> None:
        self._writer.write_batch(batch)
        self._file.flush()

    def finish(self) -> None:
        self._writer.close()

    def close(self) -> None:
        self._file.close()
