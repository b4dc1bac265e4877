"""What pyarrow doesn't tell of an Arrow IPC stream: how many rows follow, and their codec.

A stream is a sequence of messages, each a length, a FlatBuffer that describes a body, and the
body (Arrow columnar format 1.5, "IPC"). Only the few fields that are asked for are looked up.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTINUATION = b"\xff\xff\xff\xff"
_RECORD_BATCH = 3
_CODECS = ("lz4", "zstd")
_MAX_METADATA = 2**28


class Seekable(Protocol):
    """A file that is open for reading."""

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Go to ``offset``."""


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes
    ----------
    num_rows
        Of a record batch; ``None`` for another message.
    codec
        ``lz4``, ``zstd``, or ``None`` where the body isn't compressed.
    body_bytes
        Bytes of the body, which follows.
    """

    num_rows: int | None
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
    if prefix == _CONTINUATION:
        prefix = stream.read(4)
    length = int.from_bytes(prefix, "little")
    if length == 0:
        return None
    metadata = stream.read(length) if length <= _MAX_METADATA else b""
    if len(prefix) < 4 or len(metadata) < length:
        raise ValueError("the stream is cut off in the metadata of a message")
    try:
        return _parse(metadata)
    except struct.error as exc:
        raise ValueError("the metadata of a message are damaged") from exc


def first_codec(stream: Readable) -> str | None:
    """Return the codec of the first record batch, whose body is left to be read."""
    while message := read_message(stream):
        if message.num_rows is not None:
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
        if file.seek(message.body_bytes, os.SEEK_CUR) > num_bytes:
            raise ValueError("the file is cut off in the body of a message")
        if message.num_rows is not None:
            yield message


def _parse(metadata: bytes) -> Message:
    root = _Table(metadata, struct.unpack_from("<I", metadata)[0])
    body_bytes = root.number(3, "<q")
    if body_bytes < 0:
        raise ValueError(f"a message claims a body of {body_bytes} bytes")
    header = root.table(2)
    if root.number(1, "<B") != _RECORD_BATCH or header is None:
        return Message(None, None, body_bytes)
    compression = header.table(3)
    codec = _CODECS[compression.number(0, "<b") & 1] if compression else None
    return Message(header.number(0, "<q"), codec, body_bytes)


class _Table:
    """A FlatBuffers table: fields are found by way of its vtable, and absent ones are 0."""

    def __init__(self, buffer: bytes, position: int) -> None:
        self._buffer = buffer
        self._position = position
        self._vtable = position - self._unpack("<i", position)

    def number(self, field: int, form: str) -> int:
        offset = self._offset(field)
        return self._unpack(form, self._position + offset) if offset else 0

    def table(self, field: int) -> _Table | None:
        offset = self._offset(field)
        if not offset:
            return None
        position = self._position + offset
        return _Table(self._buffer, position + self._unpack("<I", position))

    def _offset(self, field: int) -> int:
        place = 4 + 2 * field
        inside = place < self._unpack("<H", self._vtable)
        return self._unpack("<H", self._vtable + place) if inside else 0

    def _unpack(self, form: str, position: int) -> int:
        if position < 0:
            raise struct.error("an offset leads out of the buffer")
        return int(struct.unpack_from(form, self._buffer, position)[0])
