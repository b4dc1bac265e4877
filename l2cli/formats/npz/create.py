"""A new ``.npz``, as ``numpy.savez`` would write it, one array at a time.

Conversions to npz use it, and so does the option that adds an array of norms to an archive.
"""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import DestinationError
from l2cli.filesystem.byte_ranges import byte_view
from l2cli.formats.create import NewFileWriter
from l2cli.formats.npy.header import new_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch


class NewNpzWriter(NewFileWriter):
    """A new ``.npz``, its members stored. A member begins when its first rows come."""

    format_name = "npz"

    def __init__(self, target: Path | IO[bytes], outputs: Mapping[str, ArraySpec]) -> None:
        super().__init__(target, outputs)
        self._archive = zipfile.ZipFile(target, "w")
        self._waiting = list(self.outputs)
        self._member: IO[bytes] | None = None

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, in the order of the reader's batches."""
        self.check(batch)
        if len(batch.rows):
            member = self._open(batch.array.name)
            member.write(byte_view(np.ascontiguousarray(batch.rows)))

    def finish(self) -> None:
        """Write what remains and close."""
        for name in list(self._waiting):
            self._open(name)
        self._close_member()
        self._archive.close()

    def close(self) -> None:
        """Close the file."""
        # What isn't finished is thrown away: zipfile must not complete it when it is collected.
        if self._archive.fp is not None:
            self._archive.fp.close()
            self._archive.fp = None

    def _open(self, name: str) -> IO[bytes]:
        """Return the member that is being written, after those before it, empty ones included."""
        while self._member is None or name in self._waiting:
            self._close_member()
            array = self.settled(self._waiting.pop(0))
            header = new_header(array.dtype, tuple(n or 0 for n in array.shape))
            self._member = self._archive.open(f"{array.name}.npy", "w", force_zip64=True)
            self._member.write(header.raw)
        return self._member

    def _close_member(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None


def add_member(path: Path, name: str, norms: np.ndarray[Any, Any]) -> None:
    """Add an array to an archive."""
    name = name.removesuffix(".npy")
    with zipfile.ZipFile(path, "a") as archive:
        if f"{name}.npy" in archive.namelist():
            raise DestinationError(f"{path} holds an array '{name}' already; choose another name")
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, norms)
