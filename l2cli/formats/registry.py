"""The table of formats, and which of them a file is: by its first bytes, or by its name.

Whatever reads or writes files comes here for the classes that do; nobody outside ``formats/``
imports a format's package. A new format is a package and a row in :data:`FORMATS`. This module
imports none of the packages, nor NumPy, until a file of theirs is opened.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from l2cli.errors import (
    DestinationError,
    FormatError,
    OptionError,
    SourceError,
    missing_module,
    reason,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.filesystem.buffered_stream import BufferedStream
    from l2cli.formats.base import Reader
    from l2cli.formats.create import NewFileWriter
    from l2cli.options import OpenOptions

    Matches = Callable[[bytes, IO[bytes] | None], bool]


@dataclass(frozen=True)
class Summary:
    """Files that describe all files of a format in a folder.

    Attributes
    ----------
    names : tuple of str
        What they are called.
    described : str
        ``module:function`` that returns the paths of the files that one describes by name.
    rewrite : str
        ``module:function`` that writes one anew, given it, where to write, and the files.
    """

    names: tuple[str, ...]
    described: str
    rewrite: str


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    name : str
        What callers call it: ``npy``. Both forms of Arrow have one name.
    title : str
        What messages call it: ``HDF5``.
    suffixes : tuple of str
        Those of its files; a new file gets the first.
    matches : callable
        Whether a file is of this format, by its first bytes and by the open file. Of a stream
        there are the first bytes only.
    reader : str
        ``module:class`` of its reader, which is made from a path and an ``OpenOptions``.
    create : str
        ``module:class`` of the writer of new files, which have no source as their template.
    native : bool
        Whether a C library of its own parses its files, and might crash on a hostile one.
    stream_magic : bytes
        What a stream begins with that can be read front to back.
    stream_reader : str
        ``module:class`` of what reads it so, which is made from the stream, its label and an
        ``OpenOptions``.
    pipes : bool
        Whether it makes sense to write it to a pipe.
    is_table : bool
        Whether its reader is a :class:`~l2cli.formats.tabular.table.TableReader`, and its
        new-file writer a :class:`~l2cli.formats.tabular.table.NewTableWriter`.
    extend : str
        ``module:function`` that adds an array of norms to a file; empty for none.
    needs_name : bool
        Whether a file without a name, which goes with its last descriptor, can't be opened.
    numbers_arrays : bool
        Whether its arrays have no names, so that one of several is chosen by its number: how
        many there are is known at the end only.
    summary : Summary or None
        The files that describe those of this format, if there are such.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    matches: Matches
    reader: str
    create: str
    native: bool = False
    stream_magic: bytes = b""
    stream_reader: str = ""
    pipes: bool = False
    is_table: bool = False
    extend: str = ""
    needs_name: bool = False
    numbers_arrays: bool = False
    summary: Summary | None = None

    def matches_suffix(self, path: Path) -> bool:
        """Return whether the suffix of ``path`` is one of this format."""
        return path.suffix.lower() in self.suffixes


def _begins_with(*magic: bytes) -> Matches:
    return lambda start, file: start.startswith(magic)


def _is_hdf5(start: bytes, file: IO[bytes] | None) -> bool:
    """Return whether HDF5's signature is at 0, or behind a user block: at 512, 1,024 … bytes."""
    if start.startswith(_HDF5_MAGIC):
        return True
    position, size = 512, 0 if file is None else file.seek(0, os.SEEK_END)
    while file is not None and position < size:
        file.seek(position)
        if file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC:
            return True
        position *= 2
    return False


_NPY_MAGIC = b"\x93NUMPY"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"
FORMATS = (
    Format(
        "npy",
        "npy",
        (".npy",),
        _begins_with(_NPY_MAGIC),
        "npy.reader:NpyReader",
        "npy.create:NewNpyWriter",
        stream_magic=_NPY_MAGIC,
        stream_reader="npy.reader:NpyStreamReader",
        pipes=True,
        numbers_arrays=True,
    ),
    Format(
        "npz",
        "npz",
        (".npz",),
        _begins_with(b"PK\x03\x04", b"PK\x05\x06"),
        "npz.reader:NpzReader",
        "npz.create:NewNpzWriter",
        extend="npz.create:add_member",
    ),
    Format(
        "hdf5",
        "HDF5",
        (".h5", ".hdf5", ".hdf", ".h5ad", ".he5"),
        _is_hdf5,
        "hdf5.reader:Hdf5Reader",
        "hdf5.create:NewHdf5Writer",
        native=True,
        extend="hdf5.add_norms:add_dataset",
        needs_name=True,
    ),
    Format(
        "parquet",
        "Parquet",
        (".parquet", ".pq", ".parq"),
        _begins_with(b"PAR1", b"PARE"),
        "parquet.reader:ParquetReader",
        "parquet.create:NewParquetWriter",
        native=True,
        extend="parquet.add_norms:add_column",
        pipes=True,
        is_table=True,
        summary=Summary(
            ("_metadata", "_common_metadata"),
            "parquet.summary:named_files",
            "parquet.summary:rewrite_summary",
        ),
    ),
    Format(
        "arrow",
        "Arrow",
        (".arrow", ".feather", ".ipc"),
        _begins_with(b"ARROW1"),
        "arrow.reader:ArrowReader",
        "arrow.create:NewArrowWriter",
        native=True,
        stream_magic=_ARROW_STREAM_MAGIC,
        stream_reader="arrow.reader:ArrowStreamReader",
        pipes=True,
        is_table=True,
    ),
    Format(
        "arrow",
        "Arrow stream",
        (".arrows", ".arrow", ".ipc"),
        _begins_with(_ARROW_STREAM_MAGIC),
        "arrow.reader:ArrowReader",
        "arrow.create:NewArrowStreamWriter",
        native=True,
        stream_magic=_ARROW_STREAM_MAGIC,
        stream_reader="arrow.reader:ArrowStreamReader",
        pipes=True,
        is_table=True,
    ),
)
NAMES = tuple(dict.fromkeys(file_format.name for file_format in FORMATS))
START_BYTES = 64
"""Of a file, by which it is told of which format it is."""
_MAPPED_BYTES = 2**20


