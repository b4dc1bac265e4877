"""Arrow IPC, files and streams: the same record batches, with new rows in some columns.

A record batch is a window. pyarrow reads it and writes it again, with its neighbours in it, so
memory holds a record batch at a time.
"""

from __future__ import annotations

import math
import shutil
from abc import abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from l2cli.arrays import BATCH_BYTES, ArraySpec, Batch
from l2cli.errors import FormatError, SelectionError
from l2cli.formats.arrow_columns import (
    Columns,
    column_refusal,
    column_spec,
    list_field,
    wide_members,
)
from l2cli.formats.arrow_errors import as_format_error
from l2cli.formats.arrow_hints import with_hints
from l2cli.formats.arrow_messages import first_codec, record_batches
from l2cli.formats.arrow_rows import ListWindow, Piece, WideWindow, Window
from l2cli.formats.arrow_schema import Change, change_to, changed_schema
from l2cli.formats.arrow_table import Table
from l2cli.formats.base import Reader, Writer
from l2cli.inlet import Inlet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Array = np.ndarray[Any, Any]
RecordBatch = Any

_FILE_MAGIC = b"ARROW1"
_FILE_START = 8
"""Where the stream in a file begins: the magic is padded."""


@dataclass(frozen=True)
class Form:
    """How a source is stored, as far as its successor is to be stored so too.

    Attributes
    ----------
    is_file
        Whether it has a footer.
    codec
        What the bodies are compressed with, if they are.
    footer
        The metadata in the footer.
    """

    is_file: bool
    codec: str | None
    footer: Any = None


@dataclass(frozen=True)
class Carry:
    """What a batch must bring back: its record batch, and which rows of it it has."""

    record_batch: RecordBatch
    metadata: Any
    number: int
    piece: Piece


class _AnyArrowReader(Reader):
    """Arrow IPC, in a file or in a stream."""

    schema: Any
    form: Form
    _num_rows: int | None = None

    def arrays(self) -> list[ArraySpec]:
        return [columns.spec for columns in self._columns()]

    def group(self, pattern: str) -> ArraySpec | None:
        wide = self._wide(pattern)
        return None if wide is None else wide.spec

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        selected = [self._named(array.name) for array in arrays]
        first_row = 0
        for number, (record_batch, metadata) in enumerate(self.record_batches()):
            for columns in selected:
                with as_format_error(self.path):
                    window = _window(record_batch, columns)
                    pieces = window.pieces(batch_size or _batch_rows(window))
                for piece in pieces:
                    carry = Carry(record_batch, metadata, number, piece)
                    yield piece.batch(columns.spec, first_row, carry)
            first_row += record_batch.num_rows

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> ArrowWriter:
        changes = self._changes(outputs)
        return ArrowWriter(path.open("wb"), self, changes)

    def stream_writer(
        self, stream: IO[bytes], outputs: Mapping[str, ArraySpec]
    ) -> ArrowWriter | None:
        changes = self._changes(outputs)
        return None if self.form.is_file else ArrowWriter(stream, self, changes)

    def table(self) -> Table:
        """Return everything, to be written in another format."""
        batches = (batch for batch, _ in self.record_batches())
        return Table(self.schema, batches)

    @abstractmethod
    def record_batches(self) -> Iterator[tuple[RecordBatch, Any]]:
        """Yield every record batch with its metadata."""

    @abstractmethod
    def copy_tail(self, target: IO[bytes]) -> None:
        """Copy what follows the stream, nearly always nothing."""

    def _columns(self) -> list[Columns]:
        names = self.schema.names
        return with_hints(
            [
                Columns(self._spec(field, names.count(field.name) == 1), (field,), (top,))
                for top, field in enumerate(map(list_field, self.schema))
            ]
        )

    def _spec(self, field: Any, is_unique: bool) -> ArraySpec:
        refusal = column_refusal(field) if is_unique else "two columns have this name"
        return column_spec(field, self._num_rows, self.form.codec or "", refusal)

    def _wide(self, pattern: str) -> Columns | None:
        members = wide_members(self._columns(), pattern)
        if not members:
            return None
        spec = members[0].spec
        shape = (*spec.shape, len(members))
        return Columns(
            replace(spec, name=pattern, shape=shape, layout=f"{len(members)} columns", refusal=""),
            tuple(each.fields[0] for each in members),
            tuple(each.tops[0] for each in members),
        )

    def _named(self, name: str) -> Columns:
        for columns in self._columns():
            if columns.spec.name == name and not columns.spec.refusal:
                return columns
        wide = self._wide(name)
        if wide is None:
            raise SelectionError(f"{self.path}: no array '{name}' that can be normalized")
        return wide

    def _changes(self, outputs: Mapping[str, ArraySpec]) -> list[Change[Columns]]:
        """Check that the table can hold what its arrays are to become."""
        changes = [change_to(self._named(name), out, "Arrow") for name, out in outputs.items()]
        tops = [top for change in changes for top in change.columns.tops]
        if len(set(tops)) < len(tops):
            raise SelectionError(f"{', '.join(outputs)} have a column in common; select it once")
        return changes


