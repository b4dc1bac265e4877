"""The record batches of an Arrow IPC file, by its footer, and those of streams, in their order.

Streams may stand end to end, as ``cat`` leaves them. They count as one table if their columns are
the same; the metadata of their schemas may differ. The reader is the only caller; nothing here
knows which columns are selected.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from l2cli.errors import FormatError
from l2cli.formats.arrow.messages import CONTINUATION, Message, Readable, Seekable, record_batches
from l2cli.formats.tabular.errors import as_format_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from l2cli.filesystem.buffered_stream import BufferedStream

ArrowSchema = Any
RecordBatch = Any

_PREFIX_BYTES = 8
"""What a message begins with: the mark of its beginning, and its length."""
_PADDING_BYTES = 2**20


@dataclass(frozen=True)
class StoredBatch:
    """A record batch with its metadata, and the number of the stream that it is in."""

    record_batch: RecordBatch
    metadata: Any
    stream: int = 0


def stream_batches(
    file: BufferedStream, path: Path, schemas: list[ArrowSchema]
) -> Iterator[StoredBatch]:
    """Yield the record batches of all streams, one stream after the other.

    Parameters
    ----------
    schemas : list of ArrowSchema
        Those of the streams that are known; those of further streams are added.
    """
    for stream in count():
        with as_format_error(path):
            opened = pa.ipc.open_stream(file)
            if stream == len(schemas):
                schemas.append(opened.schema)
            check_columns(schemas[0], opened.schema, stream)
        yield from _batches_of_one(opened, path, stream)
        if file.ended:
            raise FormatError(f"{path} is cut off: it ends without the mark of the stream's end")
        with as_format_error(path):
            start = file.read(_PREFIX_BYTES)
            if not begins_stream(start, file):
                return
        file.unread(start)


def _batches_of_one(opened: Any, path: Path, stream: int) -> Iterator[StoredBatch]:
    for number in count():
        with as_format_error(path, f"record batch {number}"):
            try:
                received = opened.read_next_batch_with_custom_metadata()
            except StopIteration:
                return
            received.batch.validate()
        yield StoredBatch(received.batch, received.custom_metadata, stream)


def file_batches(opened: Any, path: Path) -> Iterator[StoredBatch]:
    """Yield the record batches of a file that is open, in the order of its footer."""
    for number in range(opened.num_record_batches):
        with as_format_error(path, f"record batch {number}"):
            received = opened.get_batch_with_custom_metadata(number)
            received.batch.validate()
        yield StoredBatch(received.batch, received.custom_metadata)


def messages_of_streams(file: Seekable, num_bytes: int) -> Iterator[Message]:
    """Yield the record batches of all streams in a file, without reading their rows.

    Raises
    ------
    ValueError
        Where the file, ``num_bytes`` long, ends before a stream in it does, or where something
        else follows.
    """
    first: ArrowSchema = None
    stream, start = 0, 0
    while True:
        file.seek(start)
        schema = pa.ipc.open_stream(file).schema
        first = first or schema
        check_columns(first, schema, stream)
        file.seek(start)
        yield from record_batches(file, num_bytes)
        start = file.seek(0, 1)
        if not begins_stream(file.read(_PREFIX_BYTES), file):
            return
        stream += 1


def check_columns(first: ArrowSchema, schema: ArrowSchema, stream: int) -> None:
    """Refuse a stream that has other columns than the first."""
    if not schema.equals(first, check_metadata=False):
        raise ValueError(
            f"its stream number {stream + 1} has other columns than the first, {_short(schema)} "
            f"against {_short(first)}; take them apart and normalize each by itself"
        )


def begins_stream(start: bytes, rest: Readable) -> bool:
    """Tell whether a stream goes on where another ended, and refuse what is none.

    Parameters
    ----------
    start : bytes
        The bytes that follow, eight of them where there are so many.
    rest : Readable
        What follows those. Zeros pad a file, and hold nothing.
    """
    if start.startswith(CONTINUATION) and any(start[len(CONTINUATION) :]):
        return True
    padding = start
    while padding:
        if any(padding):
            raise ValueError(
                f"behind the end of its stream is something else, which begins with "
                f"{padding.lstrip(bytes(1))[:8]!r}; cut it off, or put it into a file of its own"
            )
        padding = rest.read(_PADDING_BYTES)
    return False


def _short(schema: ArrowSchema) -> str:
    text = ", ".join(f"{field.name}: {field.type}" for field in schema)
    return text if len(text) <= 80 else f"{text[:79]}…"
