"""One NumPy array, normalized as the command would normalize it in a file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import (
    FLOAT_DTYPES,
    ITEM_SIZES,
    ArraySpec,
    Batch,
    numpy_dtype,
    rows_per_batch,
    windows,
)
from l2cli.engine.normalizer import make_normalizer
from l2cli.errors import RowError, SourceError
from l2cli.graph.backends.load import load_backend
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from l2cli.graph.backends.base import Backend

    Array = np.ndarray[Any, Any]


def normalize(
    array: ArrayLike, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-12, **options: Any
) -> Array:
    """Return ``array`` with Euclidean norm 1 along ``axis``, the bits that the command writes.

    Every finite row is exact, from the smallest subnormal number of its dtype to the largest;
    a row with NaN or Inf is an error unless ``nonfinite`` says otherwise.

    Parameters
    ----------
    array
        Of any rank but 0, of ``float16``, ``bfloat16``, ``float32`` or ``float64`` in any byte
        order; integers where a ``dtype`` is given. It stays as it is. Of a masked array the
        vectors that are masked as a whole stay as they are; one that is masked in part is an
        error unless ``nonfinite`` lets it pass.
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
        another; of a masked array a masked array, with the same mask.

    Raises
    ------
    OptionError
        Where an option is out of range, or the backend or device isn't there.
    SourceError
        Where the array can't be normalized. ``RowError``: for one of its rows.
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    wishes = NormalizeOptions(axis=axes, epsilon=epsilon, **options)
    given = _as_array(array)
    if isinstance(given, np.ma.MaskedArray):
        return _normalized_masked(given, wishes)
    return _normalized(given, wishes)


def _as_array(array: ArrayLike) -> Array:
    """Return ``array`` as one of NumPy's, with its mask if it has one or its rows have."""
    rows: Any = array if isinstance(array, (list, tuple)) else (array,)
    try:
        if any(isinstance(row, np.ma.MaskedArray) for row in rows):
            return np.ma.asarray(array)
        return np.asarray(array)
    except (ValueError, TypeError) as exc:
        raise SourceError(f"array is no array of numbers: {exc}") from exc


def _normalized(array: Array, wishes: NormalizeOptions) -> Array:
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


def _normalized_masked(array: np.ma.MaskedArray[Any, Any], wishes: NormalizeOptions) -> Array:
    """Normalize what is not masked; masked components come through as they are.

    For the time being a vector that is masked as a whole is 1 in each component, and one that is
    masked in part is a non-finite one.
    """
    rows, keep = np.asarray(array.data), wishes.truncate_dim
    spec = _spec(rows)
    wishes.output(spec)
    axes = wishes.axes(spec)
    mask = np.ma.getmaskarray(array)[..., :keep]
    whole = mask.all(axis=axes, keepdims=True)
    partial = mask.any(axis=axes, keepdims=True) & ~whole
    if partial.any() and wishes.nonfinite == "error":
        raise RowError(
            f"array, index {_index(np.argwhere(partial)[0], axes)} holds a masked component; "
            "fill it, or let it pass with nonfinite='keep' (as it is) or nonfinite='zero'"
        )
    filled = rows.astype(rows.dtype if spec.dtype in FLOAT_DTYPES else np.float64)
    filled[..., :keep][mask & whole] = 1
    filled[..., :keep][mask & partial] = np.nan
    result = _normalized(filled, wishes)
    result[mask] = rows[..., :keep][mask].astype(result.dtype)
    final = np.ma.nomask if array.mask is np.ma.nomask else mask
    return np.ma.MaskedArray(result, final, fill_value=array.fill_value)


def _index(position: Array, axes: tuple[int, ...]) -> str:
    each = (":" if axis in axes else str(place) for axis, place in enumerate(position))
    return f"[{', '.join(each)}]"


def _spec(array: Array) -> ArraySpec:
    if array.dtype.name not in ITEM_SIZES:
        raise SourceError(f"array is {array.dtype}, expected numbers, such as float32")
    if array.ndim == 0:
        raise SourceError("array is a single number, expected at least one axis")
    return ArraySpec("", array.shape, array.dtype.name)
