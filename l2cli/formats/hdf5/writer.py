"""HDF5 out: a copy of the source, in which the chosen datasets are overwritten."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import h5py
from h5py import h5d, h5l, h5z

from l2cli.errors import DestinationError
from l2cli.filesystem.atomic import reserve
from l2cli.formats.base import Writer
from l2cli.formats.hdf5.declarations import dtype_refusal, missing_of
from l2cli.formats.hdf5.direct.chunks import ChunkWriter, bypass_of, chunk_spans
from l2cli.formats.hdf5.direct.codec import Codec, codec_of
from l2cli.formats.hdf5.direct.contiguous import Extent, ExtentWriter, copy_all_but, extent_of
from l2cli.formats.hdf5.elements import element_of
from l2cli.formats.hdf5.errors import translated, writing
from l2cli.formats.hdf5.links import links
from l2cli.formats.hdf5.lossy import lossy_refusal
from l2cli.formats.hdf5.outside import is_elsewhere
from l2cli.formats.hdf5.overlap import check_apart
from l2cli.formats.hdf5.plugins import filters
from l2cli.formats.hdf5.replace.dataset import replace
from l2cli.formats.hdf5.storage import DatasetWriter, is_sparse, open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.hdf5.missing import Missing
    from l2cli.formats.hdf5.reader import Hdf5Reader

_LOW_VERSIONS = {2: "v108", 3: "v110"}
"""The oldest HDF5 that new objects must suit, by the version of the file's superblock."""

_RESERVED_BYTES = 2**25
"""What is allocated of a file at a time: so little that the batches need not wait for it."""


