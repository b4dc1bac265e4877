"""Writing Arrow IPC: the record batches of a source with new rows in some columns.

Only the reader makes a writer. It writes a record batch when the rows of all selected columns
have come back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.formats.base import Writer
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.schema import changed_schema
from l2cli.formats.tabular.structs import child_of, with_child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from l2cli.arrays import Batch
    from l2cli.formats.arrow.streams import ArrowSchema, StoredBatch
    from l2cli.formats.tabular.columns import Columns, Place
    from l2cli.formats.tabular.rows import Piece, Window
    from l2cli.formats.tabular.schema import Change

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Form:
    """How a source is stored, as far as its successor is to be stored so too.

    Attributes
    ----------
    is_file : bool
        Whether it has a footer.
    codec : str or None
        What the bodies are compressed with, if they are.
    footer : object
        The metadata in the footer.
    """

    is_file: bool
    codec: str | None
    footer: Any = None


@dataclass(frozen=True)
class Context:
    """What a batch must bring back: its record batch, and which rows of it it has."""

    stored: StoredBatch
    piece: Piece


class ArrowWriter(Writer):
    """The same record batches with new rows, in the same form.

    Parameters
    ----------
    path : Path
        The source, for messages.
    schemas : sequence of ArrowSchema
        Those of the source's streams: as many as were begun when a batch comes back, and all of
        them at the end.
    """

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        form: Form,
        schemas: Sequence[ArrowSchema],
        changes: Sequence[Change[Columns]],
    ) -> None:
        self._file = file
        self._path = path
        self._form = form
        self._schemas = schemas
        self._changes = {change.columns.spec.name: change for change in changes}
        self._num_columns = sum(len(change.columns.places) for change in changes)
        self._columns: dict[Place, Any] = {}
        self._parts: list[list[Array]] = []
        self._stream = 0
        self._open()

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, in the order of the reader's batches."""
        change = self._changes[batch.array.name]
        rows = batch.rows.reshape(len(batch.rows), math.prod(batch.rows.shape[1:]))
        stored, piece = batch.context.stored, batch.context.piece
        while self._stream < stored.stream:
            self._open_next()
        if piece.start:
            self._parts[-1].append(rows)
        elif piece.part:
            self._parts.append([rows])
        else:
            self._parts = [[rows]]
        if piece.is_last:
            results = [part[0] if len(part) == 1 else np.concatenate(part) for part in self._parts]
            self._replace(change, piece.window, results)
        if len(self._columns) == self._num_columns:
            self._write_batch(stored)

    def finish(self) -> None:
        """Write what remains and close."""
        while self._stream < len(self._schemas) - 1:
            self._open_next()
        self._writer.close()
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open_next(self) -> None:
        """End a stream, and begin the next one behind it."""
        self._writer.close()
        self._stream += 1
        self._open()

    def _open(self) -> None:
        self._schema = self._schemas[self._stream]
        for change in self._changes.values():
            if not change.is_none:
                self._schema = changed_schema(self._schema, change)
        # A dictionary may grow from batch to batch; a file can say so in no other way.
        options = pa.ipc.IpcWriteOptions(compression=self._form.codec, emit_dictionary_deltas=True)
        if self._form.is_file:
            footer = {"metadata": self._form.footer} if self._form.footer else {}
            self._writer = pa.ipc.new_file(self._file, self._schema, options=options, **footer)
        else:
            self._writer = pa.ipc.new_stream(self._file, self._schema, options=options)

    def _replace(self, change: Change[Columns], window: Window, results: list[Array]) -> None:
        with as_format_error(self._path):
            arrays = window.rebuild(results, change.dtype, change.length)
        for place, array in zip(change.columns.places, arrays, strict=True):
            self._columns[place], _ = child_of(array, place.path)

    def _write_batch(self, stored: StoredBatch) -> None:
        columns = stored.record_batch.columns
        for place, array in self._columns.items():
            columns[place.top] = with_child(columns[place.top], place.path, array)
        self._columns = {}
        record_batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._writer.write_batch(record_batch, stored.metadata)
        self._file.flush()
