"""HDF5 in: the datasets of one file, described and read in windows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
from h5py import h5d, h5f, h5l, h5o

from l2cli.arrays import ArraySpec, Batch, rows_per_batch, windows
from l2cli.formats.base import Reader
from l2cli.formats.hdf5.attributes import reversed_by, user_block_of
from l2cli.formats.hdf5.bookkeeping import Bookkeeping
from l2cli.formats.hdf5.chunks import ChunkReader, bypass_of
from l2cli.formats.hdf5.declarations import missing_of
from l2cli.formats.hdf5.describe import LOSSY_FILTERS, describe, external_refusal, filters
from l2cli.formats.hdf5.errors import explain, translated
from l2cli.formats.hdf5.extent import ExtentReader, extent_of
from l2cli.formats.hdf5.grid import chunk_rows
from l2cli.formats.hdf5.links import Link, links, names_by_address, objects, to_name, to_path
from l2cli.formats.hdf5.storage import DatasetReader, open_dataset
from l2cli.formats.hdf5.writer import Hdf5Writer
from l2cli.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence


_FLATTENED = frozenset({"train", "test"})
"""What an ann-benchmarks file stores as one long row of numbers where its type is sparse."""


class Hdf5Reader(Reader):
    """An HDF5 file, opened for reading.

    Parameters
    ----------
    allow_external
        Whether rows may be read from other files, which links, virtual datasets and external
        storage name. They are never written to: what lay there is stored in the destination.
    """

    def __init__(self, path: Path, *, allow_external: bool = False) -> None:
        super().__init__(path)
        self._allow_external = allow_external
        self._arrays: list[ArraySpec] | None = None
        self.pool = ThreadPoolExecutor(num_processors())
        with translated(path):
            self.file = h5py.File(path, "r")
            self._bookkeeping = Bookkeeping(self.file)
            self._user_block = user_block_of(path, self.file.userblock_size)

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
            names = [to_path(array.name) for array in arrays]
            return all(extent_of(h5d.open(self.file.id, name)) for name in names)

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> Hdf5Writer:
        """Copy the file to ``path`` and open the copy."""
        return Hdf5Writer(self, path, outputs)

    def leftovers(self, taken: Collection[str]) -> list[str]:
        """Name the other datasets, and the attributes of the file and of those that are taken."""
        with translated(self.path):
            owners = [self.file, *(self.file[name] for name in taken)]
            attributes = [f"attribute '{name}'" for owner in owners for name in owner.attrs]
        return super().leftovers(taken) + attributes

    def close(self) -> None:
        """Close the file."""
        self.pool.shutdown(cancel_futures=True)
        with translated(self.path):
            self.file.close()

    def _batches_of(self, array: ArraySpec, batch_size: int | None) -> Iterator[Batch]:
        with translated(f"{self.path}: {array.label}"):
            missing = missing_of(h5d.open(self.file.id, to_path(array.name)))
            reader, batch_rows = self._open_rows(array, batch_size)
        for start, stop in windows(array.num_rows, batch_rows):
            with translated(f"{self.path}: {array.label}, rows {start} to {stop - 1}"):
                rows = reader.read(start, stop)
            yield missing.batch(array, rows, start) if missing else Batch(array, rows, start)

    def _open_rows(
        self, array: ArraySpec, batch_size: int | None
    ) -> tuple[ExtentReader | ChunkReader | DatasetReader, int]:
        """Return what reads ``array`` quickest, and how many rows to read at a time."""
        dataset = h5d.open(self.file.id, to_path(array.name))
        batch_rows = rows_per_batch(array, batch_size, chunk_rows(dataset))
        if extent := extent_of(dataset):
            return ExtentReader(dataset, extent, str(self.path)), batch_rows
        if codec := bypass_of(dataset):
            return ChunkReader(dataset, codec, batch_rows, self.pool), batch_rows
        dataset.close()
        return DatasetReader(open_dataset(self.file.id, array.name), array.dtype), batch_rows

    def _describe_all(self) -> Iterator[ArraySpec]:
        flattened = _FLATTENED if _is_flattened(self.file) else frozenset()
        names = names_by_address(self.file)
        for link in objects(self.file):
            array = self._describe_object(link)
            if array is None:
                continue
            aliases = tuple(name for name in names[link.address] if name != array.name)
            array = replaced(array, aliases=aliases)
            if not flattened.isdisjoint(array.names):
                array = replaced(array, refusal="a flattened sparse array")
            yield array
        for link in links(self.file):
            if link.kind == h5l.TYPE_EXTERNAL:
                yield self._describe_external(link)

    def _describe_object(self, link: Link) -> ArraySpec | None:
        """Describe what a hard link leads to; ``None`` if it is no dataset."""
        name = to_name(link.path)
        try:
            found = h5o.open(self.file.id, link.path)
            if not isinstance(found, h5d.DatasetID):
                return None
            array = describe(found, name, self.path, allow_external=self._allow_external)
            array = replaced(
                array,
                reversed_by=reversed_by(found, self._user_block),
                doubt=self._bookkeeping.doubt(found, name),
            )
        except (OSError, RuntimeError, LookupError, ValueError, TypeError) as exc:
            return ArraySpec(name, (), "unknown", refusal=f"it can't be read ({explain(exc)})")
        self._note_lossy(array, found)
        return array

    def _doubted(self, array: ArraySpec) -> ArraySpec:
        """Return ``array`` with the doubt that others threw on it."""
        others = map(self._bookkeeping.belonging.get, array.names)
        return replaced(array, doubt=array.doubt or next(filter(None, others), ""))

    def _describe_external(self, link: Link) -> ArraySpec:
        """Describe what an external link leads to, as far as the user lets us look."""
        name = to_name(link.path)
        file_name, target = map(to_name, self.file.id.links.get_val(link.path))
        arrow = f"→ {file_name}:{target}"
        array = ArraySpec(name, (), "external link", arrow, external_refusal(file_name))
        if not self._allow_external:
            return array
        try:
            found = h5o.open(self.file.id, link.path)
            if not isinstance(found, h5d.DatasetID):
                return replaced(array, refusal="it leads to a group of another file")
            path = Path(os.fsdecode(h5f.get_name(found)))
            target_array = describe(found, name, path, allow_external=True)
        except (OSError, RuntimeError, LookupError, ValueError, TypeError) as exc:
            return replaced(array, refusal=f"it leads nowhere ({explain(exc)})")
        return replaced(target_array, layout=f"{arrow}, {target_array.layout}")

    def _note_lossy(self, array: ArraySpec, dataset: h5d.DatasetID) -> None:
        lossy = filters(dataset.get_create_plist()).keys() & LOSSY_FILTERS.keys()
        if lossy and not array.refusal:
            word = LOSSY_FILTERS[min(lossy)]
            self.notes.append(f"{array.label} is stored through the lossy filter {word}")


def _is_flattened(file: h5py.File) -> bool:
    """Return whether the file is one of ann-benchmarks' sparse ones."""
    try:
        kind = file.attrs.get("type", "")
    except (OSError, RuntimeError, TypeError, ValueError):
        return False
    return kind in ("sparse", b"sparse") if isinstance(kind, (str, bytes)) else False
