"""Norms and quotients of the few rows for which the graph is not exact, in NumPy on the host.

XLA on CPU reads and writes subnormal numbers as zero, and float64 squares leave float64's
range. Here each row is first scaled by a power of two, which is exact, so that its largest
component lies in [0.5, 1): nothing overflows then, and what underflows doesn't matter. Used by
:mod:`l2cli.engine.vectors` and :mod:`l2cli.engine.fallback`; it knows only float64 matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.graph.summation import add_compensated, compensated_tree_sum, tree_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Norms:
    """Euclidean norms beyond float64's range: ``mantissa * 2 ** exponent``, ``(num_rows,)``.

    A non-finite mantissa stands for a row with a NaN or an Inf, a mantissa of 0 for a zero row.
    """

    mantissa: Array
    exponent: Array

    @property
    def finite(self) -> Array:
        """Whether every component of the row is finite."""
        return np.isfinite(self.mantissa)

    @property
    def zero(self) -> Array:
        """Whether every component of the row is 0."""
        return np.equal(self.mantissa, 0)

    @property
    def value(self) -> Array:
        """The norms as float64: NaN for non-finite rows, and no more than its largest number."""
        with np.errstate(over="ignore", under="ignore"):
            values = np.ldexp(self.mantissa, self.exponent)
        return np.where(self.finite, np.minimum(values, np.finfo(np.float64).max), np.nan)

    def below(self, epsilon: float) -> Array:
        """Whether the row isn't zero, and its sum of squares is less than ``epsilon``."""
        with np.errstate(over="ignore", under="ignore"):
            return ~self.zero & (np.ldexp(self.mantissa, self.exponent) < math.sqrt(epsilon))


def widen(rows: Array) -> Array:
    """Return ``rows`` in float64, which changes no finite number of a narrower dtype."""
    with np.errstate(invalid="ignore"):  # A signalling NaN is counted like any other.
        return rows.astype(np.float64)


def norms(rows: Array) -> Norms:
    """Return the norms of float64 ``rows``, ``(num_rows, dim)``."""
    exponent = _exponents(np.abs(rows).max(axis=1))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        sums = tree_sum(_scaled(rows, exponent) ** 2, 1)[:, 0]
    return Norms(np.sqrt(sums), exponent)


def norms_in_passes(num_rows: int, read: Callable[[], Iterable[Array]]) -> Norms:
    """Return the norms of rows that come in pieces, in two passes: a scale, then the sum.

    Parameters
    ----------
    num_rows : int
        How many rows there are, 1 or more.
    read : callable
        Starts a pass over the pieces, ``(num_rows, piece_dim)`` each.
    """
    peaks = np.zeros(num_rows)
    for piece in read():
        peaks = np.maximum(peaks, np.abs(widen(piece)).max(axis=1))
    exponent = _exponents(peaks)
    total = (np.zeros((num_rows, 1)), np.zeros((num_rows, 1)))
    for piece in read():
        scaled = _scaled(widen(piece), exponent)
        with np.errstate(all="ignore"):
            total = add_compensated(total, compensated_tree_sum(scaled**2, 1))
    with np.errstate(invalid="ignore"):
        return Norms(np.sqrt(total[0] + total[1])[:, 0], exponent)


def divide(rows: Array, by: Norms, epsilon: float) -> Array:
    """Return float64 ``rows``, each over its norm, or over ``sqrt(epsilon)`` where that is more.

    Zero rows come back as they are; the result has no meaning for non-finite rows.
    """
    mantissa = np.where(by.zero, 1.0, by.mantissa)
    with np.errstate(all="ignore"):
        quotients: Array = _scaled(rows, by.exponent) / mantissa[:, np.newaxis]
    floored = by.below(epsilon)
    if floored.any():
        quotients[floored] = rows[floored] / math.sqrt(epsilon)
    return quotients


def _exponents(peaks: Array) -> Array:
    """Return the powers of two that scale the largest magnitudes ``peaks`` to [0.5, 1)."""
    return np.frexp(np.where(np.isfinite(peaks), peaks, 0.0))[1]


def _scaled(rows: Array, exponent: Array) -> Array:
    """Return ``rows / 2 ** exponent``, a row each."""
    with np.errstate(under="ignore"):
        return np.ldexp(rows, -exponent[:, np.newaxis])
