"""Arrow IPC files taken apart and put together by hand, as other writers lay them out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

BLOCK = "<qi4xq"
MAGIC = b"ARROW1"
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclass
class Parts:
    """A file of pyarrow: what stands before its messages, those listed, and the footer.

    ``places`` says where in the footer each message is listed, dictionaries first.
    """

    head: bytes
    messages: list[bytes]
    footer: bytearray
    places: list[int]

    def block(self, number: int) -> tuple[int, int, int]:
        offset, metadata_bytes, body_bytes = struct.unpack_from(
            BLOCK, self.footer, self.places[number]
        )
        return offset, metadata_bytes, body_bytes

    def list_as(self, number: int, offset: int, metadata_bytes: int, body_bytes: int) -> None:
        struct.pack_into(
            BLOCK, self.footer, self.places[number], offset, metadata_bytes, body_bytes
        )

    def joined(self, order: list[int] | None = None, gap: bytes = b"", end: bytes = b"") -> bytes:
        """Lay the messages out in any order, with a gap before each, and list them anew."""
        content = self.head
        for number in order or range(len(self.messages)):
            content += gap
            self.list_as(number, len(content), *self.block(number)[1:])
            content += self.messages[number]
        return content + end + self.tail

    @property
    def tail(self) -> bytes:
        return bytes(self.footer) + len(self.footer).to_bytes(4, "little") + MAGIC


def take_apart(content: bytes) -> Parts:
    """Take a file apart that pyarrow wrote."""
    length = int.from_bytes(content[-10:-6], "little")
    footer = bytearray(content[-10 - length : -10])
    places = [place for field in (2, 3) for place in _structs(bytes(footer), field)]
    blocks = [struct.unpack_from(BLOCK, footer, place) for place in places]
    messages = [content[o : o + metadata + body] for o, metadata, body in blocks]
    head = content[: min((block[0] for block in blocks), default=8)]
    return Parts(head, messages, footer, places)


def list_length_place(footer: bytes, field: int) -> int:
    """Return where a footer has the length of its list number ``field``."""
    root = struct.unpack_from("<I", footer)[0]
    vtable = root - struct.unpack_from("<i", footer, root)[0]
    offset = struct.unpack_from("<H", footer, vtable + 4 + 2 * field)[0]
    place: int = root + offset + struct.unpack_from("<I", footer, root + offset)[0]
    return place


def file_of(table: Any, rows: int = 4, **options: Any) -> bytes:
    """Return a table as a file with a record batch for so many rows."""
    return _written(pa.ipc.new_file, table, rows, options)


def stream_of(table: Any, rows: int = 4, **options: Any) -> bytes:
    """Return a table as a stream with a record batch for so many rows."""
    return _written(pa.ipc.new_stream, table, rows, options)


def _written(new: Any, table: Any, rows: int, options: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches(max_chunksize=rows):
            writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _structs(footer: bytes, field: int) -> list[int]:
    place = list_length_place(footer, field)
    (count,) = struct.unpack_from("<I", footer, place)
    return [place + 4 + struct.calcsize(BLOCK) * number for number in range(count)]
