"""The function and the layer, where Keras runs on each backend."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from l2cli.graph.arguments import axes_of, checked_axis, checked_epsilon
from tests.support.reference import BFLOAT16, rows_of_all_sizes, true_quotient, worst_ulp

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]

DTYPES = ["float16", BFLOAT16, "float32", "float64"]
NARROW = DTYPES[:3]
ROWS = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1.0, -2.0, 2.0]])


def _ordinary(dtype: Any, shape: tuple[int, ...] = (200, 50), seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.standard_normal((*shape[:-1], 1)))
    return (rng.standard_normal(shape) * sizes).astype(dtype)


# What follows down to the first test runs in a process of a backend.


def _function(x: Any, *arguments: Any) -> Array:
    from l2cli import l2_normalize

    return np.asarray(l2_normalize(x, *arguments))


def _is_jax() -> bool:
    import keras

    return bool(keras.backend.backend() == "jax")


def _compiled(function: Any) -> dict[str, Any]:
    """Return ``function`` as each of the backend's compilers has it."""
    if _is_jax():
        import jax

        return {"jit": jax.jit(function), "vmap": jax.vmap(function)}
    import tensorflow as tf

    return {
        "tf.function": tf.function(function),
        "XLA": tf.function(function, jit_compile=True),
    }


def _wide() -> contextlib.AbstractContextManager[Any]:
    """Return what gives the process 64-bit types, where it has none."""
    if not _is_jax():
        return contextlib.nullcontext()
    import jax

    context: contextlib.AbstractContextManager[Any] = jax.enable_x64(True)
    return context


def _in_all_ways(rows: Array) -> dict[str, bytes]:
    import keras
    from keras import ops

    from l2cli import L2Normalization, l2_normalize

    results = {"numpy": _function(rows), "eager": _function(ops.convert_to_tensor(rows))}
    results["layer"] = np.asarray(L2Normalization()(rows))
    for name, function in _compiled(lambda x: l2_normalize(x)).items():
        results[name] = np.asarray(function(ops.convert_to_tensor(rows)))
    for name, function in _compiled(L2Normalization()).items():
        results[f"layer, {name}"] = np.asarray(function(ops.convert_to_tensor(rows)))
    with _wide():
        results["64-bit types"] = np.asarray(l2_normalize(ops.convert_to_tensor(rows)))
    inputs = keras.Input(rows.shape[1:], dtype=rows.dtype.name)
    model = keras.Model(inputs, l2_normalize(inputs))
    results["model"] = np.asarray(model(ops.convert_to_tensor(rows)))
    results["predict"] = model.predict(rows, batch_size=7, verbose=0)
    return {name: result.tobytes() for name, result in results.items()}


@pytest.mark.parametrize("dim", [3, 768])
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_every_way_gives_the_bytes_of_the_command(
    backend: BackendProcess, dtype: Any, dim: int
) -> None:
    rows = _ordinary(dtype, (200, dim))
    expected = backend.run(rows)[0].tobytes()
    results = backend.call(_in_all_ways, rows)
    assert {name for name, content in results.items() if content != expected} == set()


