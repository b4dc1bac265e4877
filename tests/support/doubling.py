"""A format's reader and writer driven without a backend: each row comes back doubled.

Twice a number is exact, so what the file holds can be compared bit by bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from l2cli.arrays import numpy_dtype
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.registry import detect, open_reader

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.options import OpenOptions


def double(
    source: Path,
    *names: str,
    batch_size: int | None = None,
    dtype: str | None = None,
    keep: int | None = None,
    opening: OpenOptions = DEFAULT_OPENING,
) -> Path:
    """Double the arrays called ``names`` and return the file that holds them.

    ``dtype`` and ``keep`` change what is written as ``dtype`` and ``truncate_dim`` do.
    """
    destination = source.with_name(f"doubled{source.suffix}")
    with open_reader(source, detect(source), opening) as reader:
        specs = {spec.name: spec for spec in reader.arrays()}
        chosen = [specs[name] for name in names or ("",)]
        outputs = {spec.name: _output(spec, dtype, keep) for spec in chosen}
        with reader.writer(destination, outputs) as writer:
            for batch in reader.batches(chosen, batch_size):
                rows = batch.rows[..., :keep] * batch.rows.dtype.type(2)
                dtype_out = numpy_dtype(outputs[batch.array.name].dtype)
                writer.write(replace(batch, rows=rows.astype(dtype_out)))
            writer.finish()
    return destination


def _output(spec: ArraySpec, dtype: str | None, keep: int | None) -> ArraySpec:
    shape = spec.shape if keep is None else (*spec.shape[:-1], keep)
    return replace(spec, dtype=dtype or spec.dtype, shape=shape)
