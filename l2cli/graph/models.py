"""Functional Keras models: those to build on, and those that the command's graphs are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import keras

from l2cli.graph.arguments import axes_of, check_arguments
from l2cli.graph.formula import graph
from l2cli.graph.layers import Division, L2Normalization, SumOfSquares, l2_normalize
from l2cli.runtime.forking import check_not_forked

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.graph.arguments import Axis
    from l2cli.graph.spec import GraphSpec


def build_model(
    shape: tuple[int | None, ...],
    axis: Axis = -1,
    epsilon: float = 1e-12,
    dtype: str | None = None,
    style: Literal["layer", "lambda", "function"] = "layer",
) -> Any:
    """Return a functional Keras model that scales its input to Euclidean norm 1 along ``axis``.

    The three styles give the same bits. A model of style ``layer`` or ``function`` is saved and
    loaded as it is, once this function, or the layer, was imported. A model of style ``lambda``
    holds the bytecode of a Python function, which could do anything when it is loaded; Keras
    loads it only where you say that you trust it::

        keras.saving.load_model("model.keras", safe_mode=False)

    Parameters
    ----------
    shape : tuple of int or None
        The shape of one input, without the batch axis; ``None`` for a length that differs.
    axis : int, or tuple of int, default -1
        The axes that one vector lies along, counted with the batch axis, which can't be among
        them.
    epsilon : float, default 1e-12
        Lower bound on the sum of squares.
    dtype : str, optional
        The input's dtype, and the result's. By default Keras's ``floatx``.
    style : {'layer', 'lambda', 'function'}
        An :class:`~l2cli.graph.layers.L2Normalization`, a ``keras.layers.Lambda``, or
        :func:`~l2cli.graph.layers.l2_normalize`.

    Returns
    -------
    keras.Model
        From a tensor ``rows`` of ``(batch, *shape)`` to one of the same shape and dtype.

    Raises
    ------
    ValueError
        If an argument is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import keras
    >>> import l2cli
    >>> encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(16)])
    >>> model = keras.Sequential([encoder, l2cli.build_model((16,))])
    >>> model.output_shape
    (None, 16)
    """
    check_not_forked("l2cli.build_model")
    check_arguments(shape, axis, epsilon, dtype)
    styles: dict[str, Callable[..., Any]] = {
        "layer": _by_layer,
        "lambda": _by_lambda,
        "function": l2_normalize,
    }
    if style not in styles:
        raise ValueError(f"`style` is {style!r}, expected {', '.join(styles)}")
    inputs = _input(shape, dtype)
    return keras.Model(inputs, styles[style](inputs, axis, epsilon), name="l2_normalize")


def standalone_model(shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> Any:
    """Return what :func:`build_model` does, in Keras's own operations alone.

    It is loaded where ``l2cli`` isn't. The bits are the same on TensorFlow, and on JAX with
    64-bit types; without them, float32 results are within 3 units in the last place.
    """
    inputs = _input(shape, dtype)
    axes = axes_of(axis, len(inputs.shape))
    outputs = graph(inputs, axes, epsilon, assume_float64=False)
    # A model within a model: its dozens of operations are one line of a summary.
    rows = _input(shape, dtype)
    inner = keras.Model(inputs, outputs, name="l2_normalization")
    return keras.Model(rows, inner(rows), name="l2_normalize")


def model_of(spec: GraphSpec) -> Any:
    """Return the model of one of the command's graphs."""
    return _BUILDERS[spec.step](spec)


def _normalization_model(spec: GraphSpec) -> Any:
    """Return a model from a batch to its normalized rows and their sums of squares."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    sums = SumOfSquares(spec.axes, name="sum_of_squares")(rows)
    return keras.Model(rows, [_division(spec)(rows, sums), sums], name="normalize")


def _measuring_model(spec: GraphSpec) -> Any:
    """Return a model from a batch to its rows' sums of squares."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    sums = SumOfSquares(spec.axes, name="sum_of_squares")(rows)
    return keras.Model(rows, [sums], name="measure")


def _summation_model(spec: GraphSpec) -> Any:
    """Return a model from a batch to its share of sums that span batches, with their errors."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    shares = SumOfSquares(spec.axes, compensated=True, name="sum_of_squares")(rows)
    return keras.Model(rows, list(shares), name="sum")


def _scaling_model(spec: GraphSpec) -> Any:
    """Return a model from a batch and sums that span batches to the normalized rows."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    sums = keras.Input(batch_shape=spec.sums_shape, dtype="float64", name="sum_of_squares")
    return keras.Model([rows, sums], [_division(spec)(rows, sums)], name="scale")


_BUILDERS = {
    "normalize": _normalization_model,
    "measure": _measuring_model,
    "sum": _summation_model,
    "scale": _scaling_model,
}


def _division(spec: GraphSpec) -> Division:
    return Division(spec.epsilon, spec.output_dtype, name="division")


def _input(shape: tuple[int | None, ...], dtype: str | None) -> Any:
    return keras.Input(shape, dtype=dtype, name="rows")


def _by_layer(inputs: Any, axis: Axis, epsilon: float) -> Any:
    return L2Normalization(axis, epsilon)(inputs)


def _by_lambda(inputs: Any, axis: Axis, epsilon: float) -> Any:
    # A lambda is loaded without the names of this module: it must find everything by itself.
    layer = keras.layers.Lambda(
        lambda x, axis, epsilon: __import__("l2cli").l2_normalize(x, axis, epsilon),
        output_shape=inputs.shape[1:],
        arguments={"axis": axis, "epsilon": epsilon},
        dtype=inputs.dtype,
    )
    return layer(inputs)
