"""The formula, ``y = x / sqrt(max(sum(x ** 2), epsilon))``, in ``keras.ops``.

It is that of ``tf.math.l2_normalize`` and ``K.l2_normalize``. The squares are summed in float64
and in a fixed order (:mod:`l2cli.graph.summation`), which makes the result the same to the last
bit on JAX and on TensorFlow, compiled or not.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from l2cli.dtypes import DTYPES, FLOAT_DTYPES
from l2cli.graph.jax_settings import ordinary_settings
from l2cli.graph.summation import tree_sum

if TYPE_CHECKING:
    from collections.abc import Callable

_HALF_DTYPES = frozenset(name for name in FLOAT_DTYPES if DTYPES[name].itemsize == 2)
_LARGEST_FLOAT32_EPSILON = 2.0**240
"""Up to this lower bound on the sum, a scale is a normal float32 number."""
_LARGEST_FLOAT16 = 65504.0
_LARGEST_FLOAT64 = 1.7976931348623157e308
_SAFE_EXPONENTS = {"bfloat16": 42, "float32": 42, "float64": 341}
"""A third of a dtype's exponents. The squares of numbers between 2 to that power and one over it
stay in range, and so do their sums and gradients."""


def normalized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """Return the tensor ``x`` with Euclidean norm 1 along ``axes``, in its own dtype.

    No vector of normal numbers overflows or underflows, and its gradient doesn't either.

    Parameters
    ----------
    axes : tuple of int
        0 or more each, sorted.
    epsilon : float
        Lower bound on the sum of squares.
    """
    if dtype_of(x) == "float16":
        x = _with_finite_gradient(x)
    if keras.backend.backend() == "jax":
        return _normalized_by_jax(x, axes, epsilon)
    return graph(x, axes, epsilon)


def wide_types() -> contextlib.AbstractContextManager[Any]:
    """Let JAX use float64 in the block, in this thread only; elsewhere it is always there."""
    return ordinary_settings() if keras.backend.backend() == "jax" else contextlib.nullcontext()


def total(terms: Any, axes: tuple[int, ...]) -> Any:
    """Return the sums of ``terms`` along ``axes``, whose lengths become 1, in a fixed order."""
    for axis in axes:
        # Where nobody knows the length yet, the order is the backend's own.
        is_known = isinstance(terms.shape[axis], int)
        terms = tree_sum(terms, axis) if is_known else plain_total(terms, (axis,))
    return terms


def plain_total(terms: Any, axes: tuple[int, ...]) -> Any:
    """Return the sums of ``terms`` along ``axes``, in an order of the backend's own."""
    return ops.sum(terms, axes, keepdims=True)


def graph(
    x: Any,
    axes: tuple[int, ...],
    epsilon: float,
    *,
    total: Callable[[Any, tuple[int, ...]], Any] = total,
    assume_float64: bool = True,
) -> Any:
    """Return what :func:`normalized` does, in plain operations, symbolic if ``x`` is.

    Parameters
    ----------
    total : callable
        What sums the squares.
    assume_float64 : bool
        Whether float64 is what it says. ``False`` gives the same bits, and keeps float32 in
        range where a backend takes that for float64.
    """
    dtype = dtype_of(x)
    rows = widened(x)
    # The range of float16 is small in float32, and that of float32 in float64.
    if dtype == "float16" or (dtype == "float32" and assume_float64):
        return divided(rows, total(squares(rows, are_exact=True), axes), epsilon, dtype, dtype)
    peak = ops.stop_gradient(ops.max(ops.abs(rows), axis=axes, keepdims=True, initial=0.0))
    power = _power_of_two(peak, _SAFE_EXPONENTS[dtype])
    rows = rows * power
    sums = total(squares(rows, are_exact=dtype != "float64"), axes)
    sums = ops.where(peak < math.inf, sums, peak)  # The minimum hid infinities.
    return divided(rows, sums, epsilon, dtype, dtype, power)


