"""Where containers come from: a file, or a stream that is read once."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2cli.errors import OptionError, SourceError
from l2cli.filesystem.buffered_stream import BufferedStream, in_temporary_file, widen_pipe
from l2cli.filesystem.streams import is_stream, open_input
from l2cli.formats.errors import reading
from l2cli.formats.registry import detect, detect_stream, open_reader, open_stream_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions

STANDARD_INPUT = "standard input"


class Source(ABC):
    """One container that can be opened.

    Attributes
    ----------
    label
        What messages call it.
    kind
        Its format.
    path
        The file, if it is one.
    """

    label: str
    kind: Format
    path: Path | None = None

    @abstractmethod
    def opened(
        self, options: NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> AbstractContextManager[Reader]:
        """Open it; an error inside the block that lacks its name gets it.

        Parameters
        ----------
        must_seek
            Tells whether what is asked of a reader takes more than reading front to back.
        """

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise :class:`SourceError` where it was written to since this object was made."""


class FileSource(Source):
    """A file.

    Parameters
    ----------
    kind
        Its format, ``None`` to tell it by its first bytes.
    """

    def __init__(self, path: Path, kind: Format | None = None) -> None:
        self.path: Path = path
        self.label = str(path)
        self.kind = kind or detect(path)
        self._before = self._fingerprint()

    def opened(
        self, options: NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> AbstractContextManager[Reader]:
        return open_source(self.path, self.kind, options)

    def check_unchanged(self) -> None:
        if self._fingerprint() != self._before:
            raise SourceError(f"{self.label} changed while it was read; run again")

    def _fingerprint(self) -> tuple[int, int, int]:
        try:
            status = self.path.stat()
        except OSError as exc:
            raise SourceError(f"{self.label} can't be read: {exc.strerror or exc}") from exc
        return status.st_ino, status.st_size, status.st_mtime_ns


class StreamSource(Source):
    """A stream that is read once, such as standard input.

    Parameters
    ----------
    raw
        The stream, unbuffered.
    kind
        Its format, ``None`` to tell it by its first bytes.
    """

    def __init__(
        self, raw: Readable, kind: Format | None = None, label: str = STANDARD_INPUT
    ) -> None:
        self.label = label
        widen_pipe(raw)
        self._stream = BufferedStream(raw)
        with reading(label):
            self.kind = kind or detect_stream(self._stream, label)

    @contextlib.contextmanager
    def opened(
        self, options: NormalizeOptions, must_seek: Callable[[Reader], bool]
    ) -> Iterator[Reader]:
        with ExitStack() as stack:
            with named_errors(self.label), reading(self.label):
                reader = self._stream_reader(options)
            if reader is None or reader.must_seek or must_seek(reader):
                path = stack.enter_context(
                    in_temporary_file(self._stream, named=self.kind.needs_name)
                )
                stack.enter_context(named_errors(self.label, str(path)))
                reader = stack.enter_context(open_source(path, self.kind, options))
                reader.notes.append(
                    f"{self.label} was kept in a temporary file while it was read, "
                    "because this takes more than one pass over it"
                )
            else:
                self._stream.stop_buffering()
                stack.enter_context(named_errors(self.label))
            yield reader

    def check_unchanged(self) -> None:
        """Nothing: what came in came in."""

    def _stream_reader(self, options: NormalizeOptions) -> Reader | None:
        if options.select and self.kind.numbers_arrays:
            return None
        return open_stream_reader(self._stream, self.label, self.kind, options.opening)


def find_source(place: Path | Readable, kind: Format | None = None) -> Source:
    """Return the source at ``place``: a file, a stream, or a path that stands for a stream.

    Parameters
    ----------
    kind
        Its format, ``None`` to tell it by its first bytes.

    Raises
    ------
    SourceError
        Where it can't be read or is of no known format.
    """
    if not isinstance(place, Path):
        return StreamSource(place, kind)
    if not is_stream(place):
        return FileSource(place, kind)
    with reading(place):
        stream: Any = open_input(place)
    if stream.isatty():
        raise OptionError(f"{place} is a terminal, not a pipe; name a file, or pipe one in")
    return StreamSource(stream, kind, str(place))


@contextlib.contextmanager
def open_source(path: Path, kind: Format, options: NormalizeOptions) -> Iterator[Reader]:
    """Open a file; an error inside the block that lacks its name gets it."""
    with named_errors(str(path)):
        with reading(path):
            reader = open_reader(path, kind, options.opening)
        with reader:
            yield reader


@contextlib.contextmanager
def named_errors(label: str, alias: str = "") -> Iterator[None]:
    """Name the source in every error about one.

    Parameters
    ----------
    alias
        What the error may call it instead: the name of a temporary file.
    """
    try:
        yield
    except SourceError as exc:
        message = str(exc).replace(alias, label) if alias else str(exc)
        if label in message and message == str(exc):
            raise
        raise type(exc)(message if label in message else f"{label}: {message}") from exc
    except MemoryError as exc:
        raise SourceError(
            f"{label} needs more memory than there is; if it is sound, try a smaller --batch-size"
        ) from exc
