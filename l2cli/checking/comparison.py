"""The rows of two sources side by side, and the angles between them.

``check(against=…)`` compares rows with what became of them. Nothing is counted here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.engine import exact
from l2cli.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from l2cli.arrays import Batch

    Array = np.ndarray[Any, Any]


def side_by_side(before: Iterable[Batch], after: Iterable[Batch]) -> Iterator[tuple[Batch, Batch]]:
    """Yield batches of the same rows of two arrays, however either is cut.

    Raises
    ------
    SourceError
        Where a row, or a component of one, has none to compare with.
    """
    left, right = _Cutter(before), _Cutter(after)
    while left.has_rows() and right.has_rows():
        num_rows = min(left.num_rows, right.num_rows)
        pair = left.cut(num_rows), right.cut(num_rows)
        _compare_positions(*pair)
        yield pair
    if left.has_rows() or right.has_rows():
        longer, row = ("more", left.next_row) if left.num_rows else ("fewer", right.next_row)
        raise SourceError(f"there were {longer} rows before: row {row} is in one source only")


def angles(before: Array, after: Array) -> Array:
    """Return the angles between the rows of two arrays, in radians, ``(num_rows,)``.

    They are good to about 1e-15 however small they are: the chord and its complement give
    them, as in W. Kahan, *How Futile are Mindless Assessments of Roundoff*, not the cosine.
    Where one of the two is zero and the other isn't, the angle is pi, the largest there is. It is
    0 where the row before was not finite, and where both are zero: they had no direction to lose.

    Parameters
    ----------
    before, after : ndarray
        ``(num_rows, dim)``, of any floating dtypes.
    """
    if not before.size:
        return np.zeros(len(before))
    (first, norms), (second, new_norms) = _directions(before), _directions(after)
    with np.errstate(invalid="ignore"):
        between = 2 * np.arctan2(_lengths(first - second), _lengths(first + second))
    alike = ~norms.finite | (norms.zero & new_norms.zero)
    lost = ~new_norms.finite | (norms.zero != new_norms.zero)
    result: Array = np.select([alike, lost], [0.0, np.pi], between)
    return result


def _directions(rows: Array) -> tuple[Array, exact.Norms]:
    wide = exact.widen(rows)
    norms = exact.norms(wide)
    return exact.divide(wide, norms, 0.0), norms


def _lengths(rows: Array) -> Array:
    lengths: Array = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths


def _compare_positions(before: Batch, after: Batch) -> None:
    numbers, new_numbers = _row_numbers(before), _row_numbers(after)
    if not np.array_equal(numbers, new_numbers):
        row = min(set(numbers.tolist()) ^ set(new_numbers.tolist()))
        raise SourceError(f"row {row} is null in one of the two sources only")
    if before.rows.shape != after.rows.shape:
        shapes = [" × ".join(map(str, rows.shape[1:])) for rows in (before.rows, after.rows)]
        raise SourceError(
            f"row {numbers[0]} had {shapes[0]} components before and has {shapes[1]} now; "
            "there are no directions to compare"
        )


def _row_numbers(batch: Batch) -> Array:
    if batch.row_numbers is not None:
        return batch.row_numbers
    return np.arange(batch.start, batch.start + len(batch.rows))


class _Cutter:
    """Cuts rows off the front of some batches."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self._batch: Batch | None = None
        self._start = 0

    @property
    def num_rows(self) -> int:
        """How many rows are left of the batch at hand."""
        return 0 if self._batch is None else len(self._batch.rows) - self._start

    @property
    def next_row(self) -> int:
        """The row number of the next row."""
        return 0 if self._batch is None else self._batch.row_number(self._start)

    def has_rows(self) -> bool:
        """Whether there are rows left, in this batch or in another."""
        while not self.num_rows:
            self._batch, self._start = next(self._batches, None), 0
            if self._batch is None:
                return False
        return True

    def cut(self, num_rows: int) -> Batch:
        """Return the next rows of the batch at hand."""
        assert self._batch is not None
        batch, start = self._batch, self._start
        self._start = stop = start + num_rows
        return replace(
            batch,
            rows=batch.rows[start:stop],
            start=batch.start + start,
            row_numbers=None if batch.row_numbers is None else batch.row_numbers[start:stop],
        )
