"""``.npy``: one array, C or Fortran order, any byte order, and what may follow it."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import Batch, rows_per_batch, windows
from l2cli.atomic import reserve
from l2cli.errors import FormatError
from l2cli.formats.base import Reader, Writer
from l2cli.formats.npy_body import read_rows, write_rows
from l2cli.formats.npy_header import NpyHeader, parse_header
from l2cli.formats.raw import byte_view, empty_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.inlet import Inlet

    Array = np.ndarray[Any, Any]

_RESERVED_BYTES = 2**25
"""What is allocated of a file at a time: so little that the batches need not wait for it."""


class _AnyNpyReader(Reader):
    """An npy array, in a file or in a stream. It has no name."""

    header: NpyHeader

    def arrays(self) -> list[ArraySpec]:
        return [self.header.spec("")]

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        for array in arrays:
            for start, stop in windows(array.num_rows, rows_per_batch(array, batch_size)):
                yield Batch(array, self._rows(start, stop), start)

    def is_quick(self, arrays: Sequence[ArraySpec]) -> bool:
        return not self.header.fortran_order

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> NpyWriter:
        return NpyWriter(path.open("wb"), self.header.like(outputs[""]), self.copy_tail)

    def stream_writer(
        self, stream: IO[bytes], outputs: Mapping[str, ArraySpec]
    ) -> NpyWriter | None:
        header = self.header.like(outputs[""])
        return None if header.fortran_order else NpyWriter(stream, header, self.copy_tail)

    @abstractmethod
    def copy_tail(self, target: IO[bytes]) -> None:
        """Copy what follows the array, nearly always nothing."""

    @abstractmethod
    def _rows(self, start: int, stop: int) -> Array: ...


class NpyReader(_AnyNpyReader):
    """An ``.npy`` file."""

    def __init__(self, path: Path, *, assume_bfloat16: bool = False) -> None:
        super().__init__(path)
        self._file = path.open("rb")
        try:
            self.header = parse_header(self._file, str(path), assume_bfloat16=assume_bfloat16)
            self._check_size()
        except BaseException:
            self._file.close()
            raise

    def copy_tail(self, target: IO[bytes]) -> None:
        self._file.seek(len(self.header.raw) + self.header.num_bytes)
        shutil.copyfileobj(self._file, target)

    def leftovers(self, taken: Collection[str]) -> list[str]:
        return [f"{extra:,} bytes after the array"] if (extra := self._num_extra()) else []

    def close(self) -> None:
        self._file.close()

    def _rows(self, start: int, stop: int) -> Array:
        return read_rows(self._file.fileno(), self.header, start, stop, str(self.path))

    def _num_extra(self) -> int:
        held = self.path.stat().st_size - len(self.header.raw)
        return held - self.header.num_bytes

    def _check_size(self) -> None:
        if self.header.stored_dtype.hasobject:
            return
        extra, promised = self._num_extra(), self.header.num_bytes
        if extra < 0:
            raise FormatError(
                f"{self.path} is cut off: its header promises {promised:,} bytes "
                f"of numbers, the file holds {promised + extra:,}; copy it again"
            )
        if extra:
            self.notes.append(f"{extra:,} bytes after the array stay as they are")


class NpyStreamReader(_AnyNpyReader):
    """An npy array that comes in front to back."""

    may_wait = True

    def __init__(self, inlet: Inlet, label: str, *, assume_bfloat16: bool = False) -> None:
        super().__init__(Path(label))
        self._inlet = inlet
        self.header = parse_header(inlet, label, assume_bfloat16=assume_bfloat16)
        self.must_seek = self.header.fortran_order

    def copy_tail(self, target: IO[bytes]) -> None:
        num_extra = 0
        while extra := self._inlet.read(2**16):
            target.write(extra)
            num_extra += len(extra)
        if num_extra:
            self.notes.append(f"{num_extra:,} bytes after the array stay as they are")

    def close(self) -> None:
        """Leave the stream to whoever opened it."""

    def _rows(self, start: int, stop: int) -> Array:
        rows = empty_rows((stop - start, *self.header.shape[1:]), self.header.stored_dtype)
        count = self._inlet.fill(byte_view(rows))
        if count < rows.nbytes:
            held = start * (rows.nbytes // len(rows)) + count
            raise FormatError(
                f"{self.path} is cut off: its header promises {self.header.num_bytes:,} bytes "
                f"of numbers, {held:,} came"
            )
        return rows.astype(rows.dtype.newbyteorder("="), copy=False)


class NpyWriter(Writer):
    """An ``.npy`` array like another.

    Parameters
    ----------
    file
        Where to write: front to back, so it may be a pipe, except in Fortran order.
    copy_tail
        Copies what follows the array.
    """

    def __init__(
        self, file: IO[bytes], header: NpyHeader, copy_tail: Callable[[IO[bytes]], None]
    ) -> None:
        self._file = file
        self._header = header
        self._copy_tail = copy_tail
        self._reserved = 0
        self._file.write(header.raw)
        self._file.flush()

    def reserve(self) -> bool:
        end = len(self._header.raw) + self._header.num_bytes
        start, self._reserved = self._reserved, min(self._reserved + _RESERVED_BYTES, end)
        reserve(self._file.fileno(), start, self._reserved)
        return self._reserved < end

    def write(self, batch: Batch) -> None:
        if self._header.fortran_order:
            write_rows(self._file.fileno(), self._header, batch.start, batch.rows)
        else:
            stored = batch.rows.astype(self._header.stored_dtype, copy=False)
            self._file.write(byte_view(np.ascontiguousarray(stored)))
            self._file.flush()

    def finish(self) -> None:
        if self._header.fortran_order:
            self._file.seek(len(self._header.raw) + self._header.num_bytes)
        self._copy_tail(self._file)
        self.close()

    def close(self) -> None:
        self._file.close()
