"""The formats, and how a source's format is told: by its first bytes, or by name.

A new format is one module and one line in :data:`FORMATS`. The modules, and the libraries
that they stand on, are imported when a file of theirs is opened.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from l2cli.errors import DestinationError, FormatError, OptionError, SourceError, missing_module
from l2cli.formats.hints import describe

if TYPE_CHECKING:
    from l2cli.filesystem.buffered_stream import BufferedStream
    from l2cli.formats.base import Reader
    from l2cli.formats.create import NewFileWriter


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    name
        What callers call it: ``npy``. Both forms of Arrow have one name.
    title
        What messages call it: ``HDF5``.
    magic
        What its files begin with, one of these.
    reader
        ``module:class`` of its reader.
    create
        ``module:class`` of the writer of files that are like no source.
    parameters
        Which of :func:`open_reader`'s options its readers take.
    native
        Whether a C library of its own parses its files, and might crash on a hostile one.
    stream_magic, stream_reader
        What a stream begins with that can be read front to back, and ``module:class`` of what
        reads it so.
    pipes
        Whether it makes sense to write it to a pipe.
    is_table
        Whether its readers give :class:`~l2cli.formats.tabular.table.Table`, and its new-file
        writer takes one.
    extend
        ``module:function`` that adds an array of norms to a file of its own; empty for none.
    needs_name
        Whether a file without a name, which goes with its last descriptor, can't be opened.
    numbers_arrays
        Whether its arrays have no names, so that one of several is chosen by its number: how
        many there are is known at the end only.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    reader: str
    create: str
    parameters: tuple[str, ...] = ()
    native: bool = False
    stream_magic: bytes = b""
    stream_reader: str = ""
    pipes: bool = False
    is_table: bool = False
    extend: str = ""
    needs_name: bool = False
    numbers_arrays: bool = False

    def matches_suffix(self, path: Path) -> bool:
        """Whether the suffix of ``path`` is one of its own."""
        return path.suffix.lower() in self.suffixes


_ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"
FORMATS = (
    Format(
        "npy",
        "npy",
        (".npy",),
        (b"\x93NUMPY",),
        "npy.reader:NpyReader",
        "npy.create:NewNpyWriter",
        ("assume_bfloat16",),
        stream_magic=b"\x93NUMPY",
        stream_reader="npy.reader:NpyStreamReader",
        pipes=True,
        numbers_arrays=True,
    ),
    Format(
        "npz",
        "npz",
        (".npz",),
        (b"PK\x03\x04", b"PK\x05\x06"),
        "npz.reader:NpzReader",
        "npz.create:NewNpzWriter",
        ("assume_bfloat16",),
        extend="npz.create:add_member",
    ),
    Format(
        "hdf5",
        "HDF5",
        (".h5", ".hdf5", ".hdf", ".h5ad", ".he5"),
        (b"\x89HDF\r\n\x1a\n",),
        "hdf5.reader:Hdf5Reader",
        "hdf5.create:NewHdf5Writer",
        ("allow_external",),
        native=True,
        extend="hdf5.add_norms:add_dataset",
        needs_name=True,
    ),
    Format(
        "parquet",
        "Parquet",
        (".parquet", ".pq", ".parq"),
        (b"PAR1", b"PARE"),
        "parquet.reader:ParquetReader",
        "parquet.create:NewParquetWriter",
        native=True,
        extend="parquet.add_norms:add_column",
        pipes=True,
        is_table=True,
    ),
    Format(
        "arrow",
        "Arrow",
        (".arrow", ".feather", ".ipc"),
        (b"ARROW1",),
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
        (_ARROW_STREAM_MAGIC,),
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

_HARMLESS_SUFFIXES = (
    ".bib .cfg .crc .css .gif .gitattributes .htm .html .ini .ipynb .jpeg .jpg .js .lock .log .md "
    ".md5 .mp3 .mp4 .pdf .png .py .rst .sh .sha256 .sql .svg .tex .toml .wav .webp .xml .yaml .yml"
)
"""Of files that hold no vectors, however large they are."""
_TEXT_SUFFIXES = frozenset(("", ".json", ".txt"))
"""Of files that hold no vectors as long as they are small."""
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".lz4", ".br")
_READABLE = ".npy, .npz, HDF5, Parquet or Arrow IPC"
_START_BYTES = 64
_SMALL_BYTES = 2**20


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
            start = file.read(_START_BYTES)
            for file_format in FORMATS:
                if start.startswith(file_format.magic) or (
                    file_format.name == "hdf5" and _has_user_block(file)
                ):
                    return file_format
        named = by_suffix(path)
        what = describe(start, path, is_npy=named is not None and named.name == "npy")
    except OSError as exc:
        raise SourceError(f"{path} can't be read: {exc.strerror or exc}") from exc
    name = f"named like {named.title}, but " if named else ""
    raise FormatError(f"{path} is {name}{what or _unknown(start)}")


def detect_stream(stream: BufferedStream, label: str) -> Format:
    """Return the format of a stream, by its first bytes, which stay to be read.

    Raises
    ------
    FormatError
        Where it is of no format that can be read; the message says what it seems to be.
    """
    start = stream.peek(_START_BYTES)
    for file_format in FORMATS:
        if start.startswith(file_format.magic):
            return file_format
    what = describe(start) or f"{_unknown(start)}, or its format with --from"
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


def full_suffix(name: str) -> str:
    """Return the suffix of a file's name, that of a compressed one whole: ``.npy.gz``."""
    stem, suffix = os.path.splitext(name.lower())
    inner = os.path.splitext(stem)[1] if suffix in _COMPRESSED else ""
    return (inner if by_suffix(Path(f"x{inner}")) else "") + suffix


