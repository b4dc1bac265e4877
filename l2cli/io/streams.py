"""Sources and destinations that are read or written front to back: pipes, standard input, output.

Imported only where there is a stream. What needs more than that is kept in a temporary file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from l2cli.errors import OptionError
from l2cli.filesystem.atomic import write_errors
from l2cli.filesystem.buffered_stream import BufferedStream, in_temporary_file, widen_pipe
from l2cli.filesystem.streams import descriptor, open_input, open_output
from l2cli.formats.errors import reading
from l2cli.formats.registry import by_suffix, detect_stream, open_stream_reader
from l2cli.io.destination import COPY_BYTES, Destination, Output
from l2cli.io.source import STANDARD_INPUT, Source, named_errors, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import CheckOptions, NormalizeOptions

STANDARD_OUTPUT = "standard output"


def open_stream(source: Path | Readable, file_format: Format | None = None) -> StreamSource:
    """Return a stream, or a path that stands for one, as a source.

    Raises
    ------
    SourceError
        Where it can't be read or is of no known format.
    """
    if not isinstance(source, Path):
        return StreamSource(source, file_format)
    with reading(source):
        stream: Any = open_input(source)
    if stream.isatty():
        raise OptionError(f"{source} is a terminal, not a pipe; name a file, or pipe one in")
    return StreamSource(stream, file_format, str(source))


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
        self, options: CheckOptions | NormalizeOptions, must_seek: Callable[[Reader], bool]
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

    def _stream_reader(self, options: CheckOptions | NormalizeOptions) -> Reader | None:
        if options.select and self.file_format.numbers_arrays:
            return None
        return open_stream_reader(self._stream, self.label, self.file_format, options.opening)


class StreamDestination(Destination):
    """A stream with a file descriptor, such as standard output."""

    is_stream = True

    def __init__(self, stream: IO[bytes], label: str = STANDARD_OUTPUT) -> None:
        self.label = label
        self._stream = stream

    @property
    def file_format(self) -> Format | None:
        """None: it has no name."""
        return None

    def check(self, file_format: Format) -> None:
        """Raise where ``file_format`` makes no sense in a pipe."""
        if not file_format.pipes:
            raise OptionError(
                f"{file_format.title} can't be written to a pipe, because it isn't written front "
                f"to back; name a file with `destination='FILE{file_format.suffixes[0]}'`"
            )

    def copy(self, source: Path, template: Path | None) -> None:
        """Write the file ``source`` here as it is."""
        with self.opened(template) as output, source.open("rb") as file:
            assert output.stream is not None
            shutil.copyfileobj(file, output.stream, COPY_BYTES)

    @contextlib.contextmanager
    def opened(self, template: Path | None) -> Iterator[Output]:
        """Give the stream, with a buffer of its own."""
        with write_errors(self.label, "what it got is incomplete"), self._reopened() as stream:
            yield Output(stream)

    def _reopened(self) -> IO[bytes]:
        stream = os.fdopen(os.dup(self._stream.fileno()), "wb")
        widen_pipe(stream)
        return stream


class NamedStreamDestination(StreamDestination):
    """A stream that has a path, such as a named pipe. It is opened when there is a file for it."""

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._path = path

    @property
    def file_format(self) -> Format | None:
        """The format that its suffix stands for, if it stands for one."""
        return by_suffix(self._path)

    def check(self, file_format: Format) -> None:
        """Raise as for any stream, and where it is closed or a terminal."""
        super().check(file_format)
        number = descriptor(self._path)
        if number is None:
            return
        with write_errors(self.label, "nothing was written"):
            os.fstat(number)
        if os.isatty(number):
            raise OptionError(
                f"{self.label} is a terminal, and vectors are not text; name a file with "
                "`destination='FILE'`"
            )

    def _reopened(self) -> IO[bytes]:
        stream = open_output(self._path)
        widen_pipe(stream)
        return stream
