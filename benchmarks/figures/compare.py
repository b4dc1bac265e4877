"""What five ways of normalizing make of the same rows.

Run it as ``python -m benchmarks.figures.compare``. Prints the table in README.md. Needs
scikit-learn beside what the tests need.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.preprocessing import normalize as sklearn_normalize

from l2cli.engine.array import normalize_array
from l2cli.options import NormalizeOptions
from tests.support.reference import worst_ulp

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

WAYS: dict[str, Callable[[Array], Any]] = {
    "`l2norm`": lambda rows: normalize_array(rows, NormalizeOptions(nonfinite="keep"))[0],
    "NumPy, `x / norm`": lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True),
    "scikit-learn": sklearn_normalize,
    "`UnitNormalization`": lambda rows: np.asarray(keras.layers.UnitNormalization()(rows)),
    "`tf.math.l2_normalize`": lambda rows: tf.math.l2_normalize(rows, axis=1).numpy(),
}


def _ordinary(way: Callable[[Array], Any]) -> str:
    rows = np.random.default_rng(0).standard_normal((2000, 768)).astype("f4")
    return f"{worst_ulp(way(rows), rows):.2f} ulp"


def _large(way: Callable[[Array], Any]) -> str:
    return _norm(way(np.full((1, 4), 5e24, "f4")))


def _half(way: Callable[[Array], Any]) -> str:
    return _norm(way(np.full((1, 768), 10, "f2")))


def _zero(way: Callable[[Array], Any]) -> str:
    return "zeros" if not np.any(way(np.zeros((1, 4), "f2"))) else "NaN"


def _double(way: Callable[[Array], Any]) -> str:
    return str(way(np.ones((1, 4))).dtype)


def _batches(way: Callable[[Array], Any]) -> str:
    rows = np.random.default_rng(1).standard_normal((500, 768)).astype("f4")
    parts = np.concatenate([way(rows[i : i + 1]) for i in range(len(rows))])
    return f"{(parts != way(rows)).any(axis=1).mean():.0%} of rows differ"


CASES: dict[str, Callable[[Callable[[Array], Any]], str]] = {
    "largest error, float32, 768 components": _ordinary,
    "norm of float32 rows of norm 1e25": _large,
    "norm of float16 rows of 768 × 10": _half,
    "a float16 row of zeros": _zero,
    "dtype of float64 rows": _double,
    "one row at a time against all at once": _batches,
}


def _norm(rows: Array) -> str:
    return f"{np.linalg.norm(rows[0].astype(float)):.5g}"


def _attempt(case: Callable[[Callable[[Array], Any]], str], way: Callable[[Array], Any]) -> str:
    try:
        return case(way)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as exc:
        return type(exc).__name__


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print("| |", " | ".join(WAYS), "|")
    print("|---" * (len(WAYS) + 1), "|", sep="")
    for title, case in CASES.items():
        print(f"| {title} |", " | ".join(_attempt(case, way) for way in WAYS.values()), "|")


if __name__ == "__main__":
    main()