class Hdf5Writer(Writer):
    """A copy of a reader's file, in which datasets are overwritten.

    Raises
    ------
    DestinationError
        If the copy can't be made, or HDF5 can't store what ``outputs`` asks for.
    """

    def __init__(self, reader: Hdf5Reader, path: Path, outputs: Mapping[str, ArraySpec]) -> None:
        self._reader = reader
        self._path = path
        self._outputs = dict(outputs)
        self._arrays = {array.name: array for array in reader.arrays() if array.name in outputs}
        self._num_written = dict.fromkeys(outputs, 0)
        self._name: str | None = None
        self._rows: ExtentWriter | ChunkWriter | DatasetWriter | None = None
        self._file: h5py.File | None = None
        self._extents: dict[str, Extent] = {}
        self._codecs: dict[str, Codec] = {}
        self._sparse: set[str] = set()
        self._missing: dict[str, Missing] = {}
        for output in self._outputs.values():
            self._check_storable(output)
        sources: dict[str, h5d.DatasetID] = {}
        spans: list[tuple[int, int]] = []
        with translated(reader.path):
            external = {link.path for link in links(reader.file) if link.kind == h5l.TYPE_EXTERNAL}
        self._foreign: set[str] = set()
        for name, output in self._outputs.items():
            with translated(f"{reader.path}: {output.label}"):
                sources[name] = source = self._opened(reader.file, name)
                path_inside, fields = reader.location(name)
                if path_inside in external or is_elsewhere(source, reader.file):
                    self._foreign.add(name)
                elif not fields:  # Of records, the other fields are copied.
                    spans += _spans(source)
        with translated(reader.path):
            own = [source for name, source in sources.items() if name not in self._foreign]
            check_apart(reader.file, own)
        with self._writing():
            copy_all_but(spans, reader.path, path)
            self._raw = path.open("r+b", buffering=0)
            try:
                for name, source in sources.items():
                    self._prepare(name, source)
            except BaseException:
                self.close()
                raise
        self._unreserved = _pieces(self._extents.values())

    def reserve(self) -> bool:
        """Let the file system find room for some more rows that will be written past HDF5."""
        piece = next(self._unreserved, None)
        if piece is not None:
            reserve(self._raw.fileno(), *piece)
        return piece is not None

    def write(self, batch: Batch) -> None:
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
        # An unfinished copy is thrown away: what HDF5 says while it closes it helps nobody.
        with suppress(OSError, RuntimeError, ValueError):
            if self._file is not None:
                self._file.close()

    def _writing(self, what: str = "") -> AbstractContextManager[None]:
        return writing(f"can't write {self._path}{what}", self._reader.path)

    def _prepare(self, name: str, source: h5d.DatasetID) -> None:
        """Make room for an output, if what the source has there can't be written over."""
        output, is_foreign = self._outputs[name], name in self._foreign
        missing = missing_of(source, self._arrays[name], output.dtype)
        if missing is not None and missing.meets_unit_rows:
            self._missing[name] = missing
        is_new = is_foreign or self._is_changed(output) or _lies_elsewhere(source)
        if not is_new and (extent := extent_of(source)):
            self._extents[name] = extent
            return
        if self._file is None:
            self._file = h5py.File(self._path, "r+", libver=_versions(self._reader.file))
        if is_new:
            replace(self._file, output, foreign=source if is_foreign else None)
        codec = codec_of(self._opened(self._file, name))
        if is_sparse(source):
            self._sparse.add(name)
        elif codec and bypass_of(source):
            self._codecs[name] = codec

    def _open_rows(self, name: str) -> ExtentWriter | ChunkWriter | DatasetWriter:
        if name in self._extents:
            return ExtentWriter(self._raw.fileno(), self._extents[name])
        assert self._file is not None
        if name in self._codecs:
            dataset = self._opened(self._file, name)
            return ChunkWriter(dataset, self._codecs[name], self._reader.pool)
        path, fields = self._reader.location(name)
        dataset = open_dataset(self._file.id, path)
        element = element_of(dataset.get_type(), fields)
        return DatasetWriter(dataset, element, sparse=name in self._sparse)

    def _finish_rows(self) -> None:
        if self._rows is not None:
            self._rows.finish()
        self._rows = None

    def _note_growth(self) -> None:
        before, after = self._reader.path.stat().st_size, self._path.stat().st_size
        is_wish = any(self._is_changed(output) for output in self._outputs.values())
        if after > 1.1 * before + 2**20 and not is_wish:
            self._reader.notes.append(
                f"the file grew from {before:,} to {after:,} bytes, since HDF5 did not use freed "
                "space again (its file-space strategy); h5repack makes it small"
            )

    def _check_storable(self, output: ArraySpec) -> None:
        if output.dtype == "bfloat16":
            raise DestinationError(
                f"HDF5 can't hold bfloat16 ({output.label}); use --dtype float16 or float32"
            )
        with translated(output.label):
            array, source = self._arrays[output.name], self._opened(self._reader.file, output.name)
            refusal = dtype_refusal(source, array, output.dtype) or lossy_refusal(source, output)
            used = filters(source.get_create_plist())
            is_new = self._is_changed(output) or _lies_elsewhere(source)
        if is_new and self._reader.location(output.name)[1]:
            raise DestinationError(
                f"{output.label} is a field of records, which can't be stored anew without the "
                "others: leave out --dtype and --truncate-dim, take a dataset that lies in the "
                "file itself, or convert with -o FILE.npz"
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
        return h5d.open(file.id, self._reader.location(name)[0])

    def _is_changed(self, output: ArraySpec) -> bool:
        """Return whether a dataset is to have another dtype or shape than in the source."""
        source = self._arrays[output.name]
        return (source.dtype, source.shape) != (output.dtype, output.shape)


def _lies_elsewhere(dataset: h5d.DatasetID) -> bool:
    """Return whether writing to ``dataset`` would write to another one, or another file."""
    properties = dataset.get_create_plist()
    return bool(properties.get_layout() == h5d.VIRTUAL or properties.get_external_count())


def _spans(source: h5d.DatasetID) -> list[tuple[int, int]]:
    """Return the bytes that need not be copied, since they will be written over, or freed."""
    extent = extent_of(source)
    return [extent.span] if extent else chunk_spans(source)


def _pieces(extents: Iterable[Extent]) -> Iterator[tuple[int, int]]:
    """Yield the bytes of ``extents``, some at a time."""
    for extent in extents:
        begin, end = extent.span
        for start in range(begin, end, _RESERVED_BYTES):
            yield start, min(start + _RESERVED_BYTES, end)


def _versions(file: h5py.File) -> tuple[str, str]:
    superblock = file.id.get_create_plist().get_version()[0]
    return _LOW_VERSIONS.get(superblock, "earliest"), "latest"
