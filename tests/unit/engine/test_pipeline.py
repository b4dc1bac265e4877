"""Reading, computing and writing at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest

from l2cli.arrays import BATCH_BYTES, ArraySpec, Batch
from l2cli.engine.pipeline import computed_ahead, read_ahead

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
    compute: Callable[[Batch], Batch],
    write: Callable[[Batch], object],
    *,
    may_wait: bool = False,
    is_quick: bool = False,
) -> int:
    """Take every batch through ``compute`` to ``write``, and return the bytes that were read."""
    total = 0
    with computed_ahead(batches, compute, may_wait=may_wait, is_quick=is_quick) as computed:
        for num_bytes, batch in computed:
            write(batch)
            total += num_bytes
    return total


def _double(batch: Batch) -> Batch:
    return replace(batch, rows=batch.rows * 2)


@pytest.mark.parametrize("may_wait", [False, True])
@pytest.mark.parametrize("is_quick", [False, True])
def test_every_batch_is_computed_and_written_in_order(may_wait: bool, is_quick: bool) -> None:
    written: list[tuple[int, float]] = []

    def write(batch: Batch) -> None:
        written.append((batch.start, float(batch.rows[0, 0])))

    total = stream(_numbers(300), _double, write, may_wait=may_wait, is_quick=is_quick)
    assert written == [(number, 2.0 * number) for number in range(300)]
    assert total == 300 * 8


def test_the_three_run_at_once() -> None:
    # Each waits for the two others, which by turns would be forever.
    meet = threading.Barrier(3)

    def batches() -> Iterator[Batch]:
        yield from _numbers(2)
        meet.wait(60)
        yield _batch(2)

    def compute(batch: Batch) -> Batch:
        if batch.start == 1:
            meet.wait(60)
        return batch

    def write(batch: Batch) -> None:
        if batch.start == 0:
            meet.wait(60)

    stream(batches(), compute, write)


def test_what_is_read_at_once_is_written_while_the_next_is_computed() -> None:
    meet = threading.Barrier(2)

    def compute(batch: Batch) -> Batch:
        if batch.start == 1:
            meet.wait(60)
        return batch

    def write(batch: Batch) -> None:
        if batch.start == 0:
            meet.wait(60)

    # As large as they come: a batch that is being written must not hold the next one up.
    stream(_numbers(3, BATCH_BYTES), compute, write, is_quick=True)


def _fail(*args: object) -> Batch:
    raise ValueError("no more")


@pytest.mark.parametrize("is_quick", [False, True])
@pytest.mark.parametrize("step", ["read", "compute", "write"])
def test_an_error_comes_out_and_reading_has_ended_by_then(step: str, is_quick: bool) -> None:
    ended = threading.Event()

    def batches() -> Iterator[Batch]:
        try:
            for number in count():
                yield _batch(number)
                if step == "read" and number == 3:
                    _fail()
        finally:
            ended.set()

    compute: Callable[[Batch], Batch] = _fail if step == "compute" else _double
    write: Callable[[Batch], object] = _fail if step == "write" else lambda batch: None
    with pytest.raises(ValueError, match="no more"):
        stream(batches(), compute, write, is_quick=is_quick)
    assert ended.is_set()


@pytest.mark.parametrize("is_quick", [False, True])
def test_what_waits_forever_is_not_waited_for(is_quick: bool) -> None:
    closed = threading.Event()

    def batches() -> Iterator[Batch]:
        yield _batch(0)
        closed.wait()

    with pytest.raises(ValueError, match="no more"):
        stream(batches(), _fail, lambda batch: None, may_wait=True, is_quick=is_quick)
    closed.set()


@pytest.mark.parametrize(("num_bytes", "most"), [(8, 12), (BATCH_BYTES, 9), (20 * BATCH_BYTES, 3)])
def test_only_so_much_is_held_at_once(num_bytes: int, most: int) -> None:
    taken = 0

    def batches() -> Iterator[Batch]:
        nonlocal taken
        for batch in _numbers(40, num_bytes):
            taken += 1
            yield batch

    content = []
    stream(batches(), _double, lambda batch: content.append(taken - batch.start))
    assert max(content) <= most


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