def may_hold_vectors(name: str, num_bytes: int) -> bool:
    """Whether a file of a format that is not read may hold vectors, by its name and size."""
    suffix = os.path.splitext(name.lower())[1]
    if not num_bytes or suffix in _HARMLESS_SUFFIXES.split(" "):
        return False
    return suffix not in _TEXT_SUFFIXES or num_bytes >= _SMALL_BYTES


def open_reader(
    path: Path, file_format: Format, *, allow_external: bool, assume_bfloat16: bool
) -> Reader:
    """Open ``path`` as a file of ``file_format``.

    Parameters
    ----------
    allow_external
        Whether HDF5 data that lies in other files may be read.
    assume_bfloat16
        Whether an npy dtype of two bytes without a type is bfloat16.

    Raises
    ------
    FormatError
        Where the file isn't what it claims to be, is damaged, or is cut off.
    """
    options = {"allow_external": allow_external, "assume_bfloat16": assume_bfloat16}
    reader = _load(file_format.reader)
    opened: Reader = reader(path, **{key: options[key] for key in file_format.parameters})
    return opened


def open_stream_reader(
    stream: BufferedStream,
    label: str,
    file_format: Format,
    *,
    allow_external: bool,
    assume_bfloat16: bool,
) -> Reader | None:
    """Open a stream of ``file_format`` to be read front to back; ``None`` where that can't be.

    Parameters
    ----------
    label
        What messages call the stream.
    allow_external, assume_bfloat16
        As for :func:`open_reader`.
    """
    if (
        not file_format.stream_reader
        or stream.peek(len(file_format.stream_magic)) != file_format.stream_magic
    ):
        return None
    options = {"allow_external": allow_external, "assume_bfloat16": assume_bfloat16}
    reader = _load(file_format.stream_reader)
    opened: Reader = reader(stream, label, **{key: options[key] for key in file_format.parameters})
    return opened


def new_file_writer(file_format: Format) -> type[NewFileWriter]:
    """Return the class that writes files of ``file_format`` that are like no source."""
    writer: type[NewFileWriter] = _load(file_format.create)
    return writer


def extend(path: Path, file_format: Format, name: str, norms: Path) -> None:
    """Add to a file of ``file_format`` the norms that the rows of one of its arrays had.

    Parameters
    ----------
    name
        What they are called in it.
    norms
        An ``.npy`` of float64.

    Raises
    ------
    DestinationError
        Where it holds something of that name, or can't hold them.
    """
    import numpy as np

    # Mapped where it is large: it is our own, so nobody cuts it off meanwhile.
    values = np.load(norms, mmap_mode="r" if norms.stat().st_size > _SMALL_BYTES else None)
    try:
        _load(file_format.extend)(path, name, values)
    except OSError as exc:
        raise DestinationError(f"{path} can't be written: {exc.strerror or exc}") from exc


def _load(name: str) -> Any:
    module, _, member = name.partition(":")
    try:
        return getattr(importlib.import_module(f"l2cli.formats.{module}"), member)
    except ModuleNotFoundError as exc:
        raise OptionError(missing_module(exc)) from exc


def _has_user_block(file: IO[bytes]) -> bool:
    """Whether HDF5's signature stands behind a user block: at 512, 1,024, 2,048 … bytes."""
    position, size = 512, file.seek(0, 2)
    while position < size:
        file.seek(position)
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            return True
        position *= 2
    return False


def _unknown(start: bytes) -> str:
    return f"of no known format (it begins with {start[:8]!r}); expected {_READABLE}"