@pytest.mark.parametrize("axis", [0, 1, (0, 2), [-1, 1], (2, 1, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_axis_gives_the_bytes_of_the_command(
    backend: BackendProcess, dtype: Any, axis: Any
) -> None:
    rows = _ordinary(dtype, (6, 5, 7))
    axes = tuple(axis) if isinstance(axis, list) else axis if isinstance(axis, tuple) else (axis,)
    expected = backend.run(rows, axis=axes)[0]
    result = backend.call(_function, rows, axis)
    if 0 in axes:  # Sums that cross batches are compensated.
        np.testing.assert_allclose(
            result.astype(float), expected.astype(float), rtol=2.0 ** -np.finfo("f4").nmant / 100
        )
    else:
        assert result.tobytes() == expected.tobytes()


def _in_byte_order(dtype: str) -> tuple[Array, Array]:
    from l2cli import l2_normalize

    rows = _ordinary(dtype)
    before = rows.copy()
    result = l2_normalize(rows)
    assert type(result) is np.ndarray
    assert result.dtype == rows.dtype
    assert result.dtype.byteorder == rows.dtype.byteorder
    assert result.flags.writeable
    assert rows.tobytes() == before.tobytes()
    return rows.astype("f8"), result.astype(rows.dtype.newbyteorder("="))


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f2"])
def test_numpy_comes_back_as_it_went_in(backend: BackendProcess, dtype: str) -> None:
    rows, result = backend.call(_in_byte_order, dtype)
    assert worst_ulp(result, rows) <= (4 if dtype == ">f8" else 0.501)


def _is_numpy(rows: Array) -> tuple[bool, bool]:
    from keras import ops

    from l2cli import l2_normalize

    return (
        isinstance(l2_normalize(rows), np.ndarray),
        ops.is_tensor(l2_normalize(ops.convert_to_tensor(rows))),
    )


def test_a_tensor_comes_back_for_a_tensor_and_numpy_for_numpy(backend: BackendProcess) -> None:
    assert backend.call(_is_numpy, _ordinary("float32")) == (True, True)


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 1.0, 1e30])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_of_normal_numbers_are_exact(
    backend: BackendProcess, dtype: Any, epsilon: float
) -> None:
    rows = rows_of_all_sizes(dtype, 3000, 24)[:1000]
    limit, negligible = (4.0, 2.0**-110) if dtype == "float64" else (0.501, 2.0**-70)
    rows[np.abs(rows.astype("f8")) < float(ml_dtypes.finfo(rows.dtype).smallest_normal)] = 0
    result = backend.call(_function, rows, -1, epsilon)
    assert worst_ulp(result, rows, epsilon, negligible) <= limit


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("float16", 10),
        ("float16", 6e4),
        (BFLOAT16, 1e-35),
        ("float32", 1e25),
        ("float32", 1e-30),
        ("float64", 1e300),
        ("float64", 1e-300),
    ],
)
def test_no_row_of_one_size_overflows_or_underflows(
    backend: BackendProcess, dtype: Any, number: float
) -> None:
    rows = np.full((1, 768), number, dtype)
    result = backend.call(_function, rows, -1, 0.0)
    np.testing.assert_allclose(result.astype("f8"), 768**-0.5, rtol=float(_rounding(dtype)))


def _rounding(dtype: Any) -> float:
    return {"float16": 2.0**-11, BFLOAT16: 2.0**-8, "float32": 2.0**-24}.get(dtype, 2.0**-52)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zero_rows_stay_zero_and_small_ones_are_floored(
    backend: BackendProcess, dtype: Any
) -> None:
    rows = np.array([[0.0, -0.0], [3.0, 4.0]], dtype)
    for epsilon in (0.0, 1e-12):
        result = backend.call(_function, rows, -1, epsilon)
        assert result[0].tobytes() == rows[0].tobytes()
    floored = backend.call(_function, rows, -1, 100.0).astype("f8")
    np.testing.assert_allclose(floored[1], [0.3, 0.4], rtol=0.01)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_infinity_makes_nan_of_itself_and_nan_of_all(backend: BackendProcess, dtype: Any) -> None:
    rows = np.array([[np.inf, 1.0], [np.nan, 1.0], [3.0, 4.0]], dtype)
    result = backend.call(_function, rows).astype("f8")
    np.testing.assert_array_equal(result[:2], [[np.nan, 0.0], [np.nan, np.nan]])
    np.testing.assert_allclose(result[2], [0.6, 0.8], rtol=0.01)


def test_an_empty_array_stays_empty(backend: BackendProcess) -> None:
    for shape in [(0, 5), (5, 0)]:
        for dtype in ("float32", "float64"):
            assert backend.call(_function, np.empty(shape, dtype)).shape == shape


# Gradients.


def _gradient(rows: Array, weights: Array, epsilon: float) -> Array:
    """Return the gradient of ``sum(weights * y)``."""
    from keras import ops

    from l2cli import l2_normalize

    with _wide() if rows.dtype == "float64" else contextlib.nullcontext():
        x, w = ops.convert_to_tensor(rows), ops.convert_to_tensor(weights)
        if _is_jax():
            import jax

            gradient = jax.jit(jax.grad(lambda x: (l2_normalize(x, -1, epsilon) * w).sum()))(x)
            return np.asarray(gradient)
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(l2_normalize(x, -1, epsilon) * w)
        return np.asarray(tape.gradient(loss, x))


