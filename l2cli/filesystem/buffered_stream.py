"""A stream that comes in once: its beginning is read twice, or it is copied to a temporary file.

:mod:`l2cli.io.source` and the readers of formats that stream use it. It knows nothing of formats.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from typing import TYPE_CHECKING, Any, Protocol

from l2cli.errors import SourceError, reason
from l2cli.filesystem.atomic import temporary_errors, temporary_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIPE_BYTES = 2**20
"""As much as Linux lets anybody have."""


class Readable(Protocol):
    """What bytes come from: a raw stream, such as ``sys.stdin.buffer.raw``."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read what is there into ``buffer``, at most its length; 0 at the end."""


class BufferedStream(io.RawIOBase):
    """A stream whose beginning may be read more than once, until :meth:`stop_buffering`.

    Attributes
    ----------
    ended : bool
        Whether a read met the end of the stream.
    """

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._kept = bytearray()
        self._position = 0
        self._is_read_once = False
        self.ended = False

    def readable(self) -> bool:
        """Whether the stream can be read: always."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what is there into ``buffer``, what was buffered first; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._position < len(self._kept):
            stop = min(self._position + len(view), len(self._kept))
            count = stop - self._position
            view[:count] = self._kept[self._position : stop]
            self._position = stop
            return count
        try:
            count = self._raw.readinto(view) or 0
        except OSError as exc:
            raise SourceError(f"can't be read: {reason(exc)}") from exc
        if not self._is_read_once:
            self._kept += view[:count]
            self._position += count
        self.ended = self.ended or (count == 0 < len(view))
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes; fewer only at the end of the stream."""
        if size is None or size < 0:
            return self.readall()
        content = bytearray(size)
        return bytes(memoryview(content)[: self.fill(content)])

    def fill(self, buffer: Any) -> int:
        """Read until ``buffer`` is full or the stream ends, and return how many bytes came."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := self.readinto(view[done:])):
            done += count
        return done

    def peek(self, size: int) -> bytes:
        """Return the first ``size`` bytes of the stream, and go back to its beginning."""
        beginning = self.read(size)
        self.rewind()
        return beginning

    def rewind(self) -> None:
        """Go back to the beginning of the stream. Only while it buffers."""
        self._position = 0
        self.ended = False

    def unread(self, content: bytes) -> None:
        """Put back what was read last: it is read again next."""
        if self._is_read_once:
            self._kept[: self._position] = content
            self._position = 0
        else:
            self._position -= len(content)

    def stop_buffering(self) -> None:
        """Keep nothing from here on: what follows is read once."""
        self._is_read_once = True


@contextlib.contextmanager
def in_temporary_file(stream: BufferedStream, *, named: bool) -> Iterator[Path]:
    """Yield a file that holds the whole stream while the block runs.

    Parameters
    ----------
    named : bool
        As for :func:`~l2cli.filesystem.atomic.temporary_file`.
    """
    with temporary_file(named=named) as path:
        stream.rewind()
        stream.stop_buffering()
        with temporary_errors(), path.open("wb") as spool:
            shutil.copyfileobj(stream, spool, 2**20)
        yield path


def widen_pipe(stream: Any) -> None:
    """Let the system hold more of a pipe, so that its two ends wait less for each other."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import fcntl

        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
