"""The formats, and how a file's format is told: by its first bytes, then by its suffix.

A new format is one module and one line in :data:`FORMATS`. The modules, and the libraries
that they stand on, are imported when a file of theirs is opened.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from l2cli.errors import FormatError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.formats.base import Reader


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    magic
        What its files begin with, one of these.
    reader
        ``module:class`` of its reader.
    parameters
        Which of :func:`open_reader`'s options its reader takes.
    native
        Whether a C library of its own parses its files, and might crash on a hostile one.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    reader: str
    parameters: tuple[str, ...] = ()
    native: bool = False


FORMATS = (
    Format("npy", (".npy",), (b"\x93NUMPY",), "npy:NpyReader", ("assume_bfloat16",)),
    Format("npz", (".npz",), (b"PK\x03\x04", b"PK\x05\x06"), "npz:NpzReader", ("assume_bfloat16",)),
    Format(
        "HDF5",
        (".h5", ".hdf5", ".hdf", ".h5ad", ".he5"),
        (b"\x89HDF\r\n\x1a\n",),
        "hdf5:Hdf5Reader",
        ("allow_external",),
        native=True,
    ),
    Format(
        "Parquet",
        (".parquet", ".pq", ".parq"),
        (b"PAR1", b"PARE"),
        "parquet:ParquetReader",
        native=True,
    ),
)

_HINTS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; run `git lfs pull`",
    b"ARROW1": "an Arrow IPC file, which l2norm does not read yet",
    b"\x80": "a Python pickle, which l2norm never loads; save it with numpy.save",
    b"\x1f\x8b": "compressed with gzip; decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it first",
    b"<": "an HTML or XML page, perhaps a failed download",
    b"{": "JSON text",
}
_SUFFIX_HINTS = {
    ".fbin": "a big-ann .fbin file; convert it to .npy",
    ".fvecs": "a texmex .fvecs file; convert it to .npy",
    ".bvecs": "a texmex .bvecs file; convert it to .npy",
    ".csv": "text; convert it to Parquet or .npy",
    ".safetensors": "a safetensors file; convert it to .npy",
    ".pt": "a PyTorch file; save its tensor with numpy.save",
}
_READABLE = ".npy, .npz, HDF5 or Parquet"


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
            raise SourceError(f"{path} is not a regular file")
        with path.open("rb") as file:
            start = file.read(64)
            for kind in FORMATS:
                if start.startswith(kind.magic) or (kind.name == "HDF5" and _has_user_block(file)):
                    return kind
    except OSError as exc:
        raise SourceError(f"{path} can't be read: {exc.strerror or exc}") from exc
    raise FormatError(f"{path} is {_describe(path, start)}; expected {_READABLE}")


def by_suffix(path: Path) -> Format | None:
    """Return the format that the suffix of ``path`` stands for, if it stands for one."""
    suffix = path.suffix.lower()
    return next((kind for kind in FORMATS if suffix in kind.suffixes), None)


def open_reader(path: Path, kind: Format, *, allow_external: bool, assume_bfloat16: bool) -> Reader:
    """Open ``path`` as a file of ``kind``.

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
    module, _, name = kind.reader.partition(":")
    reader = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    opened: Reader = reader(path, **{key: options[key] for key in kind.parameters})
    return opened


def _has_user_block(file: IO[bytes]) -> bool:
    """Whether HDF5's signature stands behind a user block: at 512, 1,024, 2,048 … bytes."""
    position, size = 512, file.seek(0, 2)
    while position < size:
        file.seek(position)
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            return True
        position *= 2
    return False


def _describe(path: Path, start: bytes) -> str:
    hints = (text for magic, text in _HINTS.items() if start.startswith(magic))
    found = "empty" if not start else next(hints, None) or _SUFFIX_HINTS.get(path.suffix.lower())
    kind = by_suffix(path)
    named = f"named like {kind.name}, but " if kind else ""
    return f"{named}{found or f'of no known format (it begins with {start[:8]!r})'}"
