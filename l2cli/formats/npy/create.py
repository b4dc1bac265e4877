"""A new ``.npy``: one array in C order, little-endian.

Conversions to npy use it; it copies nothing from a source.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from l2cli.filesystem.byte_ranges import byte_view
from l2cli.formats.create import NewFileWriter
from l2cli.formats.npy.header import NpyHeader, new_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from l2cli.arrays import ArraySpec, Batch


class NewNpyWriter(NewFileWriter):
    """A new ``.npy``. Its header waits for the first rows, which tell their length."""

    format_name = "npy"
    streams = True
    holds_several = False

    def __init__(self, target: Path | IO[bytes], outputs: Mapping[str, ArraySpec]) -> None:
        super().__init__(target, outputs)
        self._file = target.open("wb") if isinstance(target, Path) else target
        self._header: NpyHeader | None = None

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, in the order of the reader's batches."""
        self.check(batch)
        if len(batch.rows):
            self._begin(batch.array.name)
            self._file.write(byte_view(np.ascontiguousarray(batch.rows)))
            self._file.flush()

    def finish(self) -> None:
        """Write what remains and close."""
        (name,) = self.outputs
        self._begin(name)
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _begin(self, name: str) -> None:
        if self._header is None:
            array = self.settled(name)
            self._header = new_header(array.dtype, tuple(n or 0 for n in array.shape))
            self._file.write(self._header.raw)
