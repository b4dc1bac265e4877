"""A format's reader and writer driven without a backend: each row comes back doubled.

Twice a number is exact, so what the file holds can be compared bit by bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.dtypes import numpy_dtype
from l2cli.errors import SelectionError
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.registry import detect, open_reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.options import OpenOptions

Rows = np.ndarray[Any, Any]


def doubled(rows: Rows) -> Rows:
    twice: Rows = rows * rows.dtype.type(2)
    return twice


def detected(path: Path, opening: OpenOptions) -> Reader:
    """Open a file with the reader that its suffix and its first bytes ask for."""
    return open_reader(path, detect(path), opening)


def double(source: Path, *names: str, **options: Any) -> Path:
    """Double the arrays called ``names``, or the only one, and return the file that holds them."""
    destination = source.with_name(f"doubled{source.suffix}")
    rewrite(source, destination, *(names or ("",)), **options)
    return destination


def rewrite(
    source: Path,
    destination: Path,
    *names: str,
    batch_size: int | None = None,
    dtype: str | None = None,
    dim: int | None = None,
    change: Callable[[Rows], Rows] = doubled,
    opening: OpenOptions = DEFAULT_OPENING,
    reader: Callable[[Path, OpenOptions], Reader] = detected,
) -> None:
    """Send the arrays called ``names``, or all of floats, through a reader and its writer.

    ``dtype`` and ``dim`` change what is written as ``dtype`` and ``truncate_dim`` do.
    """
    with reader(source, opening) as opened:
        arrays = _chosen(opened, names)
        outputs = {array.name: _output(array, dtype, dim) for array in arrays}
        with opened.writer(destination, outputs) as writer:
            for batch in opened.batches(arrays, batch_size):
                rows = change(batch.rows[..., :dim])
                dtype_out = numpy_dtype(outputs[batch.array.name].dtype)
                writer.write(replace(batch, rows=rows.astype(dtype_out)))
            writer.finish()


def _chosen(reader: Reader, names: tuple[str, ...]) -> list[ArraySpec]:
    arrays = reader.arrays()
    if not names:
        return [a for a in arrays if not a.refusal and a.dtype.startswith("float")]
    by_name = {array.name: array for array in reversed(arrays)}
    chosen = []
    for name in names:
        array = by_name.get(name) or reader.group(name)
        if array is None:
            raise SelectionError(name)
        chosen.append(array)
    return chosen


def _output(spec: ArraySpec, dtype: str | None, dim: int | None) -> ArraySpec:
    shape = spec.shape if dim is None else (*spec.shape[:-1], dim)
    return replace(spec, dtype=dtype or spec.dtype, shape=shape)