def _differences(rows: Array, weights: Array, epsilon: float) -> Array:
    """Return the same by central differences, in 80-bit arithmetic."""
    wide, step = rows.astype(np.longdouble), np.longdouble(1e-7)
    result = np.empty(rows.shape)
    for i in range(rows.shape[1]):
        offset = np.zeros(rows.shape[1], np.longdouble)
        offset[i] = 1
        sizes = step * np.maximum(np.abs(wide).max(axis=1, keepdims=True), 1e-9)
        above, below = (_quotient(wide + sign * sizes * offset, epsilon) for sign in (1, -1))
        slopes = ((above - below) * weights).sum(axis=1) / (2 * sizes[:, 0])
        result[:, i] = slopes
    return result


def _quotient(wide: Array, epsilon: float) -> Array:
    norms = np.sqrt(np.maximum((wide * wide).sum(axis=1, keepdims=True), epsilon))
    quotient: Array = wide / np.where(norms > 0, norms, 1)
    return quotient


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 2.0])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-7)])
def test_the_gradient_is_that_of_finite_differences(
    backend: BackendProcess, dtype: str, rtol: float, epsilon: float
) -> None:
    rows, weights = _ordinary(dtype, (20, 9)), _ordinary(dtype, (20, 9), seed=1)
    gradient = backend.call(_gradient, rows, weights, epsilon)
    assert gradient.dtype == rows.dtype
    expected = _differences(rows, weights, epsilon)
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_gradient_of_a_zero_row_is_finite_and_right(
    backend: BackendProcess, dtype: Any
) -> None:
    weights = np.array([[1.0, -2.0, 3.0]] * 3, dtype)
    rows = ROWS.astype(dtype)
    for epsilon, expected in ((1e-4, weights[1].astype("f8") * 100), (0.0, [0, 0, 0])):
        gradient = backend.call(_gradient, rows, weights, epsilon).astype("f8")
        np.testing.assert_allclose(gradient[1], expected, rtol=0.01)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_gradient_of_a_zero_row_is_finite_with_the_usual_epsilon(
    backend: BackendProcess, dtype: Any
) -> None:
    weights = np.array([[1.0, -2.0, 0.5]] * 3, dtype)
    gradient = backend.call(_gradient, ROWS.astype(dtype), weights, 1e-12).astype("f8")
    limit = 65504 if dtype == "float16" else np.inf
    expected = np.clip(weights[1].astype("f8") * 1e6, -limit, limit)
    np.testing.assert_allclose(gradient[1], expected, rtol=0.01)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("float32", 1e25), ("float32", 1e-25), ("float64", 1e200), ("float64", 1e-200)],
)
def test_the_gradient_of_a_huge_or_tiny_row_is_right(
    backend: BackendProcess, dtype: str, scale: float
) -> None:
    rows, weights = _ordinary(dtype, (5, 9)), _ordinary(dtype, (5, 9), seed=1)
    gradient = backend.call(_gradient, (rows * scale).astype(dtype), weights, 0.0)
    expected = backend.call(_gradient, rows, weights, 0.0)
    np.testing.assert_allclose(gradient * scale, expected, rtol=1e-4, atol=1e-6)


def test_half_gradients_do_not_cancel(backend: BackendProcess) -> None:
    rows, weights = _ordinary("float16", (20, 64)), _ordinary("float16", (20, 64), seed=1)
    gradient = backend.call(_gradient, rows, weights, 1e-12).astype("f8")
    wide = backend.call(_gradient, rows.astype("f8"), weights.astype("f8"), 1e-12)
    np.testing.assert_allclose(gradient, wide, rtol=2e-3, atol=1e-4)


def _loss(x: Any) -> Any:
    from l2cli import l2_normalize

    return (l2_normalize(x) ** 3).sum()


def _second_order_of_jax(rows: Array) -> Array:
    import jax

    def penalty(x: Any) -> Any:
        return (jax.grad(_loss)(x) ** 2).sum()

    return np.asarray(jax.jit(jax.grad(penalty))(jax.numpy.asarray(rows)))


