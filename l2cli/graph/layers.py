"""L2 normalization for Keras: the function, the layer, and the steps of the command's graphs.

Users build models of the first two; :mod:`l2cli.graph.models` builds the command's graphs of the
others. The formula is :mod:`l2cli.graph.formula`; nothing here knows of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.graph.arguments import axes_of, checked_axis, checked_epsilon
from l2cli.graph.formula import divided, dtype_of, normalized, squares, total, wide_types, widened
from l2cli.graph.summation import compensated_tree_sum
from l2cli.runtime.forking import check_not_forked

if TYPE_CHECKING:
    from l2cli.graph.arguments import Axis


def l2_normalize(x: Any, axis: Axis = -1, epsilon: float = 1e-12) -> Any:
    """Scale ``x`` to Euclidean norm 1 along ``axis``.

    ``y = x / sqrt(max(sum(x ** 2), epsilon))``, as ``tf.math.l2_normalize`` and
    ``K.l2_normalize`` define it. A zero vector stays zero.

    float16, bfloat16 and float32 results are within 0.501 units in the last place of the true
    quotient, or 2**-70; float64 within 4 units, or 2**-110. That holds on every backend, and on
    JAX without 64-bit types too: float64 is used inside all the same, and nothing global is
    switched on. No vector of normal numbers overflows or underflows. XLA may
    take subnormal numbers for zero; :func:`l2cli.normalize` computes with those exactly too.
    NaN or Inf anywhere in a vector makes NaN of what it is divided by.

    The gradient is that of the formula: where the sum of squares is not above ``epsilon`` it is
    ``1 / sqrt(epsilon)`` times the gradient of the result; at a zero vector with an ``epsilon``
    of 0, zero. In float16 it is cut off at 65504.

    Parameters
    ----------
    x : tensor or array
        Of a float dtype and any rank: eager, symbolic, or inside ``tf.function`` or
        ``jax.jit``. For a NumPy array, NumPy comes back.
    axis : int, or tuple of int, default -1
        The axes that one vector lies along. Where the length of one is not known when the
        graph is made, the order of the sum is the backend's own, and with it the last bit of a
        float64 result.
    epsilon : float, default 1e-12
        Lower bound on the sum of squares.

    Returns
    -------
    tensor or array
        Of the shape and dtype of ``x``.

    Raises
    ------
    ValueError
        If ``axis`` or ``epsilon`` is out of range, or the rank of ``x`` not known.
    TypeError
        If ``x`` is not of a float dtype, is sparse or ragged, or a masked array.
    BackendError
        In a process that was forked after a backend had started.

    Examples
    --------
    >>> import l2cli
    >>> import numpy as np
    >>> l2cli.l2_normalize(np.array([[3.0, 4.0]], "float32"))
    array([[0.6, 0.8]], dtype=float32)
    """
    _check_dense(x)
    if isinstance(x, keras.KerasTensor):
        return L2Normalize(axis, epsilon).symbolic_call(x)
    axis, epsilon = checked_axis(axis), checked_epsilon(epsilon)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("x is a masked array, which a tensor can't be; l2cli.normalize takes it")
    check_not_forked("l2cli.l2_normalize")
    if isinstance(x, np.ndarray):
        return _normalized_array(x, axis, epsilon)
    return _normalized_tensor(ops.convert_to_tensor(x), axis, epsilon)


@keras.saving.register_keras_serializable(package="l2cli")
class L2Normalize(keras.Operation):  # type: ignore[misc]
    """What :func:`l2_normalize` of a symbolic tensor is in a model."""

    def __init__(self, axis: Axis = -1, epsilon: float = 1e-12, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis = checked_axis(axis)
        self.epsilon = checked_epsilon(epsilon)

    def call(self, x: Any) -> Any:
        """Return ``x`` normalized."""
        return _normalized_tensor(x, self.axis, self.epsilon)

    def compute_output_spec(self, x: Any) -> Any:
        """Return shape and dtype of the result, those of ``x``, or refuse ``x``."""
        _check_dtype(x)
        axes_of(self.axis, _rank(x.shape))
        return keras.KerasTensor(x.shape, dtype=x.dtype)


@keras.saving.register_keras_serializable(package="l2cli")
class L2Normalization(keras.layers.Layer):  # type: ignore[misc]
    """Scales its input to Euclidean norm 1 along one or several axes.

    Each vector is divided by ``sqrt(max(sum(x ** 2), epsilon))``. A zero vector stays zero.
    The input's dtype is kept, float16 and float64 included, whatever the dtype policy. The
    result has the same bits as that of :func:`l2_normalize`, which says how exact it is: as
    exact on JAX without 64-bit types as elsewhere (where a float64 array is float32 before any
    layer sees it). A mask is passed on; masked steps are normalized like others.

    Parameters
    ----------
    axis : int, or list or tuple of int, default -1
        The axes that one vector lies along, counted with the batch axis.
    epsilon : float, default 1e-12
        Lower bound on the sum of squares.
    **kwargs : Any
        As for ``keras.layers.Layer``: ``name``, ``dtype`` …

    Raises
    ------
    TypeError
        If ``axis`` is of another type, or the input not of a float dtype.
    ValueError
        If ``axis`` or ``epsilon`` is out of range.

    Examples
    --------
    >>> import l2cli
    >>> import numpy as np
    >>> np.asarray(l2cli.L2Normalization()(np.array([[3.0, 4.0]], "float32")))
    array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: Axis = -1, epsilon: float = 1e-12, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.axis = checked_axis(axis)
        self.epsilon = checked_epsilon(epsilon)
        self.supports_masking = True
        # There is nothing to build, but for what a subclass may add.
        self.built = type(self).build is keras.layers.Layer.build

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer, or refuse to in a forked process."""
        check_not_forked("l2cli.L2Normalization")  # Keras makes tensors of arrays first.
        return super().__call__(*args, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Return ``inputs`` normalized."""
        return _normalized_tensor(inputs, self.axis, self.epsilon)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the result, that of the input, or refuse it."""
        axes_of(self.axis, _rank(input_shape))
        return tuple(input_shape)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return shape and dtype of the result, those of ``inputs``, or refuse them."""
        _check_dtype(inputs)
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is saved and made again by."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class SumOfSquares(keras.layers.Layer):  # type: ignore[misc]
    """Sums of squares along one or several axes, in float64: the command's first step.

    Args:
        axes: Tuple of integers, 0 or more each, sorted. They keep length 1.
        compensated: Boolean. Whether to return the sums' rounding errors as a second
            tensor, so that the sums of several batches can be added without loss.
    """

    def __init__(self, axes: tuple[int, ...], compensated: bool = False, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.axes = axes
        self.compensated = compensated

    def call(self, inputs: Any) -> Any:
        """Return the sums, and with ``compensated`` their errors."""
        terms = squares(widened(inputs), are_exact=dtype_of(inputs) != "float64")
        if not self.compensated:
            return total(terms, self.axes)
        # The axes inside a row first: what crosses batches is summed along axis 0 alone.
        outer, *inner = self.axes
        return compensated_tree_sum(total(terms, tuple(reversed(inner))), outer)


class Division(keras.layers.Layer):  # type: ignore[misc]
    """Rows over the square roots of their sums of squares: the command's second step.

    Args:
        epsilon: Float. Lower bound on the sums.
        output_dtype: String. The result's dtype.
    """

    def __init__(self, epsilon: float, output_dtype: str, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.epsilon = epsilon
        self.output_dtype = output_dtype

    def call(self, inputs: Any, sums: Any) -> Any:
        """Return ``inputs`` over the roots of ``sums``."""
        source = dtype_of(inputs)
        return divided(widened(inputs), sums, self.epsilon, source, self.output_dtype)


def _normalized_tensor(x: Any, axis: Axis, epsilon: float) -> Any:
    check_not_forked("l2cli.l2_normalize")
    _check_dtype(x)
    return normalized(x, axes_of(axis, _rank(x.shape)), epsilon)


def _normalized_array(x: np.ndarray[Any, Any], axis: Axis, epsilon: float) -> Any:
    native = np.asarray(x, x.dtype.newbyteorder("="))
    with wide_types():
        result = _normalized_tensor(ops.convert_to_tensor(native), axis, epsilon)
        return np.array(np.asarray(result), x.dtype)


def _rank(shape: Any) -> int:
    """Return the rank of a tensor's shape, which TensorFlow may not know."""
    if shape is None or getattr(shape, "rank", 0) is None:
        raise ValueError(
            "the rank of `x` is not known, and `axis` counts its axes; say it first, such as with "
            "tf.ensure_shape(x, (None, 768)) or in the input_signature of tf.function"
        )
    return len(shape)


def _check_dense(x: Any) -> None:
    name = type(x).__name__
    if name == "RaggedTensor":
        remedy = "x.to_tensor(); the zeros that it appends to rows change no norm of theirs"
    elif name == "SparseTensor" or getattr(x, "sparse", False) is True:
        remedy = "tf.sparse.to_dense(x)"
    elif hasattr(x, "todense"):
        remedy = "x.todense()"
    else:
        return
    raise TypeError(f"`x` is sparse or ragged ({name}), expected a dense tensor; use {remedy}")


def _check_dtype(x: Any) -> None:
    _check_dense(x)
    if dtype_of(x) not in FLOAT_DTYPES:
        raise TypeError(
            f"`x` is {dtype_of(x)}, expected {', '.join(FLOAT_DTYPES)}; cast it first, such as "
            'with keras.ops.cast(x, "float32")'
        )
