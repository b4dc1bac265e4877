"""The Statistics of floating-point values: made, and merged, for column chunks and pages.

NaN and null have no part in the bounds. A bound of zero is -0.0 where it is the least and 0.0
where it is the greatest, as the format wants it.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.formats.parquet.thrift import BINARY, FALSE, I64, TRUE, Struct

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

_MAX, _MIN, _NULL_COUNT, _MAX_VALUE, _MIN_VALUE, _MAX_EXACT, _MIN_EXACT = 1, 2, 3, 5, 6, 7, 8
_FLOAT_FORMATS = {2: "<e", 4: "<f", 8: "<d"}


def statistics_of(numbers: Array) -> Struct:
    """Return the Statistics of values of which none is null."""
    bounds = _bounds(numbers)
    if bounds is None:
        return {_NULL_COUNT: (I64, 0)}
    least, greatest = ((BINARY, bound) for bound in bounds)
    return {
        _MAX: greatest,
        _MIN: least,
        _NULL_COUNT: (I64, 0),
        _MAX_VALUE: greatest,
        _MIN_VALUE: least,
        _MAX_EXACT: (TRUE, True),
        _MIN_EXACT: (TRUE, True),
    }


def merged_statistics(first: Struct, second: Struct) -> Struct:
    """Return the Statistics of the values of both."""
    both = first, second
    merged: Struct = {}
    choices: tuple[tuple[int, Callable[..., bytes]], ...] = (
        *((_MAX, max), (_MIN, min)),
        *((_MAX_VALUE, max), (_MIN_VALUE, min)),
    )
    for field_id, choose in choices:
        bounds = [part[field_id][1] for part in both if field_id in part]
        if bounds:
            merged[field_id] = BINARY, choose(bounds, key=order_of)
    if all(_NULL_COUNT in part for part in both):
        merged[_NULL_COUNT] = I64, sum(part[_NULL_COUNT][1] for part in both)
    for field_id, bound in ((_MAX_EXACT, _MAX_VALUE), (_MIN_EXACT, _MIN_VALUE)):
        if bound in merged and any(field_id in part for part in both):
            exact = all(part.get(field_id, (0, bound not in part))[1] for part in both)
            merged[field_id] = (TRUE, True) if exact else (FALSE, False)
    return dict(sorted(merged.items()))


def bounds_of(statistics: Struct) -> tuple[bytes, bytes] | None:
    """Return the least and the greatest number of Statistics, encoded, where they have them."""
    if _MIN_VALUE not in statistics:
        return None
    return statistics[_MIN_VALUE][1], statistics[_MAX_VALUE][1]


def order_of(bound: bytes) -> tuple[float, float]:
    """Order encoded floats; -0.0 comes before 0.0."""
    (number,) = struct.unpack(_FLOAT_FORMATS[len(bound)], bound)
    return number, math.copysign(1.0, number)


def _bounds(numbers: Array) -> tuple[bytes, bytes] | None:
    """Return the least and the greatest number, encoded; ``None`` where all are NaN.

    The bits of floats of one sign are in the order of their magnitudes, so the bounds are found
    among integers: NumPy is two hundred times slower with float16.
    """
    size = numbers.itemsize
    sign = 1 << 8 * size - 1
    infinity = int(np.array(np.inf, numbers.dtype).view(f"u{size}"))
    bits = numbers.view(f"u{size}")
    greatest, least = int(numbers.view(f"i{size}").max()), int(bits.max())
    if greatest > infinity or least > sign | infinity:
        ordinary = numbers[~np.isnan(numbers)]
        return _bounds(ordinary) if ordinary.size else None
    if greatest < 0:  # all are negative
        greatest = int(bits.min())
    if least < sign:  # none is
        least = int(bits.min())
    greatest, least = greatest if greatest != sign else 0, least or sign
    return least.to_bytes(size, "little"), greatest.to_bytes(size, "little")
