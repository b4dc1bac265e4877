"""The three models: the same bits, trained, saved and loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.reference import BFLOAT16, worst_ulp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]

STYLES = ["layer", "lambda", "function"]


def _rows(dtype: Any, shape: tuple[int, ...] = (100, 20)) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def _outputs(rows: Array, style: str, axis: Any) -> Array:
    from l2cli import build_model

    model = build_model(rows.shape[1:], axis, dtype=rows.dtype.name, style=style)  # type: ignore[arg-type]
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "Total params: 0" in "\n".join(lines)
    assert model.output_shape == (None, *rows.shape[1:])
    return np.asarray(model(rows))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", ["float16", BFLOAT16, "float32"], ids=str)
def test_each_style_gives_the_bytes_of_the_command(
    backend: BackendProcess, style: str, dtype: Any
) -> None:
    rows = _rows(dtype)
    assert backend.call(_outputs, rows, style, -1).tobytes() == backend.run(rows)[0].tobytes()
    blocks = _rows(dtype, (10, 3, 8))
    expected = backend.run(blocks, axis=(1, 2))[0]
    assert backend.call(_outputs, blocks, style, (1, 2)).tobytes() == expected.tobytes()


def _trained(style: str, rows: Array, targets: Array) -> tuple[float, float, Array]:
    import keras

    from l2cli import build_model

    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    last = build_model((4,), style=style)  # type: ignore[arg-type]
    model = keras.Sequential([encoder, last])
    model.compile("adam", "mse")
    before = model.evaluate(rows, targets, verbose=0)
    model.fit(rows, targets, epochs=3, verbose=0)
    return before, model.evaluate(rows, targets, verbose=0), model.predict(rows, verbose=0)


@pytest.mark.parametrize("style", STYLES)
def test_each_style_trains_as_the_last_step_of_an_encoder(
    backend: BackendProcess, style: str
) -> None:
    rows = _rows("float32", (256, 8))
    rows[0] = 0  # With a bias of 0, its encoding is a zero row in the first step.
    targets = rows[:, :4] / np.linalg.norm(rows[:, :4], axis=1, keepdims=True).clip(1e-6)
    before, after, outputs = backend.call(_trained, style, rows, targets)
    assert after < before
    np.testing.assert_allclose(np.linalg.norm(outputs[1:], axis=1), 1, rtol=1e-6)


def _save_all(folder: str, rows: Array) -> Array:
    from l2cli import build_model

    for style in STYLES:
        model = build_model(rows.shape[1:], style=style)  # type: ignore[arg-type]
        model.save(f"{folder}/{style}.keras")
    return np.asarray(model(rows))


_LOADING = """
import keras, l2cli, numpy as np
load = keras.saving.load_model
models = [load("layer.keras"), load("function.keras"), load("lambda.keras", safe_mode=False)]
np.savez("loaded.npz", *[np.asarray(model(np.load("rows.npy"))) for model in models])
load("lambda.keras")
"""


def test_models_are_loaded_without_custom_objects_and_a_lambda_where_the_user_says_so(
    jax_process: BackendProcess, tmp_path: Path
) -> None:
    rows = _rows("float32")
    np.save(tmp_path / "rows.npy", rows)
    expected = jax_process.call(_save_all, str(tmp_path), rows)
    done = subprocess.run(
        [sys.executable, "-c", _LOADING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    loaded = np.load(tmp_path / "loaded.npz")
    assert [loaded[name].tobytes() == expected.tobytes() for name in loaded] == [True] * 3
    assert done.returncode == 1
    assert "the deserialization of a `Lambda` layer" in done.stderr
    assert "safe_mode=False" in done.stderr


def _refusal(arguments: dict[str, Any]) -> str:
    from l2cli import build_model

    try:
        build_model(**{"shape": (4,), **arguments})
    except (TypeError, ValueError) as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": 0}, "`axis` is 0, and axis 0 is the batch; expected axes of one input, 1 to 1"),
        ({"axis": 2}, "the input has rank 2, so axis 2 is out of range; expected -2 to 1"),
        ({"shape": 4}, "`shape` is 4, expected a tuple, such as (768,)"),
        ({"dtype": "int8"}, "`dtype` is int8, expected float16, bfloat16, float32, float64"),
        ({"epsilon": -1.0}, "`epsilon` is -1.0, expected a finite number, 0 or more"),
        ({"style": "class"}, "`style` is 'class', expected layer, lambda, function"),
    ],
)
def test_arguments_are_refused_in_clear_words(
    jax_process: BackendProcess, arguments: dict[str, Any], message: str
) -> None:
    assert jax_process.call(_refusal, arguments).startswith(message)


def _plain(rows: Array, epsilon: float) -> Array:
    from l2cli.graph.models import standalone_model

    model = standalone_model(rows.shape[1:], -1, epsilon, rows.dtype.name)
    return np.asarray(model(rows))


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
def test_float32_instead_of_float64_stays_in_range(jax_process: BackendProcess) -> None:
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((500, 50)) * 2.0 ** rng.integers(-95, 120, (500, 1))).astype("f4")
    assert worst_ulp(jax_process.call(_plain, rows, 0.0), rows, 0.0, 2.0**-70) <= 3
    assert worst_ulp(jax_process.call(_plain, rows, 1e-12), rows, 1e-12, 2.0**-70) <= 3
