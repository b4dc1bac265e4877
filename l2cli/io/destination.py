"""Where containers go: a file, whole or not at all, or a stream such as standard output."""

from __future__ import annotations

import contextlib
import os
import shutil
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING, Protocol

from l2cli.errors import DestinationError, OptionError
from l2cli.filesystem.atomic import (
    check_destination,
    replacing,
    temporary_errors,
    temporary_file,
    write_errors,
)
from l2cli.filesystem.buffered_stream import widen_pipe
from l2cli.filesystem.streams import descriptor, open_output
from l2cli.formats.registry import by_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from l2cli.formats.base import Writer
    from l2cli.formats.registry import Format

STANDARD_OUTPUT = "standard output"


class OpensWriters(Protocol):
    """What knows how to write a container to a file or to a stream."""

    def writer(self, path: Path) -> Writer:
        """Open a writer for the file ``path``."""

    def stream_writer(self, stream: IO[bytes]) -> Writer | None:
        """Open a writer front to back, or return ``None`` where that can't be."""


class Destination(ABC):
    """One place to write a container to.

    Attributes
    ----------
    label
        What messages call it.
    is_stream
        Whether it is written front to back, with no way back.
    """

    label: str
    is_stream = False

    @property
    @abstractmethod
    def kind(self) -> Format | None:
        """The format that its name stands for, if it stands for one."""

    @abstractmethod
    def check(self, kind: Format) -> None:
        """Raise where a file of ``kind`` can't be written here, without writing anything."""

    @abstractmethod
    def copy(self, source: Path, like: Path | None) -> None:
        """Write the file ``source`` here as it is; ``like`` is as for :meth:`opened`."""

    @abstractmethod
    def opened(
        self, plan: OpensWriters, like: Path | None
    ) -> AbstractContextManager[tuple[Writer, Path | None]]:
        """Open a writer. What it wrote counts when the block has ended without an error.

        With it comes the file that it writes until then, if there is one.

        Parameters
        ----------
        like
            The file whose permission bits a new file gets.
        """


class FileDestination(Destination):
    """A file, which appears whole or not at all."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.label = str(path)
        self._path = path
        self._overwrite = overwrite

    @property
    def kind(self) -> Format | None:
        return by_suffix(self._path)

    def check(self, kind: Format) -> None:
        check_destination(self._path, overwrite=self._overwrite)

    def copy(self, source: Path, like: Path | None) -> None:
        with (
            write_errors(self.label),
            replacing(self._path, like=like, overwrite=self._overwrite) as sibling,
        ):
            shutil.copyfile(source, sibling)

    @contextlib.contextmanager
    def opened(self, plan: OpensWriters, like: Path | None) -> Iterator[tuple[Writer, Path | None]]:
        with (
            write_errors(self.label),
            replacing(self._path, like=like, overwrite=self._overwrite) as sibling,
            _naming(self._path, sibling),
            plan.writer(sibling) as writer,
        ):
            yield writer, sibling


class StreamDestination(Destination):
    """A stream with a file descriptor, such as standard output.

    What can't be written front to back is finished in a temporary file and then copied.
    """

    is_stream = True

    def __init__(self, stream: IO[bytes], label: str = STANDARD_OUTPUT) -> None:
        self.label = label
        self._stream = stream

    @property
    def kind(self) -> Format | None:
        return None

    def check(self, kind: Format) -> None:
        if not kind.pipes:
            raise OptionError(
                f"{kind.title} can't be written to a pipe, because it isn't written front to back; "
                f"name a file with -o FILE{kind.suffixes[0]}"
            )

    def copy(self, source: Path, like: Path | None) -> None:
        with (
            write_errors(self.label, "what it got is incomplete"),
            self._reopened() as stream,
            source.open("rb") as file,
        ):
            shutil.copyfileobj(file, stream, 2**20)

    def _reopened(self) -> IO[bytes]:
        stream = os.fdopen(os.dup(self._stream.fileno()), "wb")
        widen_pipe(stream)
        return stream

    @contextlib.contextmanager
    def opened(self, plan: OpensWriters, like: Path | None) -> Iterator[tuple[Writer, Path | None]]:
        with write_errors(self.label, "what it got is incomplete"):
            stream = self._reopened()
            direct = plan.stream_writer(stream)
            with stream:
                if direct is not None:
                    with direct:
                        yield direct, None
                    return
                with temporary_file(named=True) as path:  # A writer may want room beside it.
                    with temporary_errors(), plan.writer(path) as writer:
                        yield writer, path
                    with path.open("rb") as result:
                        shutil.copyfileobj(result, stream, 2**20)


class NamedStreamDestination(StreamDestination):
    """A stream that has a path, such as a named pipe. It is opened when there is a file for it."""

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._path = path

    @property
    def kind(self) -> Format | None:
        return by_suffix(self._path)

    def check(self, kind: Format) -> None:
        super().check(kind)
        number = descriptor(self._path)
        if number is None:
            return
        with write_errors(self.label, "nothing was written"):
            os.fstat(number)
        if os.isatty(number):
            raise OptionError(
                f"{self.label} is a terminal, and vectors are not text; name a file with -o FILE"
            )

    def _reopened(self) -> IO[bytes]:
        stream = open_output(self._path)
        widen_pipe(stream)
        return stream


@contextlib.contextmanager
def _naming(target: Path, sibling: Path) -> Iterator[None]:
    """Speak of the destination where a writer speaks of the sibling that it knows."""
    try:
        yield
    except DestinationError as exc:
        raise DestinationError(str(exc).replace(str(sibling), str(target))) from exc
