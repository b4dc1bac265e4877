"""Reading, computing and writing at once."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest

from l2cli.arrays import BATCH_BYTES, ArraySpec, Batch
from l2cli.pipeline import computed_ahead, read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SPEC = ArraySpec("", (None, 2), "float32")


def _batch(number: int, num_bytes: int = 8) -> Batch:
    rows = np.full((num_bytes // 8, 2), number, "f4")
    return Batch(SPEC, rows, number)


def _numbers(stop: int, num_bytes: int = 8) -> Iterator[Batch]:
    return (_batch(number, num_bytes) for number in range(stop))


def stream(
    batches: Iterable[Batch],
    compute: Callable[[Batch], np.ndarray],
    write: Callable[[Batch, np.ndarray], object],
    *,
    may_wait: bool = False,
) -> None:
    """Take every batch through ``compute`` to ``write``."""
    with computed_ahead(batches, compute, may_wait=may_wait) as pairs:
        for batch, rows in pairs:
            write(batch, rows)


def _double(batch: Batch) -> np.ndarray:
    return batch.rows * 2


@pytest.mark.parametrize("may_wait", [False, True])
def test_every_batch_is_computed_and_written_in_order(may_wait: bool) -> None:
    written: list[tuple[int, float]] = []

    def write(batch: Batch, rows: np.ndarray) -> None:
        written.append((batch.start, float(rows[0, 0])))

    stream(_numbers(300), _double, write, may_wait=may_wait)
    assert written == [(number, 2.0 * number) for number in range(300)]


def test_the_three_run_at_once() -> None:
    # Each waits for the two others, which by turns would be forever.
    meet = threading.Barrier(3)

    def batches() -> Iterator[Batch]:
        yield from _numbers(2)
        meet.wait(60)
        yield _batch(2)

    def compute(batch: Batch) -> np.ndarray:
        if batch.start == 1:
            meet.wait(60)
        return batch.rows

    def write(batch: Batch, rows: np.ndarray) -> None:
        if batch.start == 0:
            meet.wait(60)

    stream(batches(), compute, write)


def _fail(*args: object) -> np.ndarray:
    raise ValueError("no more")


@pytest.mark.parametrize("step", ["read", "compute", "write"])
def test_an_error_comes_out_and_reading_has_ended_by_then(step: str) -> None:
    ended = threading.Event()

    def batches() -> Iterator[Batch]:
        try:
            for number in count():
                yield _batch(number)
                if step == "read" and number == 3:
                    _fail()
        finally:
            ended.set()

    compute: Callable[[Batch], np.ndarray] = _fail if step == "compute" else _double
    write: Callable[[Batch, np.ndarray], object] = _fail if step == "write" else lambda b, r: None
    with pytest.raises(ValueError, match="no more"):
        stream(batches(), compute, write)
    assert ended.is_set()


def test_what_waits_forever_is_not_waited_for() -> None:
    closed = threading.Event()

    def batches() -> Iterator[Batch]:
        yield _batch(0)
        closed.wait()

    with pytest.raises(ValueError, match="no more"):
        stream(batches(), _fail, lambda batch, rows: None, may_wait=True)
    closed.set()


@pytest.mark.parametrize(("num_bytes", "most"), [(8, 12), (BATCH_BYTES, 9), (20 * BATCH_BYTES, 3)])
def test_only_so_much_is_held_at_once(num_bytes: int, most: int) -> None:
    taken = 0

    def batches() -> Iterator[Batch]:
        nonlocal taken
        for batch in _numbers(40, num_bytes):
            taken += 1
            yield batch

    held = []
    stream(batches(), _double, lambda batch, rows: held.append(taken - batch.start))
    assert max(held) <= most


def test_reading_ahead_ends_where_nobody_wants_more() -> None:
    taken = []

    def batches() -> Iterator[Batch]:
        for batch in _numbers(1000):
            taken.append(batch)
            yield batch

    with read_ahead(batches(), may_wait=False) as ready:
        for batch in ready:
            if batch.start == 3:
                break
    assert len(taken) < 12