def dtype_of(x: Any) -> str:
    """Return the name of a tensor's dtype."""
    return str(keras.backend.standardize_dtype(x.dtype))


def widened(x: Any) -> Any:
    """Return ``x`` in a dtype that holds it and is quick to compute with."""
    return ops.cast(x, DTYPES[dtype_of(x)].widened)


def squares(rows: Any, *, are_exact: bool) -> Any:
    """Return the squares of ``rows`` in float64.

    Parameters
    ----------
    are_exact : bool
        Whether they need no rounding, as those of float32 numbers don't.
    """
    terms = ops.square(ops.cast(rows, "float64"))
    # Compilers fuse a rounded square with the addition that follows, here and not there, which
    # changes bits; they can't reach through a minimum.
    return terms if are_exact else ops.minimum(terms, _LARGEST_FLOAT64)


def divided(
    rows: Any, sums: Any, epsilon: float, source: str, dtype: str, power: Any = None
) -> Any:
    """Return ``rows`` over the square roots of their ``sums`` of squares, in ``dtype``.

    Parameters
    ----------
    rows : object
        As :func:`widened` returns them.
    source, dtype : str
        The dtypes that the rows came in, and that they go out in.
    power : object
        What the rows were multiplied with, where they were.
    """
    # As a tensor: of a float in a comparison, Keras on TensorFlow makes float32.
    lowest = ops.full_like(sums, math.sqrt(epsilon))
    if power is not None:
        lowest = ops.cast(power, "float64") * lowest
    # The root that counts is never that of 0, whose derivative is infinite. A select stands
    # between it and the division: XLA rewrites 1 / sqrt(a) to rsqrt(a), which it approximates.
    is_floored = ops.sqrt(sums) <= lowest
    root = ops.sqrt(ops.where(is_floored, 1.0, sums))
    scale = 1.0 / ops.where(is_floored, lowest if epsilon else math.inf, root)
    # Where both ends have 11 bits or fewer, a product of 24 bits costs less and rounds as well.
    is_narrow = {source, dtype} <= _HALF_DTYPES and epsilon <= _LARGEST_FLOAT32_EPSILON
    product_dtype = "float32" if is_narrow else "float64"
    scaled = ops.cast(rows, product_dtype) * ops.cast(scale, product_dtype)
    if dtype in _HALF_DTYPES:
        scaled = ops.cast(scaled, "float32")
    return ops.cast(scaled, dtype)


def _power_of_two(peak: Any, safe: int) -> Any:
    """Return what brings ``peak`` between ``2 ** safe`` and one over it; to multiply is exact."""
    low, high = ops.full_like(peak, 2.0**-safe), ops.full_like(peak, 2.0**safe)
    power = ops.where(peak < low, 2.0 ** (2 * safe), ops.ones_like(peak))
    return ops.where(peak > high, 2.0 ** (-2 * safe), power)


@ops.custom_gradient  # type: ignore[untyped-decorator]
def _with_finite_gradient(x: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``x``, whose gradient is cut off at the largest number of float16.

    Under the floor it is ``1 / sqrt(epsilon)``: with the usual epsilon, a million.
    """

    def gradient(*arguments: Any, upstream: Any = None) -> Any:
        (upstream,) = arguments if upstream is None else (upstream,)
        return ops.clip(upstream, -_LARGEST_FLOAT16, _LARGEST_FLOAT16)

    return x, gradient


def _normalized_by_jax(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    import jax

    def value(x: Any) -> Any:
        with wide_types():
            return graph(x, axes, epsilon)

    def smooth(x: Any) -> Any:
        with wide_types():
            return graph(x, axes, epsilon, total=plain_total)

    # JAX works on derivatives when the block of 64-bit types has ended. Its rules for the sums
    # bear that; those for the slices of a fixed order don't.
    function = jax.custom_jvp(value)
    function.defjvp(
        lambda primals, tangents: (function(*primals), jax.jvp(smooth, primals, tangents)[1])
    )
    return function(x)
