"""The batch loop: one thread reads, another computes, and the caller writes, all at once.

Used for files, arrays and checks. It knows no format, no Keras and no file: what reads and what
computes is handed to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from queue import SimpleQueue
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from l2cli.arrays import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from l2cli.arrays import Batch

T = TypeVar("T")

_AHEAD_BYTES = 2 * BATCH_BYTES
_LEAST_BYTES = _AHEAD_BYTES // 4
"""What an item counts as at least, for a batch carries more than its rows."""


@contextlib.contextmanager
def computed_ahead(
    batches: Iterable[Batch],
    compute: Callable[[Batch], Batch],
    *,
    may_wait: bool = False,
    is_quick: bool = False,
) -> Iterator[Ahead[tuple[int, Batch]]]:
    """Yield what ``compute`` makes of every batch, in order, for the caller to write.

    With it comes how many bytes of rows were read for it. One thread reads and another computes,
    both a little ahead. The caller's thread, to which signals come, does what may take forever,
    and that is to write.

    Parameters
    ----------
    batches : iterable of Batch
        Read once, by a thread. Closed in the end, if it is a generator.
    compute : callable
        From a batch to a batch; called by a thread, in order.
    may_wait : bool
        Whether reading may take forever too, as from a pipe. Then it is not waited for where
        something goes wrong, so it must not use what the caller closes.
    is_quick : bool
        Whether reading is done by the thread that computes: for what is no more than a copy, the
        way to another processor costs more than it saves.
    """
    read = _read_at_once if is_quick else read_ahead
    with read(batches, may_wait=may_wait) as ready:
        pairs = Ahead(computed(ready, compute), lambda pair: _num_bytes(pair[1]))
        # Not joined: it touches no file, and its beginning may be the import of a whole backend.
        with contextlib.closing(pairs):
            yield pairs


def computed(
    batches: Iterable[Batch], compute: Callable[[Batch], Batch]
) -> Iterator[tuple[int, Batch]]:
    """Yield what :func:`computed_ahead` does, computed in the caller's thread."""
    for batch in batches:
        num_bytes = batch.rows.nbytes
        batch = compute(batch)
        yield num_bytes, batch


@contextlib.contextmanager
def _read_at_once(batches: Iterable[Batch], *, may_wait: bool) -> Iterator[Iterable[Batch]]:
    """Yield the same batches; when the block has ended none is being read, nor will be."""
    lock, is_closed = Lock(), Event()
    source = iter(batches)

    def read() -> Iterator[Batch]:
        while True:
            with lock:
                batch = None if is_closed.is_set() else next(source, None)
            if batch is None:
                return
            yield batch
            del batch

    try:
        yield read()
    finally:
        is_closed.set()
        if lock.acquire(blocking=not may_wait):
            with contextlib.ExitStack() as stack:
                stack.callback(lock.release)
                if isinstance(source, Generator):
                    source.close()


@contextlib.contextmanager
def read_ahead(batches: Iterable[Batch], *, may_wait: bool) -> Iterator[Iterable[Batch]]:
    """Yield the same batches, read by a thread that is a little ahead.

    Parameters
    ----------
    may_wait : bool
        As for :func:`computed_ahead`.
    """
    ahead = Ahead(batches, _num_bytes)
    try:
        yield ahead
    finally:
        ahead.close()
        if not may_wait:
            ahead.join()


class Ahead(Generic[T]):
    """Yields the same items, which a thread takes a little ahead.

    The thread pauses while the items that it has taken, and the caller is not done with, are
    large together. So after a large item the next is taken only when the caller asks for it.

    Parameters
    ----------
    items : iterable
        Read by the thread.
    num_bytes : callable
        From an item to the memory that it takes.
    """

    def __init__(self, items: Iterable[T], num_bytes: Callable[[T], int]) -> None:
        self._num_bytes: Callable[[T], int] = lambda item: max(_LEAST_BYTES, num_bytes(item))
        self._ready: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
        self._room = Condition()
        self._ahead_bytes = 0
        self._closed = False
        self._thread = Thread(target=self._take, args=(items,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error = self._ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
            self._count(-self._num_bytes(item))

    @property
    def is_ready(self) -> bool:
        """Whether the next item, the end or an error is there already."""
        return not self._ready.empty()

    def close(self) -> None:
        """Take no more."""
        with self._room:
            self._closed = True
            self._room.notify()
        self._ready.put((None, None))

    def join(self) -> None:
        """Wait until the item that is being taken has come."""
        self._thread.join()

    def _take(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                self._count(self._num_bytes(item))
                self._ready.put((item, None))
                if not self._wait_for_room():
                    return
            self._ready.put((None, None))
        except BaseException as exc:
            self._ready.put((None, exc))
        finally:
            if isinstance(items, Generator):
                items.close()

    def _count(self, num_bytes: int) -> None:
        with self._room:
            self._ahead_bytes += num_bytes
            self._room.notify()

    def _wait_for_room(self) -> bool:
        with self._room:
            self._room.wait_for(lambda: self._ahead_bytes < _AHEAD_BYTES or self._closed)
            return not self._closed


def _num_bytes(batch: Batch) -> int:
    return batch.rows.nbytes
