"""Where containers come from: a file, or a stream that is read once (:mod:`l2cli.io.streams`).

Used by whoever reads: to normalize, to check, to inspect. A source knows its format and opens a
reader; it knows nothing of destinations, and of the arrays inside only what a reader tells.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from l2cli.errors import OptionError, SourceError, reason
from l2cli.formats.errors import naming, reading
from l2cli.formats.registry import detect, open_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import CheckOptions, NormalizeOptions, OpenOptions

    Location = str | os.PathLike[str] | Readable

STANDARD_INPUT = "standard input"


def as_source(source: Location) -> Path | Readable:
    """Return what a caller gave as a source: a path, or a stream.

    Raises
    ------
    OptionError
        Where it is neither.
    """
    if isinstance(source, (str, os.PathLike)):
        return as_path(source)
    if not hasattr(source, "readinto"):
        raise OptionError(f"{source!r} is no source; expected a path or a binary stream")
    return source


def as_path(source: str | os.PathLike[str]) -> Path:
    """Return what a caller gave as a path.

    Raises
    ------
    OptionError
        Where it is none, or one of bytes.
    """
    if isinstance(source, (str, os.PathLike)) and isinstance(os.fspath(source), str):
        return Path(source)
    raise OptionError(f"{source!r} is no path; expected a string or a pathlib.Path")


def as_sources(sources: Location | Iterable[Location]) -> list[Path | Readable]:
    """Return what a caller gave as one source or several, as :func:`as_source` does.

    Raises
    ------
    OptionError
        Where one is neither a path nor a stream, or there is none.
    """
    is_one = isinstance(sources, (str, os.PathLike)) or hasattr(sources, "readinto")
    if is_one or not isinstance(sources, Iterable):
        return [as_source(cast("Location", sources))]
    listed = [as_source(source) for source in sources]
    if not listed:
        raise OptionError("`sources` is empty; name a file or folder")
    return listed


class Source(ABC):
    """One container that can be opened.

    Attributes
    ----------
    label : str
        What messages call it.
    file_format : Format
        Its format.
    path : Path or None
        The file, if it is one.
    """

    label: str
    file_format: Format
    path: Path | None = None

    @abstractmethod
    def opened(
        self, options: CheckOptions | NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> AbstractContextManager[Reader]:
        """Open it; an error inside the block that lacks its name gets it.

        Parameters
        ----------
        options : CheckOptions or NormalizeOptions
            How it is opened, and which arrays the user named.
        must_seek : callable
            From a reader of the stream to whether its arrays can't be read front to back. Not
            called for a file.
        """

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise :class:`SourceError` where it was written to since this object was made."""


class FileSource(Source):
    """A file.

    Parameters
    ----------
    path : Path
        The file.
    file_format : Format or None
        Its format, ``None`` to go by its first bytes.
    """

    def __init__(self, path: Path, file_format: Format | None = None) -> None:
        self.path: Path = path
        self.label = str(path)
        self.file_format = file_format or detect(path)
        self._before = self._fingerprint()

    def opened(
        self, options: CheckOptions | NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> AbstractContextManager[Reader]:
        """Open the file."""
        return open_source(self.path, self.file_format, options.opening)

    def check_unchanged(self) -> None:
        """Raise where inode, size or time of change differ."""
        if self._fingerprint() != self._before:
            raise SourceError(f"{self.label} changed while it was read; run again")

    def _fingerprint(self) -> tuple[int, int, int]:
        try:
            status = self.path.stat()
        except OSError as exc:
            raise SourceError(f"{self.label} can't be read: {reason(exc)}") from exc
        return status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def open_source(path: Path, file_format: Format, opening: OpenOptions) -> Iterator[Reader]:
    """Open a file; an error inside the block that lacks its name gets it."""
    with named_errors(str(path)):
        with reading(path):
            reader = open_reader(path, file_format, opening)
        with reader:
            yield reader


@contextlib.contextmanager
def named_errors(label: str, alias: str = "") -> Iterator[None]:
    """Name the source in every error about one, and where there is too little memory.

    Parameters
    ----------
    label, alias : str
        As for :func:`~l2cli.formats.errors.naming`.
    """
    try:
        with naming(label, alias):
            yield
    except MemoryError as exc:
        raise SourceError(
            f"{label} needs more memory than there is; if it is sound, try a smaller `batch_size`"
        ) from exc
