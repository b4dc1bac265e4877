"""Writing HDF5: a copy of the source, in which the chosen datasets are overwritten.

Only the reader makes a writer. It decides for each array whether the dataset of the copy is
written over or replaced, and whether HDF5 writes the rows or ``direct`` does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import h5py
from h5py import h5d, h5l, h5z

from l2cli.errors import DestinationError
from l2cli.filesystem.atomic import reserve
from l2cli.formats.base import Writer
from l2cli.formats.hdf5.declarations import dtype_refusal, missing_of
from l2cli.formats.hdf5.direct.contiguous import ContiguousRange, copy_all_but
from l2cli.formats.hdf5.direct.open import (
    DirectStorage,
    direct_storage,
    open_direct_writer,
    replaced_ranges,
)
from l2cli.formats.hdf5.elements import element_of
from l2cli.formats.hdf5.errors import translated, writing
from l2cli.formats.hdf5.links import links
from l2cli.formats.hdf5.lossy import lossy_refusal
from l2cli.formats.hdf5.outside import is_elsewhere
from l2cli.formats.hdf5.overlap import check_apart
from l2cli.formats.hdf5.plugins import filters
from l2cli.formats.hdf5.replace.dataset import replace
from l2cli.formats.hdf5.storage import DatasetWriter, has_unallocated_chunks, open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.hdf5.direct.chunks import ChunkWriter
    from l2cli.formats.hdf5.direct.contiguous import ContiguousWriter
    from l2cli.formats.hdf5.missing import Missing
    from l2cli.formats.hdf5.source import Hdf5Source

_LOW_VERSIONS = {2: "v108", 3: "v110"}
"""The oldest HDF5 that new objects must suit, by the version of the file's superblock."""

_RESERVED_BYTES = 2**25
"""How much of a file is allocated at a time, so little that batches need not wait for it."""


