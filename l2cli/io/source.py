"""Where containers come from: a file, or a stream that is read once.

Used by whoever reads: to normalize, to check, to inspect. A source knows its format and opens a
reader; it knows nothing of destinations, and of the arrays inside only what a reader tells.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2cli.errors import OptionError, SourceError, reason
from l2cli.filesystem.buffered_stream import BufferedStream, in_temporary_file, widen_pipe
from l2cli.filesystem.streams import is_stream, open_input
from l2cli.formats.errors import naming, reading
from l2cli.formats.registry import detect, detect_stream, open_reader, open_stream_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions, OpenOptions

STANDARD_INPUT = "standard input"


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
        self, options: NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> AbstractContextManager[Reader]:
        """Open it; an error inside the block that lacks its name gets it.

        Parameters
        ----------
        options : NormalizeOptions
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
        self, options: NormalizeOptions, must_seek: Callable[[Reader], bool]
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


class StreamSource(Source):
    """A stream that is read once, such as standard input.

    Parameters
    ----------
    raw : Readable
        The stream, unbuffered.
    file_format : Format or None
        Its format, ``None`` to go by its first bytes.
    label : str
        What messages call it.
    """

    def __init__(
        self, raw: Readable, file_format: Format | None = None, label: str = STANDARD_INPUT
    ) -> None:
        self.label = label
        widen_pipe(raw)
        self._stream = BufferedStream(raw)
        with reading(label):
            self.file_format = file_format or detect_stream(self._stream, label)

    @contextlib.contextmanager
    def opened(
        self, options: NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> Iterator[Reader]:
        """Open the stream, or a temporary file with all that comes from it."""
        with ExitStack() as stack:
            with named_errors(self.label), reading(self.label):
                reader = self._stream_reader(options)
            if reader is None or reader.must_seek or must_seek(reader):
                path = stack.enter_context(
                    in_temporary_file(self._stream, named=self.file_format.needs_name)
                )
                stack.enter_context(named_errors(self.label, str(path)))
                reader = stack.enter_context(open_source(path, self.file_format, options.opening))
                reader.notes.append(
                    f"{self.label} was kept in a temporary file while it was read, "
                    "because this takes more than one pass over it"
                )
            else:
                self._stream.stop_buffering()
                stack.enter_context(named_errors(self.label))
            yield reader

    def check_unchanged(self) -> None:
        """Do nothing: what was read from a stream can't change."""

    def _stream_reader(self, options: NormalizeOptions) -> Reader | None:
        if options.select and self.file_format.numbers_arrays:
            return None
        opening = asdict(options.opening)
        return open_stream_reader(self._stream, self.label, self.file_format, **opening)


def find_source(source: Path | Readable, file_format: Format | None = None) -> Source:
    """Return a file, a stream, or a path that stands for a stream, as a source.

    Parameters
    ----------
    source : Path or Readable
        What is to be read.
    file_format : Format or None
        Its format, ``None`` to go by its first bytes.

    Raises
    ------
    SourceError
        Where it can't be read or is of no known format.
    """
    if not isinstance(source, Path):
        return StreamSource(source, file_format)
    if not is_stream(source):
        return FileSource(source, file_format)
    with reading(source):
        stream: Any = open_input(source)
    if stream.isatty():
        raise OptionError(f"{source} is a terminal, not a pipe; name a file, or pipe one in")
    return StreamSource(stream, file_format, str(source))


@contextlib.contextmanager
def open_source(path: Path, file_format: Format, opening: OpenOptions) -> Iterator[Reader]:
    """Open a file; an error inside the block that lacks its name gets it."""
    with named_errors(str(path)):
        with reading(path):
            reader = open_reader(path, file_format, **asdict(opening))
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
