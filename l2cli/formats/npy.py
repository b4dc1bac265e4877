"""``.npy``: one array, C or Fortran order, any byte order, and what may follow it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from l2cli.arrays import Batch, rows_per_batch, windows
from l2cli.errors import FormatError
from l2cli.formats.base import Reader, Writer
from l2cli.formats.npy_body import read_rows, write_rows
from l2cli.formats.npy_header import NpyHeader, parse_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from l2cli.arrays import ArraySpec


class NpyReader(Reader):
    """An ``.npy`` file. Its one array has no name."""

    min_rank = 1

    def __init__(self, path: Path, *, assume_bfloat16: bool = False) -> None:
        super().__init__(path)
        self.file = path.open("rb")
        try:
            self.header = parse_header(self.file, str(path), assume_bfloat16=assume_bfloat16)
            self._check_size()
        except BaseException:
            self.file.close()
            raise

    def arrays(self) -> list[ArraySpec]:
        return [self.header.spec("")]

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        for array in arrays:
            for start, stop in windows(array.num_rows, rows_per_batch(array, batch_size)):
                rows = read_rows(self.file.fileno(), self.header, start, stop, str(self.path))
                yield Batch(array, rows, start)

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> NpyWriter:
        return NpyWriter(path, self, self.header.like(outputs[""]))

    def close(self) -> None:
        self.file.close()

    def _check_size(self) -> None:
        held = self.path.stat().st_size - len(self.header.raw)
        if self.header.stored_dtype.hasobject:
            return
        if held < self.header.num_bytes:
            raise FormatError(
                f"{self.path} is cut off: its header promises {self.header.num_bytes:,} bytes "
                f"of numbers, the file holds {held:,}; copy it again"
            )
        if extra := held - self.header.num_bytes:
            self.notes.append(f"{extra:,} bytes after the array were copied as they are")


class NpyWriter(Writer):
    """An ``.npy`` file like another."""

    def __init__(self, path: Path, source: NpyReader, header: NpyHeader) -> None:
        self._source = source
        self._header = header
        self._file = path.open("wb")
        self._file.write(header.raw)
        self._file.flush()

    def write(self, batch: Batch, rows: np.ndarray[Any, Any]) -> None:
        write_rows(self._file.fileno(), self._header, batch.start, rows)

    def finish(self) -> None:
        source = self._source
        source.file.seek(len(source.header.raw) + source.header.num_bytes)
        self._file.seek(len(self._header.raw) + self._header.num_bytes)
        shutil.copyfileobj(source.file, self._file)
        self.close()

    def close(self) -> None:
        self._file.close()
