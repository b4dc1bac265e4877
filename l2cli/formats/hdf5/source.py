"""The HDF5 file that a reader has open, as its writer needs it too.

The reader fills it in; the writer, for which the file is the template, only looks things up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h5py import h5d

from l2cli.formats.hdf5.links import to_path

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    import h5py


@dataclass
class Hdf5Source:
    """An open HDF5 file, and what its reader knows of it.

    Attributes
    ----------
    path : Path
        The file.
    file : h5py.File
        The file, open for reading.
    pool : ThreadPoolExecutor
        Where chunks are decoded and encoded.
    notes : list of str
        The notes of the reader.
    direct : bool
        Whether rows may be read and written without HDF5.
    locations : dict of str to (bytes, tuple of bytes)
        The path of the dataset, and the fields in it, of each array that is a field of records.
    """

    path: Path
    file: h5py.File
    pool: ThreadPoolExecutor
    notes: list[str]
    direct: bool
    locations: dict[str, tuple[bytes, tuple[bytes, ...]]] = field(default_factory=dict)

    def location(self, name: str) -> tuple[bytes, tuple[bytes, ...]]:
        """Return the path of the dataset of an array, and the fields that lead to the array."""
        return self.locations.get(name, (to_path(name), ()))

    def open(self, name: str) -> h5d.DatasetID:
        """Open the dataset of an array."""
        return h5d.open(self.file.id, self.location(name)[0])
