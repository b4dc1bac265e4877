"""The public test cases of what people use today, with ours in its place.

After Keras's ``unit_normalization_test.py``, scikit-learn's ``test_data.py`` and TensorFlow's
``nn_test.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import l2cli

if TYPE_CHECKING:
    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]


# Keras: keras.layers.UnitNormalization.


def _basics(axis: Any, shape: tuple[int, ...]) -> None:
    import keras

    layer = l2cli.L2Normalization(axis=axis)
    assert layer.built
    assert layer.supports_masking
    assert layer.weights == []
    config = layer.get_config()
    assert l2cli.L2Normalization.from_config(config).get_config() == config
    same = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert same.get_config() == config
    rows = np.random.default_rng(0).standard_normal(shape).astype("f4")
    assert layer(rows).shape == shape
    assert layer(keras.KerasTensor(shape)).shape == shape
    assert layer.compute_output_shape(shape) == shape
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(rows, rows, verbose=0)
    for policy in ("float16", "mixed_float16", "bfloat16", "mixed_bfloat16", "float64"):
        assert l2cli.L2Normalization(axis=axis, dtype=policy)(rows).shape == shape


@pytest.mark.parametrize(("axis", "shape"), [(-1, (2, 3)), ((1, 2), (1, 3, 3))])
def test_keras_basics(backend: BackendProcess, axis: Any, shape: tuple[int, ...]) -> None:
    backend.call(_basics, axis, shape)


def _invalid_axis() -> None:
    with pytest.raises(
        TypeError,
        match=r"Invalid value for `axis` argument: expected an int or a list/tuple of ints.",
    ):
        l2cli.L2Normalization(axis={"axis": -1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="axis"):
        l2cli.L2Normalization(axis=3).compute_output_shape((2, 2, 2))


def test_keras_invalid_axis(jax_process: BackendProcess) -> None:
    jax_process.call(_invalid_axis)


def _squared_norms(axis: Any, rows: Array) -> Array:
    outputs = np.asarray(l2cli.L2Normalization(axis=axis)(rows))
    norms: Array = (outputs**2).sum(axis=axis)
    return norms


@pytest.mark.parametrize(("axis", "shape"), [(-1, (2, 3)), ((1, 2), (2, 3, 3)), (1, (2, 3, 2))])
def test_keras_correctness(backend: BackendProcess, axis: Any, shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(backend.call(_squared_norms, axis, rows), 1.0, rtol=1e-6)


# scikit-learn: sklearn.preprocessing.normalize(norm="l2").


def sklearn_normalize(rows: Array, axis: int = 1) -> Array:
    from sklearn.preprocessing import normalize  # It takes two seconds, of one worker here.

    result: Array = normalize(rows, axis=axis)
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sklearn_rows_with_a_zero_row(dtype: str) -> None:
    rows = np.random.default_rng(0).standard_normal((4, 5)).astype(dtype)
    rows[3] = 0
    result = l2cli.normalize(rows)
    assert result.dtype == rows.dtype
    np.testing.assert_allclose(np.linalg.norm(result[:3], axis=1), 1, rtol=1e-6)
    assert np.linalg.norm(result[3]) == 0
    np.testing.assert_allclose(result, sklearn_normalize(rows), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sklearn_columns_are_rows_of_the_transpose(dtype: str) -> None:
    rows = np.random.default_rng(37).standard_normal((3, 2)).astype(dtype)
    columns = l2cli.normalize(rows.T, 0)
    np.testing.assert_array_equal(l2cli.normalize(rows), columns.T)
    np.testing.assert_allclose(columns, sklearn_normalize(rows.T, axis=0), rtol=1e-6)


def test_sklearn_many_features() -> None:
    rows = np.random.default_rng(0).standard_normal((300, 768)).astype("f4")
    np.testing.assert_allclose(l2cli.normalize(rows), sklearn_normalize(rows), rtol=2e-6)


# TensorFlow: tf.math.l2_normalize.


def _theirs_and_ours(rows: Array, axis: Any) -> tuple[Array, Array, Array, Array]:
    import tensorflow as tf

    x = tf.constant(rows)
    results: list[Array] = []
    for function in (tf.math.l2_normalize, l2cli.l2_normalize):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = function(x, axis)
            loss = tf.reduce_sum(outputs**3)
        results += [np.asarray(outputs), np.asarray(tape.gradient(loss, x))]
    return results[0], results[1], results[2], results[3]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, [1, 2]])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-14)])
def test_tensorflow_values_and_gradients(
    tensorflow_process: BackendProcess, axis: Any, dtype: str, rtol: float
) -> None:
    rows = np.random.default_rng(1).random((20, 7, 3)).astype(dtype)
    theirs, their_slopes, ours, our_slopes = tensorflow_process.call(_theirs_and_ours, rows, axis)
    axes = tuple(axis) if isinstance(axis, list) else axis
    expected = rows / np.linalg.norm(rows, axis=axes, keepdims=True)
    np.testing.assert_allclose(ours, expected, rtol=rtol)
    np.testing.assert_allclose(ours, theirs, rtol=rtol)
    np.testing.assert_allclose(our_slopes, their_slopes, rtol=100 * rtol, atol=10 * rtol)


def test_tensorflow_floor(tensorflow_process: BackendProcess) -> None:
    rows = np.array([[1e-7, 0, 0], [0, 0, 0], [3e-6, 4e-6, 0]], "f4")
    theirs, _, ours, _ = tensorflow_process.call(_theirs_and_ours, rows, -1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