def _transformed(rows: Array) -> dict[str, Array]:
    """Return what JAX's transformations make of the function, without 64-bit types."""
    import jax
    from jax import lax

    from l2cli import l2_normalize

    def loop(x: Any) -> Any:
        return lax.scan(lambda total, row: (l2_normalize(total + row), row), x[0], x)[0][0]

    x = jax.numpy.asarray(rows)
    derivatives = {
        "hessian": jax.hessian(_loss)(x[0]),
        "gradient of gradient": _second_order_of_jax(rows),
        "jvp": jax.jvp(l2_normalize, (x,), (x,))[1],
        "forward": jax.jacfwd(l2_normalize)(x[0]),
        "reverse": jax.jacrev(l2_normalize)(x[0]),
        "through a loop": jax.jit(jax.grad(loop))(x),
    }
    assert not jax.config.jax_enable_x64
    assert jax.numpy.zeros(1).dtype == "float32"
    return {name: np.asarray(value) for name, value in derivatives.items()}


def test_jax_transforms_it_without_64_bit_types(jax_process: BackendProcess) -> None:
    derivatives = jax_process.call(_transformed, _ordinary("float32", (4, 6)))
    assert all(np.isfinite(value).all() for value in derivatives.values())
    assert all(value.dtype == "float32" for value in derivatives.values())
    np.testing.assert_allclose(derivatives["forward"], derivatives["reverse"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        derivatives["hessian"], derivatives["hessian"].T, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(derivatives["jvp"], 0, atol=1e-6)


def _second_order(rows: Array) -> Array:
    import tensorflow as tf

    from l2cli import l2_normalize

    x = tf.constant(rows)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(l2_normalize(x) ** 3)
        penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
    return np.asarray(outer.gradient(penalty, x))


def test_backends_agree_on_a_gradient_of_a_gradient(
    jax_process: BackendProcess, tensorflow_process: BackendProcess
) -> None:
    rows = _ordinary("float32", (4, 6))
    ours = jax_process.call(_second_order_of_jax, rows)
    theirs = tensorflow_process.call(_second_order, rows)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# Arguments.


@pytest.mark.parametrize("axis", [{"axis": -1}, None, 1.0, "last", (0, "x")])
def test_an_axis_of_another_type_is_refused(axis: Any) -> None:
    with pytest.raises(TypeError, match=r"Invalid value for `axis` argument: expected an int or a"):
        checked_axis(axis)


def test_an_axis_out_of_range_is_refused() -> None:
    with pytest.raises(
        ValueError, match="the input has rank 2, so axis 2 is out of range; expected -2 to"
    ):
        axes_of(2, 2)
    with pytest.raises(ValueError, match=r"`axis=\(-1, 1\)` names one axis .* twice"):
        axes_of((-1, 1), 2)
    with pytest.raises(ValueError, match=r"`axis` is empty, expected at least one axis"):
        checked_axis(())
    assert axes_of([-1, 0], 3) == (0, 2)
    assert checked_axis(np.int64(1)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("epsilon", [-1e-12, math.nan, math.inf])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match=r"`epsilon` is .*, expected a finite number, 0 or more"):
        checked_epsilon(epsilon)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_a_dtype_that_is_no_float_is_refused(backend: BackendProcess, dtype: str) -> None:
    with pytest.raises(
        TypeError, match=f"`x` is {dtype}, expected float16, bfloat16, float32, float64"
    ):
        backend.call(_function, np.ones((2, 3), dtype))


# The layer.


def _layer(rows: Array, arguments: dict[str, Any], policy: str | None) -> Array:
    from keras import ops

    from l2cli import L2Normalization

    return np.asarray(L2Normalization(**arguments, dtype=policy)(ops.convert_to_tensor(rows)))


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "bfloat16", "float64"])
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_a_dtype_policy_changes_no_bit(backend: BackendProcess, dtype: Any, policy: str) -> None:
    rows = _ordinary(dtype)
    expected = backend.run(rows)[0]
    result = backend.call(_layer, rows, {}, policy)
    assert result.dtype == rows.dtype
    assert result.tobytes() == expected.tobytes()


def _between_dense_layers(policy: str) -> tuple[str, float]:
    import keras

    from l2cli import L2Normalization

    dense = keras.layers.Dense(32, dtype=policy)
    inputs = keras.Input((64,))
    model = keras.Model(inputs, L2Normalization(dtype=policy)(dense(inputs)))
    # Encodings of norm 1e3: their squares leave float16's range.
    outputs = np.asarray(model(_ordinary("float32", (10, 64)) * 300))
    return outputs.dtype.name, float(np.abs(np.linalg.norm(outputs.astype("f8"), axis=1) - 1).max())


