"""One NumPy array, normalized as the command would normalize it in a file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import ITEM_SIZES, ArraySpec, Batch, numpy_dtype, rows_per_batch, windows
from l2cli.errors import SourceError
from l2cli.graph import load_backend
from l2cli.normalizer import make_normalizer
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.backend import Backend

    Array = np.ndarray[Any, Any]


def normalize(
    array: Array, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-12, **options: Any
) -> Array:
    """Return ``array`` with Euclidean norm 1 along ``axis``, the bits that the command writes.

    Every finite row is exact, from the smallest subnormal number of its dtype to the largest;
    a row with NaN or Inf is an error unless ``nonfinite`` says otherwise.

    Parameters
    ----------
    array
        Of any rank but 0, of ``float16``, ``bfloat16``, ``float32`` or ``float64`` in any byte
        order; integers where a ``dtype`` is given. It stays as it is.
    axis
        The axis, or axes, that one vector lies along.
    epsilon
        Lower bound on the sum of squares; 0 makes every finite non-zero row unit. One that is
        shorter than its square root does not become unit.
    options
        The rest of :class:`~l2cli.options.NormalizeOptions`: ``dtype``, ``zero_rows``,
        ``nonfinite``, ``truncate_dim``, ``backend``, ``device``, ``batch_size``.

    Returns
    -------
    ndarray
        A new array of the same dtype and shape, unless ``dtype`` or ``truncate_dim`` ask for
        another.

    Raises
    ------
    OptionError
        Where an option is out of range, or the backend or device isn't there.
    SourceError
        Where the array can't be normalized. ``RowError``: for one of its rows.
    """
    array = np.asarray(array)
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    wishes = NormalizeOptions(axis=axes, epsilon=epsilon, **options)
    spec = _spec(array)
    output = wishes.output(spec)
    dtype = array.dtype if output.dtype == spec.dtype else numpy_dtype(output.dtype)
    shape = [length or 0 for length in output.shape]
    result = np.empty_like(array, dtype, shape=shape, subok=False)

    @cache
    def backend() -> Backend:
        return load_backend(wishes.backend, wishes.device)

    def batches() -> Iterator[Batch]:
        for start, stop in windows(len(array), rows_per_batch(spec, wishes.batch_size)):
            yield Batch(spec, array[start:stop], start)

    normalizer = make_normalizer(spec, output, wishes, backend)
    normalizer.measure(batches)
    for batch in batches():
        result[batch.start : batch.start + len(batch.rows)] = normalizer.normalize(batch).rows
    return result


def _spec(array: Array) -> ArraySpec:
    if array.dtype.name not in ITEM_SIZES:
        raise SourceError(f"array is {array.dtype}, expected numbers, such as float32")
    if array.ndim == 0:
        raise SourceError("array is a single number, expected at least one axis")
    return ArraySpec("", array.shape, array.dtype.name)
