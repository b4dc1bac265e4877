"""FlatBuffers, as far as the metadata of Arrow IPC need it: tables, numbers, lists of structs.

A number that points outside the buffer raises ``struct.error``, and no memory is allocated by a
length that the buffer claims. ``footer`` and ``messages`` read with it.
"""

from __future__ import annotations

import struct


class FlatTable:
    """A FlatBuffers table: fields are found by way of its vtable, and absent ones are 0."""

    def __init__(self, buffer: bytes, position: int) -> None:
        self._buffer = buffer
        self._position = position
        self._vtable = position - self._unpack("<i", position)

    @classmethod
    def root(cls, buffer: bytes) -> FlatTable:
        """Return the table that the buffer begins with."""
        return cls(buffer, struct.unpack_from("<I", buffer)[0])

    def number(self, field: int, form: str) -> int:
        """Return a number, which is stored as ``form`` of the module ``struct`` says."""
        offset = self._offset(field)
        return self._unpack(form, self._position + offset) if offset else 0

    def table(self, field: int) -> FlatTable | None:
        """Return a table inside the table; ``None`` where there is none."""
        position = self._target(field)
        return None if position is None else FlatTable(self._buffer, position)

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """Return a list of structs, each of which is stored as ``form`` says."""
        position = self._target(field)
        if position is None:
            return []
        start, count = position + 4, self._unpack("<I", position)
        stop = start + count * struct.calcsize(form)
        if stop > len(self._buffer):
            raise struct.error("a list leads out of the buffer")
        return list(struct.iter_unpack(form, self._buffer[start:stop]))

    def _target(self, field: int) -> int | None:
        offset = self._offset(field)
        position = self._position + offset
        return position + self._unpack("<I", position) if offset else None

    def _offset(self, field: int) -> int:
        entry = 4 + 2 * field
        inside = entry < self._unpack("<H", self._vtable)
        return self._unpack("<H", self._vtable + entry) if inside else 0

    def _unpack(self, form: str, position: int) -> int:
        if position < 0:
            raise struct.error("an offset leads out of the buffer")
        return int(struct.unpack_from(form, self._buffer, position)[0])
