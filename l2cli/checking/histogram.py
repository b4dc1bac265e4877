"""A histogram of norms of fixed size, however many come, with exact ends.

What matters about a norm is how far it is from 1, by which factor. So the bins are bins of
``log(norm)``, and the nearer to 1 the finer: each doubling of ``abs(log(norm))`` has 1,024 of
them, from 2**-54 on. Rounding errors are told apart as well as rows of norm 0.1 and 10.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import Self

    Array = np.ndarray[Any, Any]

_LOWEST_EXPONENT, _HIGHEST_EXPONENT = -54, 10
"""``abs(log(norm))`` of a float64 is 0 for norm 1, else between 2 to the power of these."""

# A bin is found from the bits of the float64 number abs(log(norm)): 11 bits of exponent stand
# before 52 of mantissa. Read as an integer and shifted right, so that 10 bits of the mantissa are
# left, the number says which doubling it is in and which of 1,024 equal parts of that doubling.
# So two integer operations for a row do what would take a search among 131,073 edges.
_BITS = 10
_SHIFT = 52 - _BITS
_FIRST = (1023 + _LOWEST_EXPONENT) << _BITS
"""What 2**-54 gives; 1023 is the bias of float64's exponents."""
_ONE = (_HIGHEST_EXPONENT - _LOWEST_EXPONENT) << _BITS
"""The bin of norm 1: below it those of shorter norms, above it as many of longer ones."""
RESOLUTION = 2.0**-_BITS
"""Width of a bin, as a part of ``abs(log(norm))``."""


class NormHistogram:
    """A histogram of finite norms that are not 0.

    Attributes
    ----------
    num_rows : int
        How many norms were added.
    smallest, largest : float
        The ends; infinite where nothing was added.
    """

    def __init__(self) -> None:
        self.num_rows = 0
        self.smallest, self.largest = math.inf, -math.inf
        self._bins = np.zeros(0, np.int64)

    def add(self, norms: Array) -> None:
        """Add float64 ``norms`` greater than 0, ``(num_rows,)``."""
        if norms.size:
            self._extend(float(norms.min()), float(norms.max()), norms.size)
            np.add.at(self._bins, _bin(norms), 1)

    def __iadd__(self, term: NormHistogram) -> Self:
        if term.num_rows:
            self._extend(term.smallest, term.largest, term.num_rows)
            self._bins += term._bins
        return self

    def __add__(self, term: NormHistogram) -> NormHistogram:
        total = NormHistogram()
        total += self
        total += term
        return total

    @property
    def median(self) -> float:
        """The median of at least one norm; its logarithm is off by 0.1 % at most."""
        position = np.searchsorted(np.cumsum(self._bins), (self.num_rows + 1) // 2)
        with np.errstate(over="ignore"):
            middle = float(np.exp(_logarithms(np.array([position]))[0]))
        return min(max(middle, self.smallest), self.largest)

    @property
    def farthest(self) -> float:
        """The largest ``abs(norm - 1)`` of at least one norm."""
        return max(abs(self.smallest - 1), abs(self.largest - 1))

    def in_bars(self, first: int, last: int, width: float) -> list[int]:
        """Return how many norms are in each bar from ``first`` to ``last``.

        Bar ``k`` reaches from ``(k - 1/2) * width`` to ``(k + 1/2) * width`` in ``log(norm)``.
        """
        bars = np.zeros(last - first + 1, np.int64)
        filled = np.flatnonzero(self._bins)
        bar = np.rint(_logarithms(filled) / width).astype(np.int64)
        np.add.at(bars, np.clip(bar, first, last) - first, self._bins[filled])
        return [int(count) for count in bars]

    def _extend(self, smallest: float, largest: float, num_rows: int) -> None:
        if not self.num_rows:
            self._bins = np.zeros(2 * _ONE + 1, np.int64)
        self.num_rows += num_rows
        self.smallest = min(self.smallest, smallest)
        self.largest = max(self.largest, largest)


def _bin(norms: Array) -> Array:
    logarithms = np.log(norms)
    magnitude = (np.abs(logarithms).view(np.int64) >> _SHIFT) - _FIRST
    bins: Array = _ONE + np.copysign(np.maximum(magnitude, 0), logarithms).astype(np.int64)
    return bins


def _logarithms(bins: Array) -> Array:
    """Return ``log(norm)`` in the middle of each of ``bins``: the way of :func:`_bin` back."""
    magnitude = np.abs(bins - _ONE)
    half = 1 << (_SHIFT - 1)
    middles = (((magnitude + _FIRST) << _SHIFT) + half).view(np.float64)
    logarithms: Array = np.copysign(np.where(magnitude, middles, 0.0), bins - _ONE)
    return logarithms