def titles(conjunction: str = "or") -> str:
    """Return what the formats are called in a sentence: ``npy, npz, HDF5, Parquet or Arrow``."""
    first_titles = {file_format.name: file_format.title for file_format in reversed(FORMATS)}
    *most, last = [first_titles[name] for name in NAMES]
    return f"{', '.join(most)} {conjunction} {last}"


def detect(path: Path) -> Format:
    """Return the format of the file at ``path``.

    Raises
    ------
    SourceError
        Where there is no such file, or it can't be opened.
    FormatError
        Where it is of no format that can be read; the message says what it seems to be.
    """
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "not a regular file"
            raise SourceError(f"{path} is {what}; expected a file")
        with path.open("rb") as file:
            start = file.read(START_BYTES)
            for file_format in FORMATS:
                if file_format.matches(start, file):
                    return file_format
        from l2cli.formats.hints import describe

        named = by_suffix(path)
        what = describe(start, path, is_npy=named is not None and named.name == "npy")
    except OSError as exc:
        raise SourceError(f"{path} can't be read: {reason(exc)}") from exc
    name = f"named like {named.title}, but " if named else ""
    raise FormatError(f"{path} is {name}{what or _unknown(start)}")


def detect_stream(stream: BufferedStream, label: str) -> Format:
    """Return the format of a stream, by its first bytes, which stay to be read.

    Raises
    ------
    FormatError
        Where it is of no format that can be read; the message says what it seems to be.
    """
    start = stream.peek(START_BYTES)
    for file_format in FORMATS:
        if file_format.matches(start, None):
            return file_format
    from l2cli.formats.hints import describe

    what = describe(start) or f"{_unknown(start)}, or its format as `source_format`"
    raise FormatError(f"{label} is {what}")


def by_name(name: str) -> Format:
    """Return the format that is called ``name``.

    Raises
    ------
    OptionError
        Where none is called so.
    """
    for file_format in FORMATS:
        if file_format.name == name.lower():
            return file_format
    raise OptionError(f"'{name}' is no format; expected {', '.join(NAMES)}")


def by_suffix(path: Path) -> Format | None:
    """Return the format that the suffix of ``path`` stands for, if it stands for one.

    Of two that have it, the first: ``.arrow`` stands for a file, though many are streams.
    """
    return next((file_format for file_format in FORMATS if file_format.matches_suffix(path)), None)


def open_reader(path: Path, file_format: Format, opening: OpenOptions) -> Reader:
    """Open a file for reading.

    Parameters
    ----------
    path : Path
        The file.
    file_format : Format
        What it is.
    opening : OpenOptions
        How to open it.

    Returns
    -------
    Reader
        To be closed by the caller.

    Raises
    ------
    FormatError
        Where the file isn't what it claims to be, is damaged, or is cut off.
    """
    reader: Reader = load(file_format.reader)(path, opening)
    return reader


def open_stream_reader(
    stream: BufferedStream, label: str, file_format: Format, opening: OpenOptions
) -> Reader | None:
    """Open a stream to be read front to back.

    Parameters
    ----------
    stream : BufferedStream
        The stream, at its beginning.
    label : str
        What messages call it.
    file_format : Format
        What it is.
    opening : OpenOptions
        How to open it.

    Returns
    -------
    Reader or None
        ``None`` where it can't be read front to back.
    """
    magic = file_format.stream_magic
    if not file_format.stream_reader or stream.peek(len(magic)) != magic:
        return None
    reader: Reader = load(file_format.stream_reader)(stream, label, opening)
    return reader


def new_file_writer(file_format: Format) -> type[NewFileWriter]:
    """Return the class that writes new files of a format."""
    writer: type[NewFileWriter] = load(file_format.create)
    return writer


def extend(path: Path, file_format: Format, name: str, norms: Path) -> None:
    """Add to a file of ``file_format`` the norms that the rows of one of its arrays had.

    Parameters
    ----------
    name : str
        What they are called in it.
    norms : Path
        An ``.npy`` of float64.

    Raises
    ------
    DestinationError
        Where it holds something of that name, or can't hold them.
    """
    import numpy as np

    # Mapped where it is large: it is our own, so nobody cuts it off meanwhile.
    values = np.load(norms, mmap_mode="r" if norms.stat().st_size > _MAPPED_BYTES else None)
    try:
        load(file_format.extend)(path, name, values)
    except OSError as exc:
        raise DestinationError(f"{path} can't be written: {reason(exc)}") from exc


def load(name: str) -> Any:
    """Return what the table calls ``module:member``, of a package that is imported now.

    Raises
    ------
    OptionError
        Where a library isn't there that the package needs.
    """
    module, _, member = name.partition(":")
    try:
        return getattr(importlib.import_module(f"l2cli.formats.{module}"), member)
    except ModuleNotFoundError as exc:
        raise OptionError(missing_module(exc)) from exc


def _unknown(start: bytes) -> str:
    return f"of no known format (it begins with {start[:8]!r}); expected {titles()}"
