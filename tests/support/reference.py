"""What is right: the quotient in wider arithmetic, and how far a result is from it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def true_quotient(rows: Array, epsilon: float = 1e-12) -> Array:
    """Return rows over their norms in 80-bit arithmetic, whose range holds any square."""
    wide = rows.astype(np.float64).astype(np.longdouble)
    sums = (wide * wide).sum(axis=-1, keepdims=True)
    norms = np.sqrt(np.maximum(sums, np.longdouble(epsilon)))
    quotient: Array = wide / np.where(norms > 0, norms, 1)
    return quotient


def worst_ulp(result: Array, rows: Array, epsilon: float = 1e-12, negligible: float = 0.0) -> float:
    """Return the largest error in units of the last place of the result's dtype.

    Errors of at most ``negligible`` don't count.
    """
    truth = true_quotient(rows, epsilon)
    info: Any = ml_dtypes.finfo(result.dtype)
    exponent = np.frexp(truth)[1] - 1
    exponent = np.maximum(exponent, int(np.frexp(np.longdouble(info.smallest_normal))[1]) - 1)
    ulp = np.ldexp(np.longdouble(1), exponent - info.nmant)
    error = np.abs(result.astype(np.float64).astype(np.longdouble) - truth)
    return float(np.where(error <= negligible, 0, error / ulp).max())


def rows_of_all_sizes(dtype: Any, num_rows: int, dim: int, seed: int = 0) -> Array:
    """Return finite random rows from the smallest subnormal to the largest number of a dtype.

    A third have components of any size; a third are of one size each; a third are subnormal.
    """
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    info: Any = ml_dtypes.finfo(dtype)
    bits = rng.integers(0, 256, (num_rows, dim, dtype.itemsize), dtype=np.uint8)
    rows = bits.view(dtype)[..., 0]
    third = num_rows // 3
    low = int(np.log2(np.float64(info.smallest_normal)))
    high = int(np.floor(np.log2(np.float64(info.max))))
    scales = rng.integers(low, high, (third, 1))
    rows[:third] = np.ldexp(rng.uniform(-1, 1, (third, dim)), scales).astype(dtype)
    small = rng.uniform(-1, 1, (third, dim)) * np.float64(info.smallest_normal)
    rows[third : 2 * third] = small.astype(dtype)
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(rows.astype(np.float64))
    return np.where(finite, rows, np.ones((), dtype))
