"""Settings of JAX that a user made, and tensors of other makes: right results, or why not."""

from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.commands import SAMPLES, l2norm_anew
from tests.support.reference import true_quotient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]

SETTINGS: dict[str, tuple[Any, Any]] = {
    "jax_disable_jit": (False, True),
    "jax_transfer_guard": ("allow", "disallow_explicit"),
    "jax_debug_nans": (False, True),
    "jax_debug_infs": (False, True),
    "jax_numpy_dtype_promotion": ("standard", "strict"),
    "jax_numpy_rank_promotion": ("allow", "raise"),
    "jax_enable_x64": (False, True),
    "jax_log_compiles": (False, True),
    "jax_check_tracer_leaks": (False, True),
}
"""What each is by default, and what a user may make of it."""


def _rows(dim: int, dtype: str = "f4") -> Array:
    rows = np.random.default_rng(dim).standard_normal((12, dim)).astype(dtype)
    rows[3] = 0
    rows[5] = 1e-30
    return rows


def _under(names: tuple[str, ...], rows: Array, folder: str) -> dict[str, bytes]:
    """Return the results of all public functions where the settings are the user's."""
    import jax
    from keras import ops

    import l2cli

    tensor = ops.convert_to_tensor(rows)
    gc.freeze()  # Whoever looks for leaked tracers collects garbage again and again.
    for name in names:
        jax.config.update(name, SETTINGS[name][1])
    try:
        bad = rows.copy()
        bad[7, 1], bad[8, 2] = np.nan, np.inf
        kept = l2cli.normalize(bad, nonfinite="keep")
        actual = {
            "kept": (kept[[7, 8]].tobytes() == bad[[7, 8]].tobytes()),
            "normalize": l2cli.normalize(rows),
            "axis 0": l2cli.normalize(rows.T.copy(), 0).T,
            "function": l2cli.l2_normalize(rows),
            "tensor": l2cli.l2_normalize(tensor),
            "layer": l2cli.L2Normalization()(tensor),
            "model": l2cli.build_model((rows.shape[1],))(tensor),
        }
        if "jax_disable_jit" not in names:
            actual["jit"] = jax.jit(l2cli.l2_normalize)(tensor)
        l2cli.export_model(f"{folder}/{names[0]}.stablehlo", (3,))
        assert {name: getattr(jax.config, name) for name in names} == {
            name: SETTINGS[name][1] for name in names
        }
    finally:
        gc.unfreeze()
        for name in names:
            jax.config.update(name, SETTINGS[name][0])
    assert actual.pop("kept")
    return {name: np.asarray(result).tobytes() for name, result in actual.items()}


@pytest.mark.parametrize(
    "names",
    [*(pytest.param((name,), marks=pytest.mark.slow) for name in SETTINGS), tuple(SETTINGS)],
    ids=str,
)
def test_a_users_settings_of_jax_change_no_bit_and_stay(
    jax_process: BackendProcess, tmp_path: Path, names: tuple[str, ...]
) -> None:
    rows = _rows(20 + (9 if len(names) > 1 else list(SETTINGS).index(names[0])))
    with_floor = true_quotient(rows).astype("f4").tobytes()
    actual = jax_process.call(_under, names, rows, str(tmp_path))
    assert {name for name, content in actual.items() if content != with_floor} == set()


def test_the_command_minds_no_setting_of_the_environment(tmp_path: Path) -> None:
    source = SAMPLES / "glove-50d.npy"
    done = l2norm_anew(
        *("normalize", source, "-o", tmp_path / "x.npy", "--backend", "jax"),
        JAX_DISABLE_JIT="1",
        JAX_TRANSFER_GUARD="disallow",
        JAX_DEBUG_NANS="1",
        JAX_DEBUG_INFS="1",
        JAX_NUMPY_DTYPE_PROMOTION="strict",
        JAX_ENABLE_X64="1",
        JAX_LOG_COMPILES="1",
        XLA_FLAGS="--xla_cpu_enable_fast_math=true --xla_force_host_platform_device_count=3",
        L2NORM_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert (done.code, done.out, done.err.count("\n")) == (0, "", 1)
    expected = true_quotient(np.load(source)).astype("f4")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)


