"""Reading HDF5: the datasets of one file, described and read a window at a time.

The reader finds the arrays, yields their rows in batches and opens the writer that takes these
batches back. What an array is, and what stands against it, other modules say.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as replaced
from typing import TYPE_CHECKING

import h5py
import numpy as np
from h5py import h5d, h5l, h5o

from l2cli.arrays import ArraySpec, Batch, rows_per_batch
from l2cli.errors import FormatError
from l2cli.formats.base import DEFAULT_OPENING, Reader
from l2cli.formats.hdf5.attributes import reversed_by, user_block_of
from l2cli.formats.hdf5.bookkeeping import Bookkeeping
from l2cli.formats.hdf5.declarations import missing_of
from l2cli.formats.hdf5.describe import describe
from l2cli.formats.hdf5.direct.open import is_contiguous, open_direct_reader
from l2cli.formats.hdf5.drivers import set_of
from l2cli.formats.hdf5.elements import element_of, elements
from l2cli.formats.hdf5.errors import RAISED_BY_H5PY, diagnose, translated
from l2cli.formats.hdf5.gaps import gap_rows, stretches
from l2cli.formats.hdf5.grid import check_stored_sizes, chunk_rows
from l2cli.formats.hdf5.links import Link, links, names_by_address, objects, to_name
from l2cli.formats.hdf5.lossy import lossy_filter
from l2cli.formats.hdf5.outside import describe_link
from l2cli.formats.hdf5.source import Hdf5Source
from l2cli.formats.hdf5.storage import DatasetReader, open_dataset
from l2cli.formats.hdf5.writer import Hdf5Writer
from l2cli.runtime.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from l2cli.formats.hdf5.direct.chunks import ChunkReader
    from l2cli.formats.hdf5.direct.contiguous import ContiguousReader
    from l2cli.options import OpenOptions

_FLATTENED = frozenset({"train", "test"})
"""The arrays that an ann-benchmarks file of type ``sparse`` stores as one long row of numbers."""


class Hdf5Reader(Reader):
    """An HDF5 file, opened for reading.

    Parameters
    ----------
    path : Path
        The file.
    opening : OpenOptions
        Its ``allow_external`` says whether rows may be read from other files, which links,
        virtual datasets and external storage name. These files are never written to: the rows
        are stored in the destination.
    direct : bool, default True
        Whether rows may be read, and written, without HDF5 where their storage allows it.
        Results are the same either way.

    Raises
    ------
    FormatError
        If it is no HDF5 file, is cut off or otherwise damaged.
    """

    def __init__(
        self, path: Path, opening: OpenOptions = DEFAULT_OPENING, *, direct: bool = True
    ) -> None:
        super().__init__(path, opening)
        self._arrays: list[ArraySpec] | None = None
        self._lossy: set[str] = set()
        pool = ThreadPoolExecutor(num_processors())
        try:
            file = h5py.File(path, "r")
            self._bookkeeping = Bookkeeping(file)
            self._user_block = user_block_of(path, file.userblock_size)
        except RAISED_BY_H5PY as exc:
            raise FormatError(f"{path}: {set_of(path) or diagnose(exc)}") from exc
        self._source = Hdf5Source(path, file, pool, self.notes, direct)

    def arrays(self) -> list[ArraySpec]:
        """Return every dataset once, and every link into another file."""
        if self._arrays is None:
            with translated(self.path):
                arrays = map(self._doubted, list(self._describe_all()))
                # Those that may be chosen come first, since messages list only some.
                self._arrays = sorted(arrays, key=lambda array: (bool(array.doubt), array.name))
        return list(self._arrays)

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        """Yield the rows of ``arrays``, whole chunks at a time where ``batch_size`` lets it."""
        for array in arrays:
            yield from self._batches_of(array, batch_size)

    def is_quick(self, arrays: Sequence[ArraySpec]) -> bool:
        """Return whether the rows of all of them lie in the file as they lie in memory."""
        with translated(self.path):
            return all(is_contiguous(self._source.open(array.name)) for array in arrays)

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> Hdf5Writer:
        """Copy the file to ``path`` and open the copy."""
        arrays = {array.name: array for array in self.arrays() if array.name in outputs}
        return Hdf5Writer(self._source, path, arrays, outputs)

    def dropped(self, taken: Collection[str]) -> list[str]:
        """Name the other datasets, and the attributes of the file and of those that are taken."""
        with translated(self.path):
            paths = dict.fromkeys(self._source.location(name)[0] for name in taken)
            owners = [self._source.file, *(self._source.file[path] for path in paths)]
            attributes = [f"attribute '{name}'" for owner in owners for name in owner.attrs]
        return super().dropped(taken) + attributes

    def close(self) -> None:
        """Close the file."""
        self._source.pool.shutdown(cancel_futures=True)
        with translated(self.path):
            self._source.file.close()

    def _batches_of(self, array: ArraySpec, batch_size: int | None) -> Iterator[Batch]:
        with translated(f"{self.path}: {array.label}"):
            dataset = self._source.open(array.name)
            self._note_lossy(array, dataset)
            check_stored_sizes(dataset, array.label)
            missing, parts = missing_of(dataset, array), stretches(dataset, array)
            dataset.close()  # An open dataset keeps its small cache of chunks.
            reader, batch_rows = self._open_rows(array, batch_size)
        for part in parts:
            step = batch_rows if part.is_stored else gap_rows(array, batch_size)
            for start in range(part.start, part.stop, step):
                stop = min(start + step, part.stop)
                with translated(f"{self.path}: {array.label}, rows {start} to {stop - 1}"):
                    rows = reader.read(start, stop if part.is_stored else start + 1)
                if not part.is_stored:  # All of them are the fill value.
                    rows = np.broadcast_to(rows, (stop - start, *rows.shape[1:]))
                yield missing.batch(array, rows, start) if missing else Batch(array, rows, start)

    def _note_lossy(self, array: ArraySpec, dataset: h5d.DatasetID) -> None:
        """Note, once for each lossy filter, that numbers are not those that were stored."""
        name = lossy_filter(dataset)
        if name and name not in self._lossy:
            self._lossy.add(name)
            self.notes.append(
                f"{array.label} was stored through the lossy filter {name}, so its numbers differ "
                "from those that were written"
            )

    def _open_rows(
        self, array: ArraySpec, batch_size: int | None
    ) -> tuple[ContiguousReader | ChunkReader | DatasetReader, int]:
        """Return what reads ``array`` fastest, and how many rows to read at a time."""
        path, fields = self._source.location(array.name)
        dataset = h5d.open(self._source.file.id, path)
        element = element_of(dataset.get_type(), fields)
        batch_rows = rows_per_batch(array, batch_size, chunk_rows(dataset))
        if self._source.direct:
            pool = self._source.pool
            if reader := open_direct_reader(dataset, batch_rows, pool, str(self.path)):
                return reader, batch_rows
        dataset.close()
        dataset = open_dataset(self._source.file.id, path)
        return DatasetReader(dataset, element, array.dtype), batch_rows

    def _describe_all(self) -> Iterator[ArraySpec]:
        file = self._source.file
        flattened = _FLATTENED if _is_flattened(file) else frozenset()
        names = names_by_address(file)
        taken = {to_name(link.path) for link in links(file)}
        for link in objects(file):
            for array in self._describe_object(link):
                name = to_name(link.path)
                suffix = array.name.removeprefix(name)
                aliases = tuple(path + suffix for path in names[link.address] if path != name)
                described = replaced(array, aliases=aliases)
                if suffix and array.name in taken:
                    described = replaced(described, refusal="a dataset has this name")
                    del self._source.locations[array.name]
                if not flattened.isdisjoint(described.names):
                    described = replaced(described, refusal="a flattened sparse array")
                yield described
        for link in links(file):
            if link.link_type != h5l.TYPE_HARD:
                linked = describe_link(file, link, allow_external=self.opening.allow_external)
                if linked is not None:
                    yield linked

    def _describe_object(self, link: Link) -> Iterator[ArraySpec]:
        """Describe the arrays of what a hard link leads to: none if it is no dataset."""
        name = to_name(link.path)
        try:
            dataset = h5o.open(self._source.file.id, link.path)
            if not isinstance(dataset, h5d.DatasetID):
                return
            doubt = self._bookkeeping.doubt(dataset, name)
            axes_of = reversed_by(dataset, self._user_block)
            for element in elements(dataset.get_type()):
                array = describe(
                    dataset,
                    name,
                    self.path,
                    allow_external=self.opening.allow_external,
                    element=element,
                )
                if element.fields:
                    self._source.locations[array.name] = link.path, element.fields
                yield replaced(array, reversed_by=axes_of, doubt=doubt)
        except RAISED_BY_H5PY as exc:
            yield ArraySpec(name, (), "unknown", "", diagnose(exc), may_be_vectors=True)

    def _doubted(self, array: ArraySpec) -> ArraySpec:
        """Return ``array`` with the doubt that attributes of other datasets raise."""
        doubts = map(self._bookkeeping.belonging.get, array.names)
        return replaced(array, doubt=array.doubt or next(filter(None, doubts), ""))


def _is_flattened(file: h5py.File) -> bool:
    """Return whether the file is one of ann-benchmarks' sparse ones."""
    try:
        file_type = file.attrs.get("type", "")
    except (OSError, RuntimeError, TypeError, ValueError):
        return False
    return file_type in ("sparse", b"sparse") if isinstance(file_type, str | bytes) else False
