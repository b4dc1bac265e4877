"""Functional Keras models around the layers: what the compiled graphs are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from l2cli.layers import L2Normalization, SumOfSquares

if TYPE_CHECKING:
    from l2cli.spec import GraphSpec


def normalization_model(spec: GraphSpec) -> Any:
    """Return a model from a batch to its normalized rows and their sums of squares."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    sums = SumOfSquares(spec.axes, name="sum_of_squares")(rows)
    return keras.Model(rows, [_normalization(spec)(rows, sums=sums), sums], name="normalize")


def summation_model(spec: GraphSpec) -> Any:
    """Return a model from a batch to its share of sums that span batches, with their errors."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    shares = SumOfSquares(spec.axes, compensated=True, name="sum_of_squares")(rows)
    return keras.Model(rows, list(shares), name="sum")


def scaling_model(spec: GraphSpec) -> Any:
    """Return a model from a batch and sums that span batches to the normalized rows."""
    rows = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name="rows")
    sums = keras.Input(batch_shape=spec.sums_shape, dtype="float64", name="sum_of_squares")
    return keras.Model([rows, sums], [_normalization(spec)(rows, sums=sums)], name="scale")


def _normalization(spec: GraphSpec) -> L2Normalization:
    return L2Normalization(spec.axes, spec.epsilon, spec.output_dtype, name="l2_normalization")