@pytest.mark.parametrize(
    ("environ", "code", "message"),
    [
        (
            {"JAX_PLATFORMS": "abacus"},
            2,
            "jax finds no device to run on (JAX_PLATFORMS is 'abacus'",
        ),
        ({"JAX_DISABLE_JIT": "maybe"}, 2, "jax can't be imported (ValueError: invalid truth value"),
        ({"XLA_FLAGS": "--xla_abacus=3"}, 3, "look at XLA_FLAGS, which is '--xla_abacus=3'"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_met_is_named(
    tmp_path: Path, environ: dict[str, str], code: int, message: str
) -> None:
    source = SAMPLES / "glove-50d.npy"
    arguments = ("normalize", source, "-o", tmp_path / "x.npy", "--backend", "jax")
    done = l2norm_anew(*arguments, cwd=None, **environ)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert message in done.err
    assert "unexpected" not in done.err
    assert list(tmp_path.iterdir()) == []


def _told(calls: dict[str, Callable[[], Any]]) -> dict[str, str]:
    actual = {}
    for name, call in calls.items():
        try:
            actual[name] = f"no error, but {call()}"
        except Exception as exc:
            actual[name] = f"{type(exc).__name__}: {exc}"
    return actual


def _other_tensors_of_tensorflow() -> dict[str, str]:
    import keras
    import tensorflow as tf

    import l2cli

    ragged = tf.ragged.constant([[3.0, 4.0], [1.0]])
    sparse = tf.sparse.from_dense(tf.eye(3))
    unknown = tf.function(
        l2cli.l2_normalize, input_signature=[tf.TensorSpec(None, tf.float32)], autograph=False
    )
    inside = tf.function(
        lambda x: l2cli.L2Normalization()(x),
        input_signature=[tf.TensorSpec(None, tf.float32)],
        autograph=False,
    )
    return _told(
        {
            "ragged": lambda: l2cli.l2_normalize(ragged),
            "ragged, in a layer": lambda: l2cli.L2Normalization()(ragged),
            "sparse": lambda: l2cli.l2_normalize(sparse),
            "sparse, in a layer": lambda: l2cli.L2Normalization()(sparse),
            "sparse, symbolic": lambda: l2cli.l2_normalize(keras.Input((3,), sparse=True)),
            "unknown": unknown.get_concrete_function,
            "unknown, in a layer": inside.get_concrete_function,
        }
    )


def test_tensors_that_are_not_dense_are_refused_by_name(
    tensorflow_process: BackendProcess,
) -> None:
    actual = tensorflow_process.call(_other_tensors_of_tensorflow)
    for name in ("ragged", "ragged, in a layer"):
        assert "`x` is sparse or ragged (RaggedTensor), expected a dense tensor" in actual[name]
        assert "use x.to_tensor(); the zeros that it appends" in actual[name]
    for name in ("sparse", "sparse, in a layer", "sparse, symbolic"):
        assert "Tensor), expected a dense tensor; use tf.sparse.to_dense(x)" in actual[name], name
    for name in ("unknown", "unknown, in a layer"):
        assert "the rank of `x` is not known, and `axis` counts its axes" in actual[name]


def _sparse_of_jax_and_scipy() -> dict[str, str]:
    import jax.numpy as jnp
    from jax.experimental import sparse

    import l2cli

    scipy_sparse = importlib.import_module("scipy.sparse")
    return _told(
        {
            "BCOO": lambda: l2cli.l2_normalize(sparse.BCOO.fromdense(jnp.eye(3))),
            "BCSR": lambda: l2cli.l2_normalize(sparse.BCSR.fromdense(jnp.eye(3))),
            "csr_array": lambda: l2cli.l2_normalize(scipy_sparse.csr_array(np.eye(3, 4))),
        }
    )


def test_sparse_arrays_of_jax_and_scipy_are_refused(jax_process: BackendProcess) -> None:
    pytest.importorskip("scipy")
    for name, message in jax_process.call(_sparse_of_jax_and_scipy).items():
        assert message == (
            f"TypeError: `x` is sparse or ragged ({name}), expected a dense tensor; use x.todense()"
        )


def _ragged_rows_padded() -> Array:
    import tensorflow as tf

    import l2cli

    ragged = tf.ragged.constant([[3.0, 4.0], [2.0]])
    return np.asarray(l2cli.l2_normalize(ragged.to_tensor()))


def test_what_the_message_about_ragged_tensors_says_is_right(
    tensorflow_process: BackendProcess,
) -> None:
    padded = tensorflow_process.call(_ragged_rows_padded)
    np.testing.assert_array_equal(padded, np.array([[0.6, 0.8], [1, 0]], "f4"))


def _lite() -> tuple[bytes, str]:
    import tensorflow as tf

    import l2cli

    converter = tf.lite.TFLiteConverter.from_keras_model(l2cli.build_model((4,)))
    try:
        converter.convert()
        problem = ""
    except Exception as exc:
        problem = str(exc)
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS, sets.SELECT_TF_OPS]
    return converter.convert(), problem


def test_tensorflow_lite_needs_the_operations_of_tensorflow(
    tensorflow_process: BackendProcess,
) -> None:
    content, problem = tensorflow_process.call(_lite)
    assert content[4:8] == b"TFL3"
    assert "neither a custom op nor a flex op" in problem  # Its own has no float64.
