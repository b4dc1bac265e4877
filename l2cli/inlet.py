"""A stream that comes in once: looked at before it is read, or laid down where seeking works."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

from l2cli.atomic import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

_AHEAD = 2
"""Batches."""
_PIPE_BYTES = 2**20
"""As much as Linux lets anybody have."""
_DESCRIPTORS = Path("/proc/self/fd")


class Readable(Protocol):
    """What bytes come from: a raw stream, such as ``sys.stdin.buffer.raw``."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read what is there into ``buffer``, at most its length; 0 at the end."""


class Inlet(io.RawIOBase):
    """A stream whose beginning may be read more than once, until :meth:`settle`.

    Attributes
    ----------
    ended
        Whether a read met the end of the stream.
    """

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._kept = bytearray()
        self._position = 0
        self._settled = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._position < len(self._kept):
            stop = min(self._position + len(view), len(self._kept))
            count = stop - self._position
            view[:count] = self._kept[self._position : stop]
            self._position = stop
            return count
        count = self._raw.readinto(view) or 0
        if not self._settled:
            self._kept += view[:count]
            self._position += count
        self.ended = self.ended or (count == 0 < len(view))
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes; fewer only at the end of the stream."""
        if size is None or size < 0:
            return self.readall()
        found = bytearray(size)
        return bytes(memoryview(found)[: self.fill(found)])

    def fill(self, buffer: Any) -> int:
        """Read until ``buffer`` is full or the stream ends, and return how many bytes came."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := self.readinto(view[done:])):
            done += count
        return done

    def peek(self, size: int) -> bytes:
        """Return the first ``size`` bytes of the stream, and go back to its beginning."""
        found = self.read(size)
        self.rewind()
        return found

    def rewind(self) -> None:
        """Go back to the beginning of the stream. It must not be settled."""
        self._position = 0
        self.ended = False

    def settle(self) -> None:
        """Keep nothing from here on: what follows is read once."""
        self._settled = True


@contextlib.contextmanager
def spooled(inlet: Inlet, *, named: bool) -> Iterator[Path]:
    """Yield a file that holds the whole stream while the block runs.

    Parameters
    ----------
    named
        Whether its name has to stand in a folder. If not, then on Linux it doesn't, so that
        not even ``kill -9`` leaves the file behind.
    """
    with contextlib.ExitStack() as stack:
        if named or not _DESCRIPTORS.is_dir():
            path = stack.enter_context(temporary_folder()) / "source"
            spool: IO[bytes] = stack.enter_context(path.open("wb"))
        else:
            spool = stack.enter_context(tempfile.TemporaryFile())
            path = _DESCRIPTORS / str(spool.fileno())
        inlet.rewind()
        inlet.settle()
        shutil.copyfileobj(inlet, spool, 2**20)
        spool.flush()
        yield path


def read_ahead(batches: Iterator[T]) -> Iterator[T]:
    """Yield the same, read by a thread that is a little ahead.

    A pipe holds less than a batch: unless somebody empties it, its other end waits while a
    batch is computed. The thread may still wait for the pipe when nobody wants more; so it
    must not own anything that has to be closed.
    """
    ready: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    room, stopped = Semaphore(_AHEAD), Event()

    def read() -> None:
        try:
            for batch in batches:
                ready.put((batch, None))
                room.acquire()
                if stopped.is_set():
                    return
            ready.put((None, None))
        except BaseException as exc:
            ready.put((None, exc))

    Thread(target=read, daemon=True).start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
            room.release()
    finally:
        stopped.set()
        room.release()


def widen_pipe(stream: Any) -> None:
    """Let the system hold more of a pipe, so that its two ends wait less for each other."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import fcntl

        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