@pytest.mark.parametrize(
    ("policy", "dtype"), [("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")]
)
def test_mixed_precision_encodings_become_unit_rows(
    backend: BackendProcess, policy: str, dtype: str
) -> None:
    result_dtype, error = backend.call(_between_dense_layers, policy)
    assert result_dtype == dtype
    assert error < 0.01


def _symbolic() -> dict[str, Any]:
    import keras

    from l2cli import L2Normalization, l2_normalize

    inputs = keras.Input((None, 3), dtype="bfloat16")
    layer = L2Normalization([1, 2], epsilon=1e-6, name="unit", trainable=False)
    outputs = layer(inputs)
    same = L2Normalization.from_config(layer.get_config())
    return {
        "spec": (outputs.shape, outputs.dtype),
        "function": (l2_normalize(inputs).shape, l2_normalize(inputs).dtype),
        "shape": layer.compute_output_shape((None, 4, 3)),
        "config": (same.get_config() == layer.get_config(), same.axis, same.epsilon, same.name),
        "built": L2Normalization().built,
        "weights": len(layer.weights),
        "masking": layer.supports_masking,
    }


def test_shapes_and_configs(backend: BackendProcess) -> None:
    assert backend.call(_symbolic) == {
        "spec": ((None, None, 3), "bfloat16"),
        "function": ((None, None, 3), "bfloat16"),
        "shape": (None, 4, 3),
        "config": (True, (1, 2), 1e-6, "unit"),
        "built": True,
        "weights": 0,
        "masking": True,
    }


def _refusal(case: str) -> str:
    import keras

    from l2cli import L2Normalization, l2_normalize

    cases: dict[str, Callable[[], Any]] = {
        "layer": lambda: L2Normalization(3)(keras.Input((4,))),
        "shape": lambda: L2Normalization((0, 3)).compute_output_shape((2, 3)),
        "function": lambda: l2_normalize(keras.Input((4,)), 3),
        "epsilon": lambda: L2Normalization(epsilon=-1.0),
        "integers": lambda: L2Normalization()(keras.Input((4,), dtype="int32")),
    }
    try:
        cases[case]()
    except (TypeError, ValueError) as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("layer", "the input has rank 2, so axis 3 is out of range; expected -2 to 1"),
        ("shape", "the input has rank 2, so axis 3 is out of range; expected -2 to 1"),
        ("function", "the input has rank 2, so axis 3 is out of range; expected -2 to 1"),
        ("epsilon", "`epsilon` is -1.0, expected a finite number, 0 or more"),
        ("integers", "`x` is int32, expected float16, bfloat16, float32, float64"),
    ],
)
def test_the_layer_refuses_in_clear_words(
    jax_process: BackendProcess, case: str, message: str
) -> None:
    assert message in jax_process.call(_refusal, case)


def _masked(tokens: Array) -> tuple[Array, Array]:
    import keras

    from l2cli import L2Normalization

    embedded = keras.layers.Embedding(10, 4, mask_zero=True)(tokens)
    outputs = L2Normalization()(embedded)
    pooled = keras.layers.GlobalAveragePooling1D()(outputs)
    return np.asarray(outputs), np.asarray(pooled)


def test_a_mask_is_passed_on(backend: BackendProcess) -> None:
    outputs, pooled = backend.call(_masked, np.array([[1, 2, 0], [3, 0, 0]]))
    np.testing.assert_allclose(np.linalg.norm(outputs, axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(pooled[0], outputs[0, :2].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(pooled[1], outputs[1, 0], rtol=1e-6)


def _of_any_length(rows: Array) -> tuple[Array, Array]:
    import keras

    from l2cli import L2Normalization

    layer = L2Normalization((1, 2))
    inputs = keras.Input((None, rows.shape[2]))
    model = keras.Model(inputs, layer(inputs))
    if _is_jax():
        return np.asarray(model(rows)), model.predict(rows, verbose=0)
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, rows.shape[2]))]
    compiled = tf.function(layer, signature).get_concrete_function()
    return np.asarray(model(rows)), np.asarray(compiled(tf.constant(rows)))


def test_a_length_may_be_unknown_until_the_call(backend: BackendProcess) -> None:
    rows = _ordinary("float32", (3, 11, 5))
    expected = true_quotient(rows.reshape(3, -1)).reshape(rows.shape).astype("f4")
    for result in backend.call(_of_any_length, rows):
        np.testing.assert_allclose(result, expected, rtol=1e-6)
