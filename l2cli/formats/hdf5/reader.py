"""HDF5 in: the datasets of one file, described and read in windows."""

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
from l2cli.formats.hdf5.direct.chunks import ChunkReader, bypass_of
from l2cli.formats.hdf5.direct.contiguous import ExtentReader, extent_of
from l2cli.formats.hdf5.drivers import set_of
from l2cli.formats.hdf5.elements import element_of, elements
from l2cli.formats.hdf5.errors import RAISED_BY_H5PY, diagnose, translated
from l2cli.formats.hdf5.gaps import gap_rows, stretches
from l2cli.formats.hdf5.grid import check_stored_sizes, chunk_rows
from l2cli.formats.hdf5.links import Link, links, names_by_address, objects, to_name, to_path
from l2cli.formats.hdf5.lossy import lossy_filter
from l2cli.formats.hdf5.outside import describe_link
from l2cli.formats.hdf5.storage import DatasetReader, open_dataset
from l2cli.formats.hdf5.writer import Hdf5Writer
from l2cli.runtime.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from l2cli.options import OpenOptions

_FLATTENED = frozenset({"train", "test"})
"""What an ann-benchmarks file stores as one long row of numbers where its type is sparse."""


class Hdf5Reader(Reader):
    """An HDF5 file, opened for reading.

    Parameters
    ----------
    opening
        Its ``allow_external`` says whether rows may be read from other files, which links,
        virtual datasets and external storage name. They are never written to: what lay there is
        stored in the destination.
    """

    def __init__(self, path: Path, opening: OpenOptions = DEFAULT_OPENING) -> None:
        super().__init__(path, opening)
        self._arrays: list[ArraySpec] | None = None
        self._lossy: set[str] = set()
        self._fields: dict[str, tuple[bytes, tuple[bytes, ...]]] = {}
        self.pool = ThreadPoolExecutor(num_processors())
        try:
            self.file = h5py.File(path, "r")
            self._bookkeeping = Bookkeeping(self.file)
            self._user_block = user_block_of(path, self.file.userblock_size)
        except RAISED_BY_H5PY as exc:
            raise FormatError(f"{path}: {set_of(path) or diagnose(exc)}") from exc

    def arrays(self) -> list[ArraySpec]:
        """Return every dataset once, and every link into another file."""
        if self._arrays is None:
            with translated(self.path):
                arrays = map(self._doubted, list(self._describe_all()))
                # What may be chosen comes first, for messages list only some.
                self._arrays = sorted(arrays, key=lambda array: (bool(array.doubt), array.name))
        return list(self._arrays)

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        """Yield the rows of ``arrays``, whole chunks at a time where ``batch_size`` lets it."""
        for array in arrays:
            yield from self._batches_of(array, batch_size)

    def is_quick(self, arrays: Sequence[ArraySpec]) -> bool:
        """Whether they lie in the file as their rows' plain bytes."""
        with translated(self.path):
            paths = [self.location(array.name)[0] for array in arrays]
            return all(extent_of(h5d.open(self.file.id, path)) for path in paths)

    def location(self, name: str) -> tuple[bytes, tuple[bytes, ...]]:
        """Return the path of the dataset that an array is of, and the fields that lead to it."""
        return self._fields.get(name, (to_path(name), ()))

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> Hdf5Writer:
        """Copy the file to ``path`` and open the copy."""
        return Hdf5Writer(self, path, outputs)

    def dropped(self, taken: Collection[str]) -> list[str]:
        """Name the other datasets, and the attributes of the file and of those that are taken."""
        with translated(self.path):
            paths = dict.fromkeys(self.location(name)[0] for name in taken)
            owners = [self.file, *(self.file[path] for path in paths)]
            attributes = [f"attribute '{name}'" for owner in owners for name in owner.attrs]
        return super().dropped(taken) + attributes

    def close(self) -> None:
        """Close the file."""
        self.pool.shutdown(cancel_futures=True)
        with translated(self.path):
            self.file.close()

    def _batches_of(self, array: ArraySpec, batch_size: int | None) -> Iterator[Batch]:
        with translated(f"{self.path}: {array.label}"):
            dataset = h5d.open(self.file.id, self.location(array.name)[0])
            self._note_lossy(array, dataset)
            check_stored_sizes(dataset, array.label)
            missing, parts = missing_of(dataset, array), stretches(dataset, array)
            dataset.close()  # A dataset that is open keeps its small cache of chunks.
            reader, batch_rows = self._open_rows(array, batch_size)
        for part in parts:
            step = batch_rows if part.is_stored else gap_rows(array, batch_size)
            for start in range(part.start, part.stop, step):
                stop = min(start + step, part.stop)
                with translated(f"{self.path}: {array.label}, rows {start} to {stop - 1}"):
                    rows = reader.read(start, stop if part.is_stored else start + 1)
                if not part.is_stored:  # They are all alike.
                    rows = np.broadcast_to(rows, (stop - start, *rows.shape[1:]))
                yield missing.batch(array, rows, start) if missing else Batch(array, rows, start)

    def _note_lossy(self, array: ArraySpec, dataset: h5d.DatasetID) -> None:
        """Say, once for each filter, that what is read was stored through a lossy one."""
        name = lossy_filter(dataset)
        if name and name not in self._lossy:
            self._lossy.add(name)
            self.notes.append(
                f"{array.label} was stored through the lossy filter {name}, so its numbers differ "
                "from those that were written"
            )

    def _open_rows(
        self, array: ArraySpec, batch_size: int | None
    ) -> tuple[ExtentReader | ChunkReader | DatasetReader, int]:
        """Return what reads ``array`` quickest, and how many rows to read at a time."""
        path, fields = self.location(array.name)
        dataset = h5d.open(self.file.id, path)
        element = element_of(dataset.get_type(), fields)
        batch_rows = rows_per_batch(array, batch_size, chunk_rows(dataset))
        if extent := extent_of(dataset):
            return ExtentReader(dataset, extent, str(self.path)), batch_rows
        if codec := bypass_of(dataset):
            return ChunkReader(dataset, codec, batch_rows, self.pool), batch_rows
        dataset.close()
        dataset = open_dataset(self.file.id, path)
        return DatasetReader(dataset, element, array.dtype), batch_rows

    def _describe_all(self) -> Iterator[ArraySpec]:
        flattened = _FLATTENED if _is_flattened(self.file) else frozenset()
        names = names_by_address(self.file)
        taken = {to_name(link.path) for link in links(self.file)}
        for link in objects(self.file):
            for array in self._describe_object(link):
                name = to_name(link.path)
                suffix = array.name.removeprefix(name)
                aliases = tuple(each + suffix for each in names[link.address] if each != name)
                described = replaced(array, aliases=aliases)
                if suffix and array.name in taken:
                    described = replaced(described, refusal="a dataset has this name")
                    del self._fields[array.name]
                if not flattened.isdisjoint(described.names):
                    described = replaced(described, refusal="a flattened sparse array")
                yield described
        for link in links(self.file):
            if link.kind != h5l.TYPE_HARD:
                led_to = describe_link(self.file, link, allow_external=self.opening.allow_external)
                if led_to is not None:
                    yield led_to

    def _describe_object(self, link: Link) -> Iterator[ArraySpec]:
        """Describe the arrays of what a hard link leads to: none if it is no dataset."""
        name = to_name(link.path)
        try:
            found = h5o.open(self.file.id, link.path)
            if not isinstance(found, h5d.DatasetID):
                return
            doubt = self._bookkeeping.doubt(found, name)
            axes_of = reversed_by(found, self._user_block)
            for element in elements(found.get_type()):
                array = describe(
                    found,
                    name,
                    self.path,
                    allow_external=self.opening.allow_external,
                    element=element,
                )
                if element.fields:
                    self._fields[array.name] = link.path, element.fields
                yield replaced(array, reversed_by=axes_of, doubt=doubt)
        except RAISED_BY_H5PY as exc:
            yield ArraySpec(name, (), "unknown", "", diagnose(exc), may_be_vectors=True)

    def _doubted(self, array: ArraySpec) -> ArraySpec:
        """Return ``array`` with the doubt that others threw on it."""
        others = map(self._bookkeeping.belonging.get, array.names)
        return replaced(array, doubt=array.doubt or next(filter(None, others), ""))


def _is_flattened(file: h5py.File) -> bool:
    """Return whether the file is one of ann-benchmarks' sparse ones."""
    try:
        kind = file.attrs.get("type", "")
    except (OSError, RuntimeError, TypeError, ValueError):
        return False
    return kind in ("sparse", b"sparse") if isinstance(kind, (str, bytes)) else False