class Hdf5Writer(Writer):
    """A copy of a reader's file, in which datasets are overwritten.

    Parameters
    ----------
    source : Hdf5Source
        The file that is the template.
    path : Path
        Where to write.
    arrays, outputs : mapping of str to ArraySpec
        The arrays whose rows will come, by name, and what they are to become.

    Raises
    ------
    DestinationError
        If the copy can't be made, or HDF5 can't store what ``outputs`` asks for.
    """

    def __init__(
        self,
        source: Hdf5Source,
        path: Path,
        arrays: Mapping[str, ArraySpec],
        outputs: Mapping[str, ArraySpec],
    ) -> None:
        self._source = source
        self._path = path
        self._outputs = dict(outputs)
        self._arrays = arrays
        self._num_written = dict.fromkeys(outputs, 0)
        self._name: str | None = None
        self._rows: ContiguousWriter | ChunkWriter | DatasetWriter | None = None
        self._file: h5py.File | None = None
        self._storage: dict[str, DirectStorage] = {}
        self._unallocated: set[str] = set()
        self._missing: dict[str, Missing] = {}
        for output in self._outputs.values():
            self._check_storable(output)
        with translated(source.path):
            datasets, foreign = self._open_datasets()
        ranges = self._replaced_ranges(datasets, foreign)
        with translated(source.path):
            inner = [dataset for name, dataset in datasets.items() if name not in foreign]
            check_apart(source.file, inner)
        with self._writing():
            copy_all_but(ranges, source.path, path)
            self._raw = path.open("r+b", buffering=0)
            try:
                for name, dataset in datasets.items():
                    self._prepare(name, dataset, is_foreign=name in foreign)
            except BaseException:
                self.close()
                raise
        self._unreserved = _pieces(self._storage.values())

    def reserve(self) -> bool:
        """Let the file system find room for some more rows that will be written past HDF5."""
        piece = next(self._unreserved, None)
        if piece is not None:
            reserve(self._raw.fileno(), *piece)
        return piece is not None

    def write(self, batch: Batch) -> None:
        """Write the rows of a batch, or keep them until their chunks are complete."""
        name = batch.array.name
        with self._writing(f": {batch.array.label}"):
            if name != self._name or self._rows is None:
                self._finish_rows()
                self._name, self._rows = name, self._open_rows(name)
            if name in self._missing:
                self._missing[name].refuse_declared(batch)
            rows = batch.context.filled(batch.rows) if batch.context else batch.rows
            self._rows.write(batch.start, rows)
        self._num_written[name] += len(rows)

    def finish(self) -> None:
        """Write what is kept back, and close."""
        with self._writing():
            self._finish_rows()
            if self._file is not None:
                self._file.flush()
                self._file.close()
            self._raw.close()
        self._note_growth()
        for name, output in self._outputs.items():
            if self._num_written[name] != output.num_rows:
                raise DestinationError(
                    f"{self._path}: {output.label} got {self._num_written[name]} rows,"
                    f" expected {output.num_rows}"
                )

    def close(self) -> None:
        """Close the copy, finished or not."""
        self._rows = None
        self._raw.close()
        # An unfinished copy is thrown away: errors while it is closed are of no interest.
        with suppress(OSError, RuntimeError, ValueError):
            if self._file is not None:
                self._file.close()

    def _writing(self, what: str = "") -> AbstractContextManager[None]:
        return writing(f"can't write {self._path}{what}", self._source.path)

    def _open_datasets(self) -> tuple[dict[str, h5d.DatasetID], set[str]]:
        """Return the datasets of the source by array, and which arrays lie in other files."""
        file = self._source.file
        external = {link.path for link in links(file) if link.link_type == h5l.TYPE_EXTERNAL}
        datasets, foreign = {}, set()
        for name, output in self._outputs.items():
            with translated(f"{self._source.path}: {output.label}"):
                datasets[name] = dataset = self._source.open(name)
                if self._source.location(name)[0] in external or is_elsewhere(dataset, file):
                    foreign.add(name)
        return datasets, foreign

    def _replaced_ranges(
        self, datasets: Mapping[str, h5d.DatasetID], foreign: set[str]
    ) -> list[tuple[int, int]]:
        """Return the bytes of the source that need not be copied."""
        ranges = []
        for name, dataset in datasets.items():
            is_field = bool(self._source.location(name)[1])  # the other fields are copied
            if self._source.direct and name not in foreign and not is_field:
                with translated(f"{self._source.path}: {self._outputs[name].label}"):
                    ranges += replaced_ranges(dataset)
        return ranges

    def _prepare(self, name: str, source: h5d.DatasetID, *, is_foreign: bool) -> None:
        """Replace the dataset of an output where needed, and choose how it is written."""
        output, direct = self._outputs[name], self._source.direct
        missing = missing_of(source, self._arrays[name], output.dtype)
        if missing is not None and missing.meets_unit_rows:
            self._missing[name] = missing
        is_new = is_foreign or self._is_changed(output) or _lies_elsewhere(source)
        if direct and not is_new and (storage := direct_storage(source, None)):
            self._storage[name] = storage
            return
        if self._file is None:
            self._file = h5py.File(self._path, "r+", libver=_versions(self._source.file))
        if is_new:
            replace(self._file, output, foreign=source if is_foreign else None)
        if has_unallocated_chunks(source):
            self._unallocated.add(name)
        elif direct and (storage := direct_storage(source, self._opened(self._file, name))):
            self._storage[name] = storage

    def _open_rows(self, name: str) -> ContiguousWriter | ChunkWriter | DatasetWriter:
        file = self._file
        if storage := self._storage.get(name):
            dataset = None if file is None else self._opened(file, name)
            return open_direct_writer(storage, self._raw.fileno(), dataset, self._source.pool)
        assert file is not None
        path, fields = self._source.location(name)
        dataset = open_dataset(file.id, path)
        element = element_of(dataset.get_type(), fields)
        return DatasetWriter(dataset, element, keep_unallocated=name in self._unallocated)

    def _finish_rows(self) -> None:
        if self._rows is not None:
            self._rows.finish()
        self._rows = None

    def _note_growth(self) -> None:
        before, after = self._source.path.stat().st_size, self._path.stat().st_size
        is_changed = any(self._is_changed(output) for output in self._outputs.values())
        if after > 1.1 * before + 2**20 and not is_changed:
            self._source.notes.append(
                f"the file grew from {before:,} to {after:,} bytes, since HDF5 did not use freed "
                "space again (its file-space strategy); h5repack makes it small"
            )

    def _check_storable(self, output: ArraySpec) -> None:
        if output.dtype == "bfloat16":
            raise DestinationError(
                f"HDF5 can't hold bfloat16 ({output.label}); use `dtype='float16'` or "
                "`dtype='float32'`"
            )
        with translated(output.label):
            array, source = self._arrays[output.name], self._source.open(output.name)
            refusal = dtype_refusal(source, array, output.dtype) or lossy_refusal(source, output)
            used = filters(source.get_create_plist())
            is_new = self._is_changed(output) or _lies_elsewhere(source)
        if is_new and self._source.location(output.name)[1]:
            raise DestinationError(
                f"{output.label} is a field of records, which can't be stored anew without the "
                "others: leave out `dtype` and `truncate_dim`, take a dataset that lies in the "
                "file itself, or convert with `destination='FILE.npz'`"
            )
        if refusal:
            raise DestinationError(f"{output.label} {refusal}")
        for code in used:
            if not h5z.get_filter_info(code) & h5z.FILTER_CONFIG_ENCODE_ENABLED:
                raise DestinationError(
                    f"{output.label}: this HDF5 can read its filter {code} but not write it;"
                    " repack the file with another filter (h5repack -f NONE)"
                )

    def _opened(self, file: h5py.File, name: str) -> h5d.DatasetID:
        return h5d.open(file.id, self._source.location(name)[0])

    def _is_changed(self, output: ArraySpec) -> bool:
        """Return whether a dataset is to have another dtype or shape than in the source."""
        source = self._arrays[output.name]
        return (source.dtype, source.shape) != (output.dtype, output.shape)


def _lies_elsewhere(dataset: h5d.DatasetID) -> bool:
    """Return whether writing to ``dataset`` would write to another one, or another file."""
    properties = dataset.get_create_plist()
    return bool(properties.get_layout() == h5d.VIRTUAL or properties.get_external_count())


def _pieces(storages: Iterable[DirectStorage]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of bytes that will be written, some bytes at a time."""
    for storage in storages:
        if isinstance(storage, ContiguousRange):
            begin, end = storage.limits
            for start in range(begin, end, _RESERVED_BYTES):
                yield start, min(start + _RESERVED_BYTES, end)


def _versions(file: h5py.File) -> tuple[str, str]:
    superblock = file.id.get_create_plist().get_version()[0]
    return _LOW_VERSIONS.get(superblock, "earliest"), "latest"
