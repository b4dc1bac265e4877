"""For how many rows graphs are made: few numbers, so that few have to be compiled."""

from __future__ import annotations

import numpy as np

from l2cli.arrays import BATCH_BYTES, ArraySpec
from l2cli.engine.backend import LazyBackend
from l2cli.engine.vectors import Vectors
from l2cli.options import NormalizeOptions

ROWS = np.empty((3000, 768), "f4")
FULL = BATCH_BYTES // ROWS[0].nbytes


def _capacity(num_rows: int, num_rows_of_array: int | None) -> int:
    array = ArraySpec("", (num_rows_of_array, 768), "float32")
    vectors = Vectors(array, array, NormalizeOptions(), LazyBackend())
    return vectors._capacity(ROWS[:num_rows])


def test_arrays_of_any_length_share_few_graphs() -> None:
    capacities = [_capacity(num_rows, num_rows) for num_rows in range(1, FULL + 1)]
    assert sorted(set(capacities)) == [1, 4, 16, 64, 128, 256, 512, FULL]
    assert all(capacity >= num_rows for num_rows, capacity in enumerate(capacities, 1))
    assert capacities == [_capacity(num_rows, None) for num_rows in range(1, FULL + 1)]


def test_batches_that_a_reader_makes_large_are_not_padded() -> None:
    for num_rows in (FULL - 100, FULL, FULL + 100, 2500):
        assert _capacity(num_rows, 10_000) == num_rows
    assert _capacity(2500, 2500) == 2500
