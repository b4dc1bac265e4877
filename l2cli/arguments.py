"""The arguments of the formula, checked as Keras checks a layer's."""

from __future__ import annotations

import math
import operator
from numbers import Integral, Real

from l2cli.dtypes import FLOAT_DTYPES

Axis = int | tuple[int, ...] | list[int]


def is_integer(value: object) -> bool:
    """Whether ``value`` is an integer of Python's or NumPy's, and no boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether ``value`` is a finite real number of Python's or NumPy's, and no boolean."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def checked_axis(axis: Axis) -> int | tuple[int, ...]:
    """Return ``axis``, an integer or a tuple of integers.

    Raises
    ------
    TypeError
        Where it is neither, nor a list of integers.
    ValueError
        Where it is empty.
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    if not all(map(is_integer, axes)):
        raise TypeError(
            "Invalid value for `axis` argument: expected an int or a list/tuple of ints. "
            f"Received: axis={axis}"
        )
    if not axes:
        raise ValueError("`axis` is empty, expected at least one axis")
    axes = tuple(operator.index(index) for index in axes)
    return axes if isinstance(axis, (list, tuple)) else axes[0]


def checked_epsilon(epsilon: float) -> float:
    """Return ``epsilon``; raise ``ValueError`` where it is no number, negative or not finite."""
    if not is_finite(epsilon) or epsilon < 0:
        raise ValueError(f"`epsilon` is {epsilon}, expected a finite number, 0 or more")
    return float(epsilon)


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """Return ``axis`` for an input of ``rank``: counted from 0, sorted.

    Raises
    ------
    ValueError
        Where the input has no such axis, or one is named twice.
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    for index in axes:
        if not -rank <= index < rank:
            raise ValueError(
                f"`axis` is {axis}, but the input has rank {rank}; expected {-rank} to {rank - 1}"
            )
    counted = sorted({index % rank for index in axes})
    if len(counted) < len(axes):
        raise ValueError(f"`axis` is {axis}, which names one axis of the input twice")
    return tuple(counted)


def check_arguments(
    shape: tuple[int | None, ...], axis: Axis, epsilon: float, dtype: str | None
) -> None:
    """Raise ``ValueError`` or ``TypeError`` where a model can't be made of the arguments.

    Parameters
    ----------
    shape
        Of one input, without the batch axis; ``None`` for a length that differs.
    axis
        Counted with the batch axis, which can't be among them.
    dtype
        Of the input; ``None`` for Keras's default.
    """
    if not isinstance(shape, (list, tuple)):
        raise TypeError(f"`shape` is {shape}, expected a tuple, such as (768,)")
    checked_epsilon(epsilon)
    if dtype is not None and not (isinstance(dtype, str) and dtype in FLOAT_DTYPES):
        raise ValueError(f"`dtype` is {dtype}, expected {', '.join(FLOAT_DTYPES)}")
    if 0 in axes_of(checked_axis(axis), len(shape) + 1):
        raise ValueError(
            f"`axis` is {axis}, and axis 0 is the batch; expected axes of one input, "
            f"1 to {len(shape)} or {-len(shape)} to -1"
        )
