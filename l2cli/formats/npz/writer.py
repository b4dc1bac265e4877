"""Writing an ``.npz`` from a source as its template: other members are copied.

Only the reader makes a writer. Members come in the order of the archive, so it is read and
written front to back.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
import zipfile
from typing import IO, TYPE_CHECKING

import numpy as np

from l2cli.filesystem.byte_ranges import byte_view
from l2cli.formats.base import Writer
from l2cli.formats.npy.body import write_rows
from l2cli.formats.npy.stored import RowAssembler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.npy.stored import StoredArray
    from l2cli.formats.npz.reader import NpzReader


class NpzWriter(Writer):
    """An ``.npz`` archive like another: the same members in the same order."""

    def __init__(self, path: Path, source: NpzReader, outputs: Mapping[str, ArraySpec]) -> None:
        self._source = source
        self._folder = path.parent
        self._outputs = outputs
        self._remaining = iter(source.archive.infolist())
        self._member: _MemberWriter | None = None
        self._file = path.open("w+b")
        self._archive = zipfile.ZipFile(self._file, "w")
        self._archive.comment = source.archive.comment

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, in the order of the reader's batches."""
        while self._member is None or batch.array.name not in self._member.names:
            self._next_member()
        self._member.write(batch)

    def finish(self) -> None:
        """Write what remains and close."""
        with contextlib.suppress(StopIteration):
            while True:
                self._next_member()
        self._archive.close()
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._member is not None:
            self._member.abandon()
            self._member = None
        # What isn't finished is thrown away: zipfile must not complete it when it is collected.
        self._archive.fp = None
        self._file.close()

    def _next_member(self) -> None:
        """End the member at hand, copy the next, or begin it where it is to be written."""
        if self._member is not None:
            self._member.finish()
            self._member = None
        info = next(self._remaining)
        name = next((name for name, member in self._source.members.items() if member is info), None)
        if name is not None and self._source.holds_any(name, self._outputs):
            self._member = self._begin(self._source.stored(name), info)
        else:
            self._copy(info)

    def _begin(self, stored: StoredArray, info: zipfile.ZipInfo) -> _MemberWriter:
        array = RowAssembler(stored, self._outputs)
        extra = info.file_size - stored.num_bytes
        target = self._open(info, array.num_bytes + extra)
        tail = (info, stored.num_bytes) if extra else None
        return _MemberWriter(array, target, self._folder, lambda: self._tail(tail))

    def _tail(self, tail: tuple[zipfile.ZipInfo, int] | None) -> bytes:
        """Return what follows the numbers in the source's member, nearly always nothing."""
        if tail is None:
            return b""
        with self._source.damage(), self._source.archive.open(tail[0]) as stream:
            stream.seek(tail[1])
            return stream.read()

    def _copy(self, info: zipfile.ZipInfo) -> None:
        with contextlib.ExitStack() as stack:
            with self._source.damage():
                before = stack.enter_context(self._source.archive.open(info))
            after = stack.enter_context(self._open(info, info.file_size))
            while True:
                # What goes wrong while it is written is no damage of the source.
                with self._source.damage():
                    block = before.read(2**20)
                if not block:
                    break
                after.write(block)

    def _open(self, template: zipfile.ZipInfo, size: int) -> IO[bytes]:
        info = zipfile.ZipInfo(template.filename, template.date_time)
        info.compress_type = template.compress_type
        info.comment = template.comment
        info.create_system = template.create_system
        info.internal_attr = template.internal_attr
        info.external_attr = template.external_attr
        info.extra = _without_sizes(template.extra)
        info.file_size = size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Two members of one name were two in the source.
            return self._archive.open(info, "w")


class _MemberWriter:
    """One member on its way into the archive: straight, or by a file where it is in runs."""

    def __init__(
        self, array: RowAssembler, target: IO[bytes], folder: Path, tail: Callable[[], bytes]
    ) -> None:
        self.names = array.names
        self._array = array
        self._target = target
        self._tail = tail
        self._spool: IO[bytes] | None = None
        if array.header.fortran_order:
            self._spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by finish
            self._spool.write(array.header.raw)
            self._spool.flush()
        else:
            target.write(array.header.raw)

    def write(self, batch: Batch) -> None:
        header, rows = self._array.header, self._array.add(batch)
        if rows is None:
            return
        if self._spool is not None:
            write_rows(self._spool.fileno(), header, batch.start, rows)
            return
        stored = np.ascontiguousarray(rows.astype(header.stored_dtype, copy=False))
        self._target.write(byte_view(stored))

    def finish(self) -> None:
        if self._spool is not None:
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, self._target, 2**20)
            self._spool.close()
        self._target.write(self._tail())
        self._target.close()

    def abandon(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _without_sizes(extra: bytes) -> bytes:
    """Return a member's extra fields but the ZIP64 one, which zipfile writes itself."""
    kept, rest = b"", extra
    while len(rest) >= 4:
        size = 4 + int.from_bytes(rest[2:4], "little")
        if rest[:2] != b"\x01\x00":
            kept += rest[:size]
        rest = rest[size:]
    return kept
