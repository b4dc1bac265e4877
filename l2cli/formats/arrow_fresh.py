"""A new Arrow IPC file, or stream where it goes to a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from l2cli.formats.arrow_table import FreshTableWriter, TableSink

if TYPE_CHECKING:
    from l2cli.formats.arrow_table import ArrowSchema, RecordBatch


class FreshArrowWriter(FreshTableWriter):
    """A new Arrow IPC file; a stream where ``target`` is one."""

    format_name = "Arrow"
    streams = True

    @classmethod
    def open_sink(cls, target: Path | IO[bytes], schema: ArrowSchema) -> TableSink:
        return _ArrowSink(target, schema)

    @classmethod
    def can_hold(cls, column: Any) -> bool:
        return True


class _ArrowSink(TableSink):
    def __init__(self, target: Path | IO[bytes], schema: ArrowSchema) -> None:
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        if isinstance(target, Path):
            self._file: IO[bytes] = target.open("wb")
            self._writer = pa.ipc.new_file(self._file, schema, options=options)
        else:
            self._file = target
            self._writer = pa.ipc.new_stream(self._file, schema, options=options)

    def write(self, batch: RecordBatch) -> None:
        self._writer.write_batch(batch)
        self._file.flush()

    def finish(self) -> None:
        self._writer.close()

    def close(self) -> None:
        self._file.close()
