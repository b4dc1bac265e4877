"""HDF5 out: a copy of the source, in which the chosen datasets are overwritten."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h5py
from h5py import h5d, h5l, h5z

from l2cli.errors import DestinationError
from l2cli.formats.base import Writer
from l2cli.formats.hdf5.describe import filters
from l2cli.formats.hdf5.errors import translated
from l2cli.formats.hdf5.links import links, to_path
from l2cli.formats.hdf5.replace import replace
from l2cli.formats.hdf5.storage import DatasetWriter, is_sparse, open_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.hdf5.reader import Hdf5Reader

_LOW_VERSIONS = {2: "v108", 3: "v110"}
"""The oldest HDF5 that new objects must suit, by the version of the file's superblock."""


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
        self._num_written = dict.fromkeys(outputs, 0)
        self._name: str | None = None
        self._dataset: DatasetWriter | None = None
        for output in self._outputs.values():
            _check_storable(reader.file, output)
        with translated(f"can't write {path}", DestinationError):
            shutil.copyfile(reader.path, path)
            self._file = h5py.File(path, "r+", libver=_versions(reader.file))
            try:
                self._replace_changed()
            except BaseException:
                self.close()
                raise

    def write(self, batch: Batch, rows: np.ndarray[Any, Any]) -> None:
        """Write ``rows`` over those of ``batch``."""
        name = batch.array.name
        with translated(f"can't write {self._path}: {batch.array.label}", DestinationError):
            if name != self._name or self._dataset is None:
                self._dataset = self._open(name)
            self._dataset.write(batch.start, rows)
        self._num_written[name] += len(rows)

    def finish(self) -> None:
        """Write what is cached, and close."""
        with translated(f"can't write {self._path}", DestinationError):
            self._close_dataset()
            self._file.flush()
            self._file.close()
        self._note_growth()
        for name, output in self._outputs.items():
            if self._num_written[name] != output.num_rows:
                raise DestinationError(
                    f"{self._path}: {output.label} got {self._num_written[name]} rows,"
                    f" expected {output.num_rows}"
                )

    def close(self) -> None:
        """Close the copy, finished or not."""
        # An unfinished copy is thrown away: what HDF5 says while it closes it helps nobody.
        with suppress(OSError, RuntimeError, ValueError):
            self._close_dataset()
        with suppress(OSError, RuntimeError, ValueError):
            self._file.close()

    def _open(self, name: str) -> DatasetWriter:
        self._close_dataset()
        self._name = name
        source = h5d.open(self._reader.file.id, to_path(name))
        return DatasetWriter(open_dataset(self._file.id, name), sparse=is_sparse(source))

    def _close_dataset(self) -> None:
        if self._dataset is not None:
            self._dataset.close()
        self._dataset = None

    def _note_growth(self) -> None:
        before, after = self._reader.path.stat().st_size, self._path.stat().st_size
        if after > 1.1 * before + 2**20 and not self._is_larger_by_wish():
            self._reader.notes.append(
                f"the file grew from {before:,} to {after:,} bytes, since HDF5 did not use freed "
                "space again (its file-space strategy); h5repack makes it small"
            )

    def _is_larger_by_wish(self) -> bool:
        sources = {array.name: array for array in self._reader.arrays()}
        return any(_is_changed(sources[name], output) for name, output in self._outputs.items())

    def _replace_changed(self) -> None:
        """Make room for each output that can't be written over what the source has there."""
        sources = {array.name: array for array in self._reader.arrays()}
        external = {link.path for link in links(self._file) if link.kind == h5l.TYPE_EXTERNAL}
        for name, output in self._outputs.items():
            source = h5d.open(self._reader.file.id, to_path(name))
            if to_path(name) in external:
                replace(self._file, output, foreign=source)
            elif _is_changed(sources[name], output) or _lies_elsewhere(source):
                replace(self._file, output)


def _is_changed(source: ArraySpec, output: ArraySpec) -> bool:
    return (source.dtype, source.shape) != (output.dtype, output.shape)


def _lies_elsewhere(dataset: h5d.DatasetID) -> bool:
    """Return whether writing to ``dataset`` would write to another one, or another file."""
    properties = dataset.get_create_plist()
    return bool(properties.get_layout() == h5d.VIRTUAL or properties.get_external_count())


def _versions(file: h5py.File) -> tuple[str, str]:
    superblock = file.id.get_create_plist().get_version()[0]
    return _LOW_VERSIONS.get(superblock, "earliest"), "latest"


def _check_storable(file: h5py.File, output: ArraySpec) -> None:
    if output.dtype == "bfloat16":
        raise DestinationError(
            f"HDF5 can't hold bfloat16 ({output.label}); use --dtype float16 or float32"
        )
    with translated(output.label, DestinationError):
        used = filters(h5d.open(file.id, to_path(output.name)).get_create_plist())
        for code in used:
            if not h5z.get_filter_info(code) & h5z.FILTER_CONFIG_ENCODE_ENABLED:
                raise DestinationError(
                    f"{output.label}: this HDF5 can read its filter {code} but not write it;"
                    " repack the file with another filter (h5repack -f NONE)"
                )
