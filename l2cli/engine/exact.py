"""Normalization of the few rows that XLA can't be trusted with, in NumPy on the host.

XLA on CPU reads and writes subnormal numbers as zero, and float64 squares leave float64's
range. Here each row is first scaled by a power of two, which is exact, so that its largest
component lies in [0.5, 1): nothing overflows then, and what underflows doesn't matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2cli.graph.summation import tree_sum

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
    with np.errstate(invalid="ignore"):  # A signalling NaN is no news: it is counted.
        return rows.astype(np.float64)


def norms(rows: Array) -> Norms:
    """Return the norms of float64 ``rows``, ``(num_rows, dim)``."""
    exponent = exponents(np.abs(rows).max(axis=1))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        sums = tree_sum(scaled(rows, exponent) ** 2, 1)[:, 0]
    return Norms(np.sqrt(sums), exponent)


def exponents(peaks: Array) -> Array:
    """Return the powers of two that scale the largest magnitudes ``peaks`` to [0.5, 1)."""
    return np.frexp(np.where(np.isfinite(peaks), peaks, 0.0))[1]


def scaled(rows: Array, exponent: Array) -> Array:
    """Return ``rows / 2 ** exponent``, a row each."""
    with np.errstate(under="ignore"):
        return np.ldexp(rows, -exponent[:, np.newaxis])


def divide(rows: Array, by: Norms, epsilon: float) -> Array:
    """Return float64 ``rows`` over their norms, the floor of ``sqrt(epsilon)`` respected.

    Zero rows come back as they are; what non-finite rows come back as has no meaning.
    """
    mantissa = np.where(by.zero, 1.0, by.mantissa)
    with np.errstate(all="ignore"):
        quotients: Array = scaled(rows, by.exponent) / mantissa[:, np.newaxis]
    floored = by.below(epsilon)
    if floored.any():
        quotients[floored] = rows[floored] / math.sqrt(epsilon)
    return quotients
