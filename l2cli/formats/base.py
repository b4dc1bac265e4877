"""The two classes that every format implements: a reader, and a writer with it as its template.

Readers yield batches of rows and writers take them back; ``io/``, ``normalization/`` and
``checking/`` know no more of a format than this. Nothing here knows any one format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import wraps
from typing import IO, TYPE_CHECKING, Any

from l2cli.formats.errors import reading
from l2cli.options import OpenOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from l2cli.arrays import ArraySpec, Batch


class _Resource(ABC):
    """Something that is closed at the end of a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Give back files and buffers. Closing twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


DEFAULT_OPENING = OpenOptions()
_ONLY_READ = frozenset({"arrays", "group", "batches", "is_quick", "dropped", "table"})
"""The methods of a reader in which nothing is written."""


class Reader(_Resource):
    """A container opened for reading.

    Raises :class:`~l2cli.errors.FormatError` from any method where the file isn't what it
    claims to be: the methods that only read are made to, whatever their library raises.

    Attributes
    ----------
    path : Path
        The file; of a stream, what messages call it.
    opening : OpenOptions
        How it was opened.
    notes : list of str
        What the user should know but needn't act on.
    """

    must_seek = False
    """Whether it was opened on a stream and can't be read front to back after all."""

    may_wait = False
    """Whether reading may wait for whoever is at the other end, as of a pipe."""

    def __init_subclass__(cls) -> None:
        """Have the methods that only read raise no errors but ours."""
        super().__init_subclass__()
        for name in _ONLY_READ & vars(cls).keys():
            setattr(cls, name, _only_reading(vars(cls)[name]))

    def __init__(self, path: Path, opening: OpenOptions = DEFAULT_OPENING) -> None:
        self.path = path
        self.opening = opening
        self.notes: list[str] = []

    @abstractmethod
    def arrays(self) -> list[ArraySpec]:
        """Return every array in the container, the ones that can't be normalized too."""

    def group(self, pattern: str) -> ArraySpec | None:
        """Return the one array that ``pattern`` makes of several, where the format has such."""
        return None

    @abstractmethod
    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        """Yield the rows of ``arrays``, all of them, in the order a writer wants them back.

        Parameters
        ----------
        batch_size : int or None
            Rows of one batch at most; ``None`` to choose by bytes.
        """

    def is_quick(self, arrays: Sequence[ArraySpec]) -> bool:
        """Whether to read ``arrays`` is no more than to copy their bytes."""
        return False

    @abstractmethod
    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> Writer:
        """Open a writer that has this reader's file as its template.

        Parameters
        ----------
        path : Path
            Where to write. An empty file may stand there.
        outputs : mapping of str to ArraySpec
            For each array that will be written, by name, what it is to become. It differs
            from the array read in ``dtype`` and in the last length of ``shape`` only.
        """

    def stream_writer(self, stream: IO[bytes], outputs: Mapping[str, ArraySpec]) -> Writer | None:
        """Open a writer that writes front to back, or return ``None`` where that can't be."""
        return None

    def dropped(self, taken: Collection[str]) -> list[str]:
        """Name what the container holds besides the arrays called ``taken``."""
        names = [array.name for array in self.arrays()]
        globs = [name for name in taken if name not in names]
        left = [name for name in names if name not in taken]
        return [f"'{name}'" for name in left if not any(fnmatchcase(name, g) for g in globs)]


class Writer(_Resource):
    """A container being written, with the one that its reader has open as the template.

    What is not written by :meth:`write` comes over from the source untouched.
    """

    def reserve(self) -> bool:
        """Let the file system find room for some more of what will come.

        For a file alone, and while there is nothing to write yet. Returns whether there is more
        to find room for, as far as that is known.
        """
        return False

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Write the rows of a batch that comes back, in the reader's order, with new rows.

        They may be kept until :meth:`finish`, so nobody else may change them.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what remains and close. The file is whole only after this returned."""


def _only_reading(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a reader that raises what goes wrong as an error of its source."""

    @wraps(method)
    def read(self: Reader, *arguments: Any, **named: Any) -> Any:
        with reading(self.path):
            result = method(self, *arguments, **named)
        return _batches(result, self.path) if isinstance(result, Iterator) else result

    return read


def _batches(batches: Iterator[Batch], path: Path) -> Iterator[Batch]:
    with reading(path):
        yield from batches
