"""Reading and writing ``.npy``: one array or several end to end, and any bytes after them.

The writer takes everything but the selected rows from the reader. How an array of records is
taken apart and put together is the matter of ``stored``.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import empty_rows
from l2cli.errors import FormatError, SelectionError
from l2cli.filesystem.atomic import reserve
from l2cli.filesystem.byte_ranges import byte_view, copy_range
from l2cli.formats.base import DEFAULT_OPENING, Reader, Writer
from l2cli.formats.npy.body import native, read_rows, write_rows
from l2cli.formats.npy.header import MAGIC, parse_header
from l2cli.formats.npy.stored import RowAssembler, StoredArray

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.filesystem.buffered_stream import BufferedStream
    from l2cli.options import OpenOptions

    Array = np.ndarray[Any, Any]

_RESERVED_BYTES = 2**25
"""What is allocated of a file at a time: so little that the batches need not wait for it."""
_BLOCK_BYTES = 2**16


class _AnyNpyReader(Reader):
    """Npy arrays, in a file or in a stream.

    One that is alone has no name; of several the names are those that ``numpy.savez`` gives:
    ``arr_0``, ``arr_1`` …
    """

    stored: list[StoredArray]

    def arrays(self) -> list[ArraySpec]:
        return [array for stored in self.stored for array in stored.specs]

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        for stored in self.stored:
            yield from stored.batches(arrays, batch_size, partial(self._rows, stored))

    def is_quick(self, arrays: Sequence[ArraySpec]) -> bool:
        return not any(stored.header.fortran_order or stored.has_records for stored in self.stored)

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> NpyWriter:
        return NpyWriter(path.open("wb"), self, outputs)

    def stream_writer(
        self, stream: IO[bytes], outputs: Mapping[str, ArraySpec]
    ) -> NpyWriter | None:
        is_fortran = any(stored.header.fortran_order for stored in self.stored)
        return None if is_fortran else NpyWriter(stream, self, outputs)

    @abstractmethod
    def copy(self, target: IO[bytes], start: int, stop: int | None) -> None:
        """Copy the bytes from ``start`` to ``stop``, or to the end, as they are."""

    @abstractmethod
    def _rows(self, stored: StoredArray, start: int, stop: int) -> Array: ...

    def _set_min_rank(self) -> None:
        """Let a vector (rank 1) be an array to normalize only where it is alone in the file."""
        is_alone = len(self.stored) == 1 and not self.stored[0].has_records
        self.min_rank = 1 if is_alone else 2


class NpyReader(_AnyNpyReader):
    """An ``.npy`` file."""

    def __init__(self, path: Path, opening: OpenOptions = DEFAULT_OPENING) -> None:
        super().__init__(path, opening)
        self._file = path.open("rb")
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self.stored = self._find()
        except BaseException:
            self._file.close()
            raise
        self._set_min_rank()
        if extra := self._num_extra():
            self.notes.append(f"{extra:,} bytes after the array stay as they are")

    def copy(self, target: IO[bytes], start: int, stop: int | None) -> None:
        """Copy the bytes from ``start`` to ``stop``, or to the end, as they are."""
        stop = self._size if stop is None else stop
        copy_range(self._file.fileno(), target, start, stop, str(self.path))

    def dropped(self, taken: Collection[str]) -> list[str]:
        """Name what the file holds besides the arrays called ``taken``."""
        extra = self._num_extra()
        return super().dropped(taken) + ([f"{extra:,} bytes after the array"] if extra else [])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find(self) -> list[StoredArray]:
        """Return every array: what begins like one, right behind another, is one."""
        arrays: list[StoredArray] = []
        position = 0
        while not arrays or self._begins_at(position):
            self._file.seek(position)
            label = f"{self.path}, arr_{len(arrays)}" if arrays else str(self.path)
            header = parse_header(self._file, label, assume_bfloat16=self.opening.assume_bfloat16)
            stored = StoredArray(header, f"arr_{len(arrays)}", position)
            arrays.append(stored)
            if header.stored_dtype.hasobject:
                break  # Where its pickle ends only a pickle's reader knows.
            self._check_size(stored, label)
            position += stored.num_bytes
        return arrays if len(arrays) > 1 else [StoredArray(arrays[0].header)]

    def _begins_at(self, position: int) -> bool:
        return os.pread(self._file.fileno(), len(MAGIC), position) == MAGIC

    def _check_size(self, stored: StoredArray, label: str) -> None:
        expected = stored.header.num_bytes
        size = self._size - stored.position - len(stored.header.raw)
        if size < expected:
            raise FormatError(
                f"{label} is cut off: its header promises {expected:,} bytes "
                f"of numbers, the file holds {size:,}; copy it again"
            )

    def _num_extra(self) -> int:
        last = self.stored[-1]
        if last.header.stored_dtype.hasobject:
            return 0
        return self._size - last.position - last.num_bytes

    def _rows(self, stored: StoredArray, start: int, stop: int) -> Array:
        file, label = self._file.fileno(), str(self.path)
        return read_rows(file, stored.header, start, stop, label, stored.position)


class NpyStreamReader(_AnyNpyReader):
    """An npy array that comes front to back."""

    may_wait = True

    def __init__(
        self, stream: BufferedStream, label: str, opening: OpenOptions = DEFAULT_OPENING
    ) -> None:
        super().__init__(Path(label), opening)
        self._stream = stream
        self._after = b""
        header = parse_header(stream, label, assume_bfloat16=opening.assume_bfloat16)
        self.stored = [StoredArray(header)]
        self.must_seek = header.fortran_order
        self._set_min_rank()

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        """Yield the rows of the one array, and refuse a stream with another behind it.

        How many there are is known at its end only. Where arrays are chosen by name, the stream
        is read from a file.
        """
        yield from super().batches(arrays, batch_size)
        self._after = self._stream.read(len(MAGIC))
        if self._after == MAGIC:
            raise SelectionError(
                f"{self.path} holds another array behind the first; choose: `select='*'` takes all "
                "of them, `select='arr_0'` the first, `select='arr_1'` the second"
            )

    def copy(self, target: IO[bytes], start: int, stop: int | None) -> None:
        """Copy what follows the one array: all before it was read."""
        num_extra, block = 0, self._after
        while block:
            target.write(block)
            num_extra += len(block)
            block = self._stream.read(_BLOCK_BYTES)
        if num_extra:
            self.notes.append(f"{num_extra:,} bytes after the array stay as they are")

    def close(self) -> None:
        """Leave the stream to whoever opened it."""

    def _rows(self, stored: StoredArray, start: int, stop: int) -> Array:
        header = stored.header
        rows = empty_rows((stop - start, *header.shape[1:]), header.stored_dtype)
        count = self._stream.fill(byte_view(rows))
        if count < rows.nbytes:
            came = start * (rows.nbytes // len(rows)) + count
            raise FormatError(
                f"{self.path} is cut off: its header promises {header.num_bytes:,} bytes "
                f"of numbers, {came:,} came"
            )
        return native(rows)


class NpyWriter(Writer):
    """Npy arrays like those of a reader, with what lies between and behind them as it was.

    Parameters
    ----------
    file : binary stream
        Where to write: front to back, so it may be a pipe, except in Fortran order.
    """

    def __init__(
        self, file: IO[bytes], source: _AnyNpyReader, outputs: Mapping[str, ArraySpec]
    ) -> None:
        self._file = file
        self._source = source
        assemblers = [RowAssembler(stored, outputs) for stored in source.stored]
        self._waiting = [assembler for assembler in assemblers if assembler.names]
        last = self._waiting[-1].stored
        grown = sum(assembler.num_bytes - assembler.stored.num_bytes for assembler in self._waiting)
        self._end = last.position + last.num_bytes + grown
        self._reserved = 0
        self._num_read = self._num_written = 0
        self._begin_next()

    def reserve(self) -> bool:
        """Let the file system find room for some more of the file."""
        start, self._reserved = self._reserved, min(self._reserved + _RESERVED_BYTES, self._end)
        reserve(self._file.fileno(), start, self._reserved)
        return self._reserved < self._end

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, in the order of the reader's batches."""
        while batch.array.name not in self._array.names:
            self._begin_next()
        header, rows = self._array.header, self._array.add(batch)
        if rows is None:
            return
        if header.fortran_order:
            write_rows(self._file.fileno(), header, batch.start, rows, self._begin)
        else:
            stored = rows.astype(header.stored_dtype, copy=False)
            self._file.write(byte_view(np.ascontiguousarray(stored)))
            self._file.flush()

    def finish(self) -> None:
        """Write what remains and close."""
        while self._waiting:
            self._begin_next()
        self._end_array()
        self._source.copy(self._file, self._num_read, None)
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _begin_next(self) -> None:
        """Copy what lies before the next array to write, and begin that one."""
        self._end_array()
        array = self._waiting.pop(0)
        if between := array.stored.position - self._num_read:
            self._source.copy(self._file, self._num_read, array.stored.position)
            self._num_read += between
            self._num_written += between
        self._array, self._begin = array, self._num_written
        self._file.write(array.header.raw)
        self._file.flush()
        self._num_read += array.stored.num_bytes
        self._num_written += array.num_bytes

    def _end_array(self) -> None:
        """Go behind the array that was written last: in Fortran order its rows are all over it."""
        if self._num_written and self._array.header.fortran_order:
            self._file.seek(self._num_written)
