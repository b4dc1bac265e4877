"""Counting rows by whether they are unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.checking.distribution import Distribution
from l2cli.checking.histogram import make_picture
from l2cli.checking.result import Figures, Offender, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

NUM_OFFENDERS = 5
"""How many rows that are not unit are named."""


class Tally:
    """Counts the norms of some rows.

    Parameters
    ----------
    allow_zero
        Whether zero rows and null rows are none of the offenders.

    Attributes
    ----------
    offenders
        The first of them.
    """

    def __init__(self, *, allow_zero: bool) -> None:
        self.offenders: list[Offender] = []
        self._allow_zero = allow_zero
        self._unit, self._other, self._before = Distribution(), Distribution(), Distribution()
        self._zero = self._nonfinite = self._null = self._offending = 0
        self._largest_turn: float | None = None

    def add(
        self,
        norms: Array,
        tolerance: float,
        row_number: Callable[[int], int],
        turns: Array | None = None,
    ) -> None:
        """Count ``norms``, NaN for those of non-finite rows.

        Parameters
        ----------
        tolerance
            How far from 1 the norm of a unit row may be, and how large a turn, in radians.
        row_number
            From an index along axis 0 of ``norms`` to what messages name.
        turns
            The angles between the vectors and what they were made of, of the shape of ``norms``.
        """
        unit = np.abs(norms - 1) <= tolerance
        turned = np.zeros(norms.shape, bool) if turns is None else turns > tolerance
        if turns is not None and turns.size:
            self._largest_turn = max(self._largest_turn or 0.0, float(turns.max()))
        self._unit.add(norms[unit])
        if unit.all() and not turned.any():
            return
        zero, nonfinite = norms == 0, np.isnan(norms)
        self._other.add(norms[~(unit | zero | nonfinite)])
        self._zero += int(zero.sum())
        self._nonfinite += int(nonfinite.sum())
        offending = turned | ~(unit | zero if self._allow_zero else unit)
        self._offending += int(offending.sum())
        for index in np.argwhere(offending)[: NUM_OFFENDERS - len(self.offenders)]:
            position = tuple(int(each) for each in index)
            place = (row_number(position[0]), *position[1:]) if position else ()
            turn = None if turns is None or not turned[position] else float(turns[position])
            self.offenders.append(_offender(place, float(norms[position]), tolerance, turn))

    def add_before(self, norms: Array) -> None:
        """Take in the norms of what the rows were made of."""
        self._before.add(norms[norms > 0])

    def add_null(self, num_null: int, first: int | None) -> None:
        """Count null rows.

        Parameters
        ----------
        first
            The row number of the first.
        """
        self._null += num_null
        if not self._allow_zero:
            self._offending += num_null
            if first is not None and len(self.offenders) < NUM_OFFENDERS:
                self.offenders.append(Offender((first,), "null"))

    def __iadd__(self, other: Tally) -> Tally:
        self._unit += other._unit
        self._other += other._other
        self._before += other._before
        self._zero += other._zero
        self._nonfinite += other._nonfinite
        self._null += other._null
        self._offending += other._offending
        if other._largest_turn is not None:
            self._largest_turn = max(self._largest_turn or 0.0, other._largest_turn)
        return self

    def figures(self) -> Figures:
        """Return what was found so far."""
        both = self._unit + self._other
        return Figures(
            both.num_rows + self._zero + self._nonfinite,
            self._unit.num_rows,
            self._zero,
            self._nonfinite,
            self._null,
            self._offending,
            _span(both),
            make_picture(self._unit, self._other, self._before),
            _span(self._before),
            self._largest_turn,
            self._allow_zero,
        )


def _offender(
    place: tuple[int, ...], norm: float, tolerance: float, turn: float | None
) -> Offender:
    if np.isnan(norm):
        return Offender(place, "non-finite")
    if norm == 0:
        return Offender(place, "zero", turn=turn)
    kind = "not unit" if abs(norm - 1) > tolerance else "turned"
    return Offender(place, kind, norm, turn)


def _span(found: Distribution) -> Span | None:
    if not found.num_rows:
        return None
    return Span(found.smallest, found.median, found.largest, found.farthest)
