"""Sums whose bits depend on nothing but the numbers summed.

A compiler may split a *reduction* over lanes and threads as it likes, and XLA does: the bits
of ``sum(x)`` then change with the batch, the backend and the machine. It may not reorder
additions that are written out one by one. So the order is written out here, as a tree of
slices and ``+``. The two functions use nothing else, and serve NumPy arrays and the tensors
of every Keras backend alike.
"""

from __future__ import annotations

from typing import Any


def tree_sum(terms: Any, axis: int) -> Any:
    """Sum ``terms`` along one axis by halves, keeping the axis with length 1.

    The rounding error is at most ``2 * log2(n)`` units in the last place, where a running
    sum's grows with ``n`` (Higham, *Accuracy and Stability of Numerical Algorithms*, 4.2).

    Parameters
    ----------
    terms : object
        An array or tensor of a floating dtype whose length along ``axis`` is known and
        at least 1.
    axis : int
        The axis to sum along, 0 or more.
    """
    dropped = []
    while terms.shape[axis] > 1:  # Without :=, which TensorFlow's AutoGraph warns of.
        length = terms.shape[axis]
        half = length // 2
        if length % 2:
            dropped.append(_cut(terms, axis, length - 1, length))
        terms = _cut(terms, axis, 0, half) + _cut(terms, axis, half, 2 * half)
    for leftover in reversed(dropped):
        terms = terms + leftover
    return terms


def compensated_tree_sum(terms: Any, axis: int) -> tuple[Any, Any]:
    """Sum ``terms`` along one axis by halves, and return the sum and what rounding took.

    The pair holds about 106 bits, so that partial sums can be added up in any grouping and
    still round to the same float64.
    """
    dropped = []
    errors = terms * 0.0
    while terms.shape[axis] > 1:
        length = terms.shape[axis]
        half = length // 2
        if length % 2:
            last = (length - 1, length)
            dropped.append((_cut(terms, axis, *last), _cut(errors, axis, *last)))
        terms, errors = add_compensated(
            (_cut(terms, axis, 0, half), _cut(errors, axis, 0, half)),
            (_cut(terms, axis, half, 2 * half), _cut(errors, axis, half, 2 * half)),
        )
    for leftover in reversed(dropped):
        terms, errors = add_compensated((terms, errors), leftover)
    return terms, errors


def add_compensated(left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
    """Add two (sum, error) pairs; the first addition is Knuth's error-free TwoSum."""
    total = left[0] + right[0]
    shadow = total - left[0]
    error = (left[0] - (total - shadow)) + (right[0] - shadow)
    return total, error + (left[1] + right[1])


def _cut(terms: Any, axis: int, start: int, stop: int) -> Any:
    return terms[(slice(None),) * axis + (slice(start, stop),)]
