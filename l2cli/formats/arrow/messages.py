"""The number of rows of an Arrow IPC message, and its codec, neither of which pyarrow tells.

A stream is a sequence of messages. Each is a length, a FlatBuffer that describes a body, and the
body (Arrow columnar format 1.5, "IPC"). Only the few fields that ``footer`` and ``streams`` need
are decoded, and no body is read.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from l2cli.formats.arrow.flatbuffers_reader import FlatTable

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTINUATION = b"\xff\xff\xff\xff"
SCHEMA, DICTIONARY_BATCH, RECORD_BATCH = 1, 2, 3
MAX_METADATA = 2**28
_CODECS = ("lz4", "zstd")


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes."""


class Seekable(Readable, Protocol):
    """A file that is open for reading."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Go to ``offset``."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes
    ----------
    type : int
        What it is: a schema, a dictionary batch or a record batch, by its number in the format.
    num_rows : int
        Of a record batch; 0 for another message.
    codec : str or None
        ``lz4``, ``zstd``, or ``None`` where the body isn't compressed.
    body_bytes : int
        Bytes of the body, which follows.
    """

    type: int
    num_rows: int
    codec: str | None
    body_bytes: int


def read_message(stream: Readable) -> Message | None:
    """Read the next message but for its body; ``None`` at the stream's end.

    Raises
    ------
    ValueError
        Where the stream is cut off, or its metadata make no sense.
    """
    prefix = stream.read(4)
    if prefix == CONTINUATION:
        prefix = stream.read(4)
    length = int.from_bytes(prefix, "little")
    if length == 0:
        return None
    metadata = stream.read(length) if length <= MAX_METADATA else b""
    if len(prefix) < 4 or len(metadata) < length:
        raise ValueError("it is cut off in the metadata of a message")
    try:
        return _parse(metadata)
    except struct.error as exc:
        raise ValueError("it is damaged: the metadata of a message make no sense") from exc


def first_codec(stream: Readable) -> str | None:
    """Return the codec of the first record batch, whose body is left to be read."""
    while message := read_message(stream):
        if message.type == RECORD_BATCH:
            return message.codec
        stream.read(message.body_bytes)
    return None


def record_batches(file: Seekable, num_bytes: int) -> Iterator[Message]:
    """Yield the record batches from the position of ``file`` on, without reading their rows.

    Raises
    ------
    ValueError
        Where the file, ``num_bytes`` long, ends before the stream in it does.
    """
    while message := read_message(file):
        if message.body_bytes > num_bytes - file.seek(0, os.SEEK_CUR):
            raise ValueError("it is cut off in the body of a message")
        file.seek(message.body_bytes, os.SEEK_CUR)
        if message.type == RECORD_BATCH:
            yield message


def _parse(metadata: bytes) -> Message:
    root = FlatTable.root(metadata)
    message_type, body_bytes = root.number(1, "<B"), root.number(3, "<q")
    if body_bytes < 0:
        raise ValueError(f"it is damaged: a message claims a body of {body_bytes} bytes")
    header = root.table(2)
    if message_type != RECORD_BATCH or header is None:
        return Message(message_type, 0, None, body_bytes)
    num_rows, compression = header.number(0, "<q"), header.table(3)
    if num_rows < 0:
        raise ValueError(f"it is damaged: a record batch claims {num_rows} rows")
    codec = _CODECS[compression.number(0, "<b") & 1] if compression else None
    return Message(message_type, num_rows, codec, body_bytes)
