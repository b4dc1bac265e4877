"""L2 normalization as Keras sees it: the function and the layers.

Written in ``keras.ops``, so the same code runs on JAX and on TensorFlow. The formula is
``y = x / sqrt(max(sum(x ** 2), epsilon))``, that of ``tf.math.l2_normalize`` and
``K.l2_normalize``; the squares are summed in float64 and in a fixed order
(:mod:`l2cli.summation`), which makes the result the same to the last bit on every backend.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from l2cli.summation import compensated_tree_sum, tree_sum

_HALF_DTYPES = frozenset({"float16", "bfloat16"})
_LARGEST_FLOAT32_EPSILON = 2.0**240
"""Up to this lower bound on the sum, a scale is a normal float32 number."""
_LARGEST_FLOAT64 = 1.7976931348623157e308


def sum_of_squares(x: Any, axis: int | tuple[int, ...] = -1) -> Any:
    """Return the float64 sum of squares of ``x`` along ``axis``, whose length becomes 1.

    The square of a float16, bfloat16 or float32 number is exact in float64.
    """
    terms = _squares(x)
    for index in _axes(axis, len(x.shape)):
        terms = tree_sum(terms, index)
    return terms


def l2_normalize(
    x: Any,
    axis: int | tuple[int, ...] = -1,
    epsilon: float = 1e-12,
    *,
    sums: Any = None,
    dtype: str | None = None,
) -> Any:
    """Scale ``x`` to Euclidean norm 1 along ``axis``.

    Parameters
    ----------
    x
        A floating tensor of any rank.
    axis
        The axis, or several, that one vector lies along.
    epsilon
        Lower bound on the sum of squares.
    sums
        The sums of squares along ``axis``, kept with length 1, where they are known already.
    dtype
        The result's dtype; ``None`` keeps that of ``x``.
    """
    source = keras.backend.standardize_dtype(x.dtype)
    dtype = dtype or source
    if sums is None:
        sums = sum_of_squares(x, axis)
    # Not sqrt(maximum(...)): XLA rewrites 1 / sqrt(a) to rsqrt(a), which it approximates.
    norm = ops.maximum(ops.sqrt(sums), math.sqrt(epsilon))
    scale = 1.0 / ops.where(norm > 0.0, norm, 1.0)
    # Where both ends have 11 bits or fewer, a product of 24 bits costs less and rounds as well.
    is_narrow = {source, dtype} <= _HALF_DTYPES and epsilon <= _LARGEST_FLOAT32_EPSILON
    rows = ops.cast(x, "float32") if is_narrow else _widen(x)
    scaled = rows * ops.cast(scale, rows.dtype)
    if dtype in _HALF_DTYPES:
        scaled = ops.cast(scaled, "float32")
    return ops.cast(scaled, dtype)


@keras.saving.register_keras_serializable(package="l2cli")
class SumOfSquares(keras.layers.Layer):  # type: ignore[misc]
    """Sums of squares along one or several axes, in float64.

    Args:
        axis: Integer or tuple of integers. The axes to sum along; they keep length 1.
        compensated: Boolean. Whether to return the sums' rounding errors as a second
            tensor, so that the sums of several batches can be added without loss.
    """

    def __init__(
        self, axis: int | tuple[int, ...] = -1, compensated: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.axis = axis
        self.compensated = compensated

    def call(self, inputs: Any) -> Any:
        if not self.compensated:
            return sum_of_squares(inputs, self.axis)
        # The axes inside a row first: what crosses batches is summed along axis 0 alone.
        *inner, outer = sorted(_axes(self.axis, len(inputs.shape)), reverse=True)
        terms = _squares(inputs)
        for index in inner:
            terms = tree_sum(terms, index)
        return compensated_tree_sum(terms, outer)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "compensated": self.compensated}


@keras.saving.register_keras_serializable(package="l2cli")
class L2Normalization(keras.layers.Layer):  # type: ignore[misc]
    """Scales its input to Euclidean norm 1 along one or several axes.

    Each vector is divided by ``sqrt(max(sum(x ** 2), epsilon))``. A zero vector stays zero.
    The input's dtype is kept, float16 and float64 included, whatever the dtype policy.

    Example:

    >>> import numpy as np
    >>> L2Normalization()(np.array([[3.0, 4.0]], "float32"))
    array([[0.6, 0.8]], dtype=float32)

    Args:
        axis: Integer or tuple of integers. The axes that one vector lies along.
            Defaults to the last.
        epsilon: Float. Lower bound on the sum of squares. Defaults to 1e-12.
        output_dtype: String. The result's dtype. Defaults to the input's.
    """

    def __init__(
        self,
        axis: int | tuple[int, ...] = -1,
        epsilon: float = 1e-12,
        output_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.axis = axis
        self.epsilon = epsilon
        self.output_dtype = output_dtype

    def call(self, inputs: Any, sums: Any = None) -> Any:
        return l2_normalize(inputs, self.axis, self.epsilon, sums=sums, dtype=self.output_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "output_dtype": self.output_dtype,
        }


def _axes(axis: int | tuple[int, ...] | list[int], rank: int) -> tuple[int, ...]:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return tuple(index % rank for index in axes)


def _squares(x: Any) -> Any:
    squares = ops.square(_widen(x))
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        # These are rounded. Compilers fuse a rounded square with the addition that follows, here
        # and not there, which changes bits; they can't reach through a minimum.
        squares = ops.minimum(squares, _LARGEST_FLOAT64)
    return squares


def _widen(x: Any) -> Any:
    # XLA converts float16 to float64 ten times faster by way of float32.
    if keras.backend.standardize_dtype(x.dtype) == "float16":
        x = ops.cast(x, "float32")
    return ops.cast(x, "float64")
