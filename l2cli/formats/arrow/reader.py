"""Reading Arrow IPC files and streams, one record batch at a time.

A record batch is a window. The reader keeps it whole in the context of its batches, because the
writer writes all its columns again. So memory holds one record batch.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from l2cli.arrays import BATCH_BYTES, ArraySpec, Batch
from l2cli.errors import SelectionError
from l2cli.filesystem.buffered_stream import BufferedStream
from l2cli.formats.arrow.footer import FILE_MAGIC, listed_record_batches
from l2cli.formats.arrow.messages import first_codec
from l2cli.formats.arrow.streams import file_batches, messages_of_streams, stream_batches
from l2cli.formats.arrow.writer import ArrowWriter, Context, Form
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.tabular.columns import Columns, columns_of, wide_members
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.schema import Change, change_to
from l2cli.formats.tabular.structs import window_of
from l2cli.formats.tabular.table import Table, TableReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from l2cli.formats.arrow.streams import ArrowSchema, RecordBatch, StoredBatch
    from l2cli.formats.tabular.rows import Window
    from l2cli.options import OpenOptions


class _AnyArrowReader(TableReader):
    """Arrow IPC, in a file or in a stream."""

    def __init__(self, path: Path, opening: OpenOptions) -> None:
        super().__init__(path, opening)
        self._schemas: list[ArrowSchema] = []
        self._columns: list[Columns] = []

    def arrays(self) -> list[ArraySpec]:
        return [columns.spec for columns in self._columns]

    def group(self, pattern: str) -> ArraySpec | None:
        wide = self._wide(pattern)
        return None if wide is None else wide.spec

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        selected = [self._named(array.name) for array in arrays]
        first_row = 0
        for stored in self.record_batches():
            for columns in selected:
                with as_format_error(self.path, f"'{columns.spec.name}' from row {first_row}"):
                    window = _window(stored.record_batch, columns)
                    pieces = window.pieces(batch_size or _batch_rows(window))
                for piece in pieces:
                    yield piece.batch(columns.spec, first_row, Context(stored, piece))
            first_row += stored.record_batch.num_rows

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> ArrowWriter:
        changes = self._changes(outputs)
        with ExitStack() as stack:
            writer = self._writer(stack.enter_context(path.open("wb")), changes)
            stack.pop_all()
        return writer

    def stream_writer(
        self, stream: IO[bytes], outputs: Mapping[str, ArraySpec]
    ) -> ArrowWriter | None:
        changes = self._changes(outputs)
        return None if self._form.is_file else self._writer(stream, changes)

    def table(self) -> Table:
        return Table(self._schemas[0], (stored.record_batch for stored in self.record_batches()))

    @abstractmethod
    def record_batches(self) -> Iterator[StoredBatch]:
        """Yield every record batch with its metadata."""

    def _describe(self, schema: ArrowSchema, form: Form, num_rows: int | None) -> None:
        """Take note of what the file or the first stream holds."""
        self._schemas = [schema]
        self._form = form
        self._columns = columns_of(schema, num_rows, form.codec or "")

    def _writer(self, file: IO[bytes], changes: list[Change[Columns]]) -> ArrowWriter:
        return ArrowWriter(file, self.path, self._form, self._schemas, changes)

    def _wide(self, pattern: str) -> Columns | None:
        members = wide_members(self._columns, pattern)
        if not members:
            return None
        spec = members[0].spec
        shape = (*spec.shape, len(members))
        return Columns(
            replace(spec, name=pattern, shape=shape, layout=f"{len(members)} columns", refusal=""),
            tuple(member.places[0] for member in members),
        )

    def _named(self, name: str) -> Columns:
        for columns in self._columns:
            if columns.spec.name == name and not columns.spec.refusal:
                return columns
        wide = self._wide(name)
        if wide is None:
            raise SelectionError(f"{self.path}: no array '{name}' that can be normalized")
        return wide

    def _changes(self, outputs: Mapping[str, ArraySpec]) -> list[Change[Columns]]:
        """Check that the table can hold what its arrays are to become."""
        changes = [change_to(self._named(name), out, "Arrow") for name, out in outputs.items()]
        places = [place for change in changes for place in change.columns.places]
        if len(set(places)) < len(places):
            raise SelectionError(f"{', '.join(outputs)} have a column in common; select it once")
        return changes


class ArrowReader(_AnyArrowReader):
    """An Arrow IPC file, or streams in a file."""

    def __init__(self, path: Path, opening: OpenOptions = DEFAULT_OPENING) -> None:
        super().__init__(path, opening)
        with ExitStack() as stack, as_format_error(path):
            self._file = stack.enter_context(path.open("rb"))
            is_file = self._file.read(len(FILE_MAGIC)) == FILE_MAGIC
            list_messages = listed_record_batches if is_file else messages_of_streams
            messages = list(list_messages(self._file, path.stat().st_size))
            self._file.seek(0)
            opened = _open_file(self._file) if is_file else pa.ipc.open_stream(self._file)
            codec = messages[0].codec if messages else None
            form = Form(is_file, codec, getattr(opened, "metadata", None))
            self._describe(opened.schema, form, sum(message.num_rows for message in messages))
            stack.pop_all()

    def record_batches(self) -> Iterator[StoredBatch]:
        """Yield every record batch with its metadata."""
        self._file.seek(0)
        if self._form.is_file:
            with as_format_error(self.path):
                opened = _open_file(self._file)
            return file_batches(opened, self.path)
        stream = BufferedStream(self._file)
        stream.stop_buffering()
        return stream_batches(stream, self.path, self._schemas)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ArrowStreamReader(_AnyArrowReader):
    """Arrow IPC streams that come in front to back."""

    may_wait = True

    def __init__(
        self, stream: BufferedStream, label: str, opening: OpenOptions = DEFAULT_OPENING
    ) -> None:
        super().__init__(Path(label), opening)
        self._stream = stream
        with as_format_error(self.path):
            codec = first_codec(stream)
            stream.rewind()
            schema = pa.ipc.open_stream(stream).schema
            stream.rewind()
            self._describe(schema, Form(is_file=False, codec=codec), None)

    def record_batches(self) -> Iterator[StoredBatch]:
        """Yield every record batch with its metadata."""
        self._stream.rewind()
        return stream_batches(self._stream, self.path, self._schemas)

    def close(self) -> None:
        """Leave the stream to whoever opened it."""


def _open_file(file: IO[bytes]) -> Any:
    return pa.ipc.open_file(pa.PythonFile(file, "r"))


def _window(record_batch: RecordBatch, columns: Columns) -> Window:
    arrays = [record_batch.column(place.top) for place in columns.places]
    for array in arrays:
        array.validate(full=True)
    return window_of(arrays, columns.places[0].path, is_wide=columns.is_wide)


def _batch_rows(window: Window) -> int:
    """Return how many rows a batch takes of a window, which may be large."""
    row_bytes = max(part.rows.nbytes // max(1, len(part.rows)) for part in window.parts)
    return max(1, BATCH_BYTES // max(1, row_bytes))