class ArrowReader(_AnyArrowReader):
    """An Arrow IPC file, or a stream in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with ExitStack() as stack, as_format_error(path):
            self._file = stack.enter_context(path.open("rb"))
            is_file = self._file.read(len(_FILE_MAGIC)) == _FILE_MAGIC
            self._file.seek(_FILE_START if is_file else 0)
            found = list(record_batches(self._file, path.stat().st_size))
            self._num_rows = sum(message.num_rows or 0 for message in found)
            codec = found[0].codec if found else None
            self._file.seek(0)
            opened = _open_file(self._file) if is_file else pa.ipc.open_stream(self._file)
            self.schema = opened.schema
            self.form = Form(is_file, codec, getattr(opened, "metadata", None))
            stack.pop_all()

    def record_batches(self) -> Iterator[tuple[RecordBatch, Any]]:
        self._file.seek(0)
        if not self.form.is_file:
            yield from _stream_batches(Inlet(self._file), self.path)
            return
        with as_format_error(self.path):
            opened = _open_file(self._file)
        for number in range(opened.num_record_batches):
            with as_format_error(self.path):
                found = opened.get_batch_with_custom_metadata(number)
                found.batch.validate()
            yield found.batch, found.custom_metadata

    def copy_tail(self, target: IO[bytes]) -> None:
        if not self.form.is_file:
            shutil.copyfileobj(self._file, target)

    def close(self) -> None:
        self._file.close()


class ArrowStreamReader(_AnyArrowReader):
    """An Arrow IPC stream that comes in front to back."""

    may_wait = True

    def __init__(self, inlet: Inlet, label: str) -> None:
        super().__init__(Path(label))
        self._inlet = inlet
        with as_format_error(self.path):
            codec = first_codec(inlet)
            inlet.rewind()
            self.schema = pa.ipc.open_stream(inlet).schema
            inlet.rewind()
        self.form = Form(is_file=False, codec=codec)

    def record_batches(self) -> Iterator[tuple[RecordBatch, Any]]:
        self._inlet.rewind()
        return _stream_batches(self._inlet, self.path)

    def copy_tail(self, target: IO[bytes]) -> None:
        shutil.copyfileobj(self._inlet, target)

    def close(self) -> None:
        """Leave the stream to whoever opened it."""


class ArrowWriter(Writer):
    """The same record batches with new rows, in the same form."""

    def __init__(
        self, file: IO[bytes], source: _AnyArrowReader, changes: Sequence[Change[Columns]]
    ) -> None:
        self._file = file
        self._source = source
        self._changes = {change.columns.spec.name: change for change in changes}
        self._schema = source.schema
        for change in changes:
            if not change.is_none:
                self._schema = changed_schema(self._schema, change)
        self._columns: dict[int, Any] = {}
        self._parts: list[list[Array]] = []
        form = source.form
        # A dictionary may grow from batch to batch; a file can say so in no other way.
        options = pa.ipc.IpcWriteOptions(compression=form.codec, emit_dictionary_deltas=True)
        if form.is_file:
            footer = {"metadata": form.footer} if form.footer else {}
            self._writer = pa.ipc.new_file(file, self._schema, options=options, **footer)
        else:
            self._writer = pa.ipc.new_stream(file, self._schema, options=options)

    def write(self, batch: Batch) -> None:
        change = self._changes[batch.array.name]
        rows = batch.rows.reshape(len(batch.rows), math.prod(batch.rows.shape[1:]))
        piece = batch.carry.piece
        if piece.start:
            self._parts[-1].append(rows)
        elif piece.part:
            self._parts.append([rows])
        else:
            self._parts = [[rows]]
        if piece.is_last:
            results = [part[0] if len(part) == 1 else np.concatenate(part) for part in self._parts]
            self._replace(change, piece.window, results)
        if len(self._columns) == sum(len(each.columns.tops) for each in self._changes.values()):
            self._write_batch(batch.carry)

    def finish(self) -> None:
        self._writer.close()
        self._source.copy_tail(self._file)
        self.close()

    def close(self) -> None:
        self._file.close()

    def _replace(self, change: Change[Columns], window: Window, results: list[Array]) -> None:
        with as_format_error(self._source.path):
            arrays = window.rebuild(results, change.dtype, change.length)
        for top, array in zip(change.columns.tops, arrays, strict=True):
            kind = self._schema.field(top).type
            is_extension = isinstance(kind, pa.BaseExtensionType)
            self._columns[top] = kind.wrap_array(array) if is_extension else array.cast(kind)

    def _write_batch(self, carry: Carry) -> None:
        columns = carry.record_batch.columns
        for top, array in self._columns.items():
            columns[top] = array
        self._columns = {}
        record_batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._writer.write_batch(record_batch, carry.metadata)
        self._file.flush()


def _stream_batches(inlet: Inlet, path: Path) -> Iterator[tuple[RecordBatch, Any]]:
    with as_format_error(path):
        opened = pa.ipc.open_stream(inlet)
    while True:
        with as_format_error(path):
            try:
                found = opened.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            found.batch.validate()
        yield found.batch, found.custom_metadata
    if inlet.ended:
        raise FormatError(f"{path} is cut off: it ends without the mark of the stream's end")


def _open_file(file: IO[bytes]) -> Any:
    return pa.ipc.open_file(pa.PythonFile(file, "r"))


def _window(record_batch: RecordBatch, columns: Columns) -> Window:
    arrays = [record_batch.column(top) for top in columns.tops]
    arrays = [each.storage if isinstance(each, pa.ExtensionArray) else each for each in arrays]
    for array in arrays:
        array.validate(full=True)
    return WideWindow(arrays) if columns.is_wide else ListWindow(arrays[0])


def _batch_rows(window: Window) -> int:
    """Return how many rows a batch takes of a window, which may be large."""
    row_bytes = max(part.rows.nbytes // max(1, len(part.rows)) for part in window.parts)
    return max(1, BATCH_BYTES // max(1, row_bytes))
