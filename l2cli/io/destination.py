"""Where containers go: a file, whole or not at all, or a stream (:mod:`l2cli.io.streams`).

Whoever writes opens a destination, and then a writer on the file or stream that it gives. It knows
no readers and writers, and of formats only their names.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING

from l2cli.errors import DestinationError
from l2cli.filesystem.atomic import (
    check_destination,
    replacing,
    temporary_errors,
    temporary_file,
    write_errors,
)
from l2cli.formats.registry import by_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from l2cli.formats.registry import Format

COPY_BYTES = 2**20


class Output:
    """What a destination gives to write to while it is open.

    Parameters
    ----------
    stream : binary stream or None
        Written front to back, if the destination is one.
    path : Path or None
        The file to write, if the destination is a file.

    Attributes
    ----------
    stream : binary stream or None
        As the parameter.
    """

    def __init__(self, stream: IO[bytes] | None = None, path: Path | None = None) -> None:
        self.stream = stream
        self._path = path

    @contextlib.contextmanager
    def file(self) -> Iterator[Path]:
        """Yield a file to write; of a stream, a temporary one that is copied to it at the end."""
        if self._path is not None:
            yield self._path
            return
        assert self.stream is not None
        with temporary_file(named=True) as path:  # A writer may want room beside it.
            with temporary_errors():
                yield path
            import shutil

            with path.open("rb") as file:
                shutil.copyfileobj(file, self.stream, COPY_BYTES)


class Destination(ABC):
    """One place to write a container to.

    Attributes
    ----------
    label : str
        What messages call it.
    is_stream : bool
        Whether it is written front to back, with no way back.
    """

    label: str
    is_stream = False

    @property
    @abstractmethod
    def file_format(self) -> Format | None:
        """The format that its name stands for, if it stands for one."""

    @abstractmethod
    def check(self, file_format: Format) -> None:
        """Raise where ``file_format`` can't be written here, without writing anything."""

    @abstractmethod
    def copy(self, source: Path, template: Path | None) -> None:
        """Write the file ``source`` here as it is; ``template`` is as for :meth:`opened`."""

    @abstractmethod
    def opened(self, template: Path | None) -> AbstractContextManager[Output]:
        """Open it. What was written counts when the block has ended without an error.

        Parameters
        ----------
        template : Path or None
            The file whose permission bits a new file gets.
        """


class FileDestination(Destination):
    """A file, which appears whole or not at all."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.label = str(path)
        self._path = path
        self._overwrite = overwrite

    @property
    def file_format(self) -> Format | None:
        """The format that its suffix stands for, if it stands for one."""
        return by_suffix(self._path)

    def check(self, file_format: Format) -> None:
        """Raise where no file can be written here."""
        check_destination(self._path, overwrite=self._overwrite)

    def copy(self, source: Path, template: Path | None) -> None:
        """Write the file ``source`` here as it is."""
        import shutil

        with (
            write_errors(self.label),
            replacing(self._path, like=template, overwrite=self._overwrite) as sibling,
        ):
            shutil.copyfile(source, sibling)

    @contextlib.contextmanager
    def opened(self, template: Path | None) -> Iterator[Output]:
        """Give a temporary sibling, which becomes the file at the end."""
        with (
            write_errors(self.label),
            replacing(self._path, like=template, overwrite=self._overwrite) as sibling,
            _naming(self._path, sibling),
        ):
            yield Output(path=sibling)


@contextlib.contextmanager
def _naming(target: Path, sibling: Path) -> Iterator[None]:
    """Name the destination in errors of a writer, which knows only the sibling."""
    try:
        yield
    except DestinationError as exc:
        raise DestinationError(str(exc).replace(str(sibling), str(target))) from exc
