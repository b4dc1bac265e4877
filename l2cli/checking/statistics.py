"""Statistics of norms: how many rows are unit, which are not, and how the norms are distributed.

The check of an array fills them batch by batch; the statistics of several arrays add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.checking.bars import bars_of
from l2cli.checking.histogram import NormHistogram
from l2cli.checking.result import NonUnitRow, NormRange, NormSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

NUM_NAMED_ROWS = 5
"""How many rows that are not unit are named."""


class NormStatistics:
    """Statistics of the norms of some rows.

    Parameters
    ----------
    allow_zero : bool
        Whether zero rows and null rows may be there, and don't count as not unit.

    Attributes
    ----------
    non_unit_rows : list of NonUnitRow
        The first few rows that are not unit.
    """

    def __init__(self, *, allow_zero: bool) -> None:
        self.non_unit_rows: list[NonUnitRow] = []
        self._allow_zero = allow_zero
        self._unit, self._not_unit = NormHistogram(), NormHistogram()
        self._before = NormHistogram()
        self._zero = self._nonfinite = self._null = self._num_non_unit = 0
        self._largest_angle: float | None = None

    def add(
        self,
        norms: Array,
        tolerance: float,
        row_number: Callable[[int], int],
        angles: Array | None = None,
    ) -> None:
        """Count ``norms``, NaN for those of non-finite rows.

        Parameters
        ----------
        tolerance : float
            How far from 1 the norm of a unit row may be, and how large an angle, in radians.
        row_number : callable
            From an index along axis 0 of ``norms`` to what messages name.
        angles : ndarray or None
            Those between the vectors and what they were made of, of the shape of ``norms``.
        """
        unit = np.abs(norms - 1) <= tolerance
        is_rotated = np.zeros(norms.shape, bool) if angles is None else angles > tolerance
        if angles is not None and angles.size:
            self._largest_angle = max(self._largest_angle or 0.0, float(angles.max()))
        self._unit.add(norms[unit])
        if unit.all() and not is_rotated.any():
            return
        zero, nonfinite = norms == 0, np.isnan(norms)
        self._not_unit.add(norms[~(unit | zero | nonfinite)])
        self._zero += int(zero.sum())
        self._nonfinite += int(nonfinite.sum())
        non_unit = is_rotated | ~(unit | zero if self._allow_zero else unit)
        self._num_non_unit += int(non_unit.sum())
        for index in np.argwhere(non_unit)[: NUM_NAMED_ROWS - len(self.non_unit_rows)]:
            indexes = tuple(map(int, index))
            position = (row_number(indexes[0]), *indexes[1:]) if indexes else ()
            angle = 0.0 if angles is None else float(angles[indexes])
            row = _non_unit_row(position, float(norms[indexes]), angle, tolerance)
            self.non_unit_rows.append(row)

    def add_before(self, norms: Array) -> None:
        """Add the norms of what the rows were made of."""
        self._before.add(norms[norms > 0])

    def add_null(self, num_null: int, first: int | None) -> None:
        """Count null rows.

        Parameters
        ----------
        first : int or None
            The row number of the first.
        """
        self._null += num_null
        if not self._allow_zero:
            self._num_non_unit += num_null
            if first is not None and len(self.non_unit_rows) < NUM_NAMED_ROWS:
                self.non_unit_rows.append(NonUnitRow((first,), "null"))

    def __iadd__(self, term: NormStatistics) -> NormStatistics:
        self._unit += term._unit
        self._not_unit += term._not_unit
        self._before += term._before
        self._zero += term._zero
        self._nonfinite += term._nonfinite
        self._null += term._null
        self._num_non_unit += term._num_non_unit
        if term._largest_angle is not None:
            self._largest_angle = max(self._largest_angle or 0.0, term._largest_angle)
        return self

    def summary(self) -> NormSummary:
        """Return what was counted so far."""
        both = self._unit + self._not_unit
        return NormSummary(
            both.num_rows + self._zero + self._nonfinite,
            self._unit.num_rows,
            self._zero,
            self._nonfinite,
            self._null,
            self._num_non_unit,
            _norm_range(both),
            bars_of(self._unit, self._not_unit, self._before),
            _norm_range(self._before),
            self._largest_angle,
            self._allow_zero,
        )


def _non_unit_row(
    position: tuple[int, ...], norm: float, angle: float, tolerance: float
) -> NonUnitRow:
    if np.isnan(norm):
        return NonUnitRow(position, "non-finite")
    excess = angle if angle > tolerance else None
    if norm == 0:
        return NonUnitRow(position, "zero", angle=excess)
    category = "not unit" if abs(norm - 1) > tolerance else "turned"
    return NonUnitRow(position, category, norm, excess)


def _norm_range(histogram: NormHistogram) -> NormRange | None:
    if not histogram.num_rows:
        return None
    return NormRange(histogram.smallest, histogram.median, histogram.largest, histogram.farthest)
