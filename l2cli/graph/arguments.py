"""The arguments of layers, models and exports, checked as Keras checks a layer's.

They raise ``TypeError`` and ``ValueError``, which a caller of Keras expects; what is valid is
decided in :mod:`l2cli.options`, for files and graphs alike. No backend is imported here.
"""

from __future__ import annotations

import operator

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.options.fields import counted_axes, epsilon_problem, is_integer

Axis = int | tuple[int, ...] | list[int]


def checked_axis(axis: Axis) -> int | tuple[int, ...]:
    """Return ``axis``, an integer or a tuple of integers.

    Raises
    ------
    TypeError
        If it is neither, nor a list of integers.
    ValueError
        If it is empty.
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
    """Return ``epsilon``; raise ``ValueError`` if it is not a finite number of at least 0."""
    if problem := epsilon_problem(epsilon):
        raise ValueError(problem)
    return float(epsilon)


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """Return ``axis`` for an input of ``rank``: counted from 0, sorted.

    Raises
    ------
    ValueError
        If the input has no such axis, or one is named twice.
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    return counted_axes(axes, rank, "the input")


def check_arguments(
    shape: tuple[int | None, ...], axis: Axis, epsilon: float, dtype: str | None
) -> None:
    """Refuse arguments that no model can be made of.

    Parameters
    ----------
    shape : tuple of int or None
        Of one input, without the batch axis; ``None`` for a length that differs.
    axis : int or tuple of int
        Counted with the batch axis, which can't be among them.
    epsilon : float
        Lower bound on the sum of squares.
    dtype : str, optional
        Of the input; ``None`` for Keras's default.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another type or out of range.
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
