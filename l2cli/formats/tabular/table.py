"""Whole tables: read from Parquet or Arrow IPC, and written as a new file of either.

Conversions use it, from one of these formats to the other or from arrays to a table. It knows
neither format: each implements the abstract methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.errors import FormatError
from l2cli.formats.base import Reader
from l2cli.formats.create import NewFileWriter
from l2cli.formats.errors import one_line
from l2cli.formats.tabular.rows import bitmap_of, primitive_array
from l2cli.formats.tabular.types import ARROW_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from l2cli.arrays import ArraySpec, Batch

ArrowSchema = Any
RecordBatch = Any
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Table:
    """A table that is read once, front to back."""

    schema: ArrowSchema
    batches: Iterator[RecordBatch]


class TableReader(Reader):
    """A reader of a container that holds one table."""

    @abstractmethod
    def table(self) -> Table:
        """Return everything, to be written in another format."""


class TableSink(ABC):
    """A file of record batches that is being written."""

    @abstractmethod
    def write(self, batch: RecordBatch) -> None:
        """Append the rows of ``batch``."""

    @abstractmethod
    def finish(self) -> None:
        """Write what remains."""

    @abstractmethod
    def close(self) -> None:
        """Close the file, finished or not."""


class NewTableWriter(NewFileWriter):
    """A new table with a column for each array, of lists of one length where it has rows."""

    holds_null = True
    side_by_side = True

    def __init__(self, target: Path | IO[bytes], outputs: Mapping[str, ArraySpec]) -> None:
        super().__init__(target, outputs)
        fields = [pa.field(output.name, _column_type(output)) for output in outputs.values()]
        self._schema = pa.schema(fields)
        self._sink = self.open_sink(target, self._schema)
        self._columns: dict[str, Any] = {}

    @classmethod
    @abstractmethod
    def open_sink(cls, target: Path | IO[bytes], schema: ArrowSchema) -> TableSink:
        """Open a file for a table."""

    @classmethod
    @abstractmethod
    def can_hold(cls, column: Any) -> bool:
        """Tell whether the format has the type of an Arrow field."""

    @classmethod
    def refusal(cls, output: ArraySpec) -> str:
        """Return why a table can't hold an array; empty where it can."""
        if output.dtype not in ARROW_TYPES:
            return (
                f"{cls.format_name} can't hold {output.dtype}; use `dtype='float16'` or "
                "`dtype='float32'`"
            )
        if len(output.shape) > 2:
            return (
                f"{cls.format_name} holds rows of numbers, not {len(output.shape)} axes; "
                "convert to a format of arrays, such as HDF5"
            )
        return ""

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, in the order of the reader's batches."""
        self.check(batch)
        rows, valid = _with_null_rows(batch)
        flat = primitive_array(rows.reshape(-1), None)
        column_type = _column_type(self.outputs[batch.array.name])
        if rows.ndim > 1:
            flat = pa.Array.from_buffers(
                column_type, len(rows), [bitmap_of(valid)], children=[flat]
            )
        self._columns[batch.array.name] = flat
        if len(self._columns) == len(self.outputs):
            columns = [self._columns.pop(name) for name in self.outputs]
            self._sink.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        """Write what remains and close."""
        self._sink.finish()
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._sink.close()


def transcode(table: Table, writer: type[NewTableWriter], target: Path | IO[bytes]) -> list[str]:
    """Write a table in another format and return the columns that it can't hold."""
    numbers = [i for i, column in enumerate(table.schema) if writer.can_hold(column)]
    schema = pa.schema([table.schema.field(i) for i in numbers], table.schema.metadata)
    sink = writer.open_sink(target, schema)
    try:
        for batch in table.batches:
            _check_sound(batch)
            columns = [batch.column(i) for i in numbers]
            sink.write(pa.RecordBatch.from_arrays(columns, schema=schema))
        sink.finish()
    finally:
        sink.close()
    return [column.name for i, column in enumerate(table.schema) if i not in numbers]


def _check_sound(batch: RecordBatch) -> None:
    """Refuse a batch whose lengths and offsets are false: pyarrow believes them, and may crash.

    Text that isn't UTF-8 passes.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as exc:
        if "UTF8" not in str(exc):
            raise FormatError(f"it is damaged ({one_line(exc)}); copy it again") from exc


def _column_type(output: ArraySpec) -> Any:
    number = ARROW_TYPES[output.dtype]
    return number if len(output.shape) == 1 else pa.list_(number, output.shape[1] or 0)


def _with_null_rows(batch: Batch) -> tuple[Array, Array | None]:
    """Return the rows with zeros in place of the null ones, and which are not null."""
    rows = batch.rows
    if not batch.num_null:
        return rows, None
    numbers = [batch.row_number(index) - batch.start for index in range(len(rows))]
    valid = np.zeros(len(rows) + batch.num_null, bool)
    valid[numbers] = True
    whole = np.zeros((len(valid), *rows.shape[1:]), rows.dtype)
    whole[valid] = rows
    return whole, valid
