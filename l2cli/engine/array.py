"""One NumPy array, normalized to the bytes that the command would write of it in a file.

:func:`normalize` is public; it takes the array through the same normalizer and the same loop as a
file's rows. It knows no files.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import ITEM_SIZES, ArraySpec, Batch, rows_per_batch, windows
from l2cli.dtypes import FLOAT_DTYPES, numpy_dtype
from l2cli.engine.backend import LazyBackend
from l2cli.engine.normalizer import make_normalizer
from l2cli.engine.pipeline import computed, computed_ahead
from l2cli.errors import RowError, SourceError
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from l2cli.report import Counts

    Array = np.ndarray[Any, Any]


def normalize(
    array: ArrayLike, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-12, **options: Any
) -> Array:
    """Return ``array`` with Euclidean norm 1 along ``axis``, the bits that the command writes.

    Every finite row is exact, from the smallest subnormal number of its dtype to the largest;
    a row with NaN or Inf is an error unless ``nonfinite`` says otherwise.

    Parameters
    ----------
    array : array_like
        Of any rank but 0, of ``float16``, ``bfloat16``, ``float32`` or ``float64`` in any byte
        order; integers where a ``dtype`` is given. It stays as it is. Of a masked array the
        vectors that are masked as a whole stay as they are; one that is masked in part is an
        error unless ``nonfinite`` lets it pass.
    axis : int or tuple of int
        The axis, or axes, that one vector lies along.
    epsilon : float
        Lower bound on the sum of squares; 0 makes every finite non-zero row unit. One that is
        shorter than its square root does not become unit.
    **options : Any
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
        Where the array can't be normalized.
    RowError
        Where one of its rows is refused; it is a ``SourceError`` too.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    checked = NormalizeOptions(axis=axes, epsilon=epsilon, **options)
    numbers = _as_array(array)
    if isinstance(numbers, np.ma.MaskedArray):
        return _normalize_masked(numbers, checked)
    return normalize_array(numbers, checked)[0]


def normalize_array(array: Array, options: NormalizeOptions) -> tuple[Array, Counts]:
    """Return an array without a mask, normalized, and what was counted in it.

    Raises
    ------
    SourceError
        As for :func:`normalize`.
    """
    spec = _spec(array)
    output = options.output(spec)
    dtype = array.dtype if output.dtype == spec.dtype else numpy_dtype(output.dtype)
    shape = [length or 0 for length in output.shape]
    result = np.empty_like(array, dtype, shape=shape, subok=False)

    batch_rows = rows_per_batch(spec, options.batch_size)

    def batches() -> Iterator[Batch]:
        for start, stop in windows(len(array), batch_rows):
            yield Batch(spec, array[start:stop], start)

    backend = LazyBackend(options.backend, options.device)
    normalizer = make_normalizer(spec, output, options, backend)
    normalizer.measure(batches)
    with (
        computed_ahead(batches(), normalizer.normalize, is_quick=True)
        if len(array) > batch_rows
        else nullcontext(computed(batches(), normalizer.normalize))  # Threads take 0.2 ms to start.
    ) as pairs:
        for _, batch in pairs:
            result[batch.start : batch.start + len(batch.rows)] = batch.rows
    return result, normalizer.counts


def _as_array(array: ArrayLike) -> Array:
    """Return ``array`` as one of NumPy's, with its mask if it has one or its rows have."""
    rows: Any = array if isinstance(array, (list, tuple)) else (array,)
    try:
        if any(isinstance(row, np.ma.MaskedArray) for row in rows):
            return np.ma.asarray(array)
        return np.asarray(array)
    except (ValueError, TypeError) as exc:
        raise SourceError(f"array is no array of numbers: {exc}") from exc


def _normalize_masked(array: np.ma.MaskedArray[Any, Any], options: NormalizeOptions) -> Array:
    """Normalize the vectors that are not masked; masked components stay as they are.

    Meanwhile a vector that is masked as a whole is 1 in each component, and one that is masked in
    part is a non-finite one.
    """
    rows, keep = np.asarray(array.data), options.truncate_dim
    spec = _spec(rows)
    options.output(spec)
    axes = options.axes(spec)
    mask = np.ma.getmaskarray(array)[..., :keep]
    whole = mask.all(axis=axes, keepdims=True)
    partial = mask.any(axis=axes, keepdims=True) & ~whole
    if partial.any() and options.nonfinite == "error":
        raise RowError(
            f"array, index {_index_text(np.argwhere(partial)[0], axes)} holds a masked component; "
            "fill it, or let it pass with `nonfinite='keep'` (as it is) or `nonfinite='zero'`"
        )
    filled = rows.astype(rows.dtype if spec.dtype in FLOAT_DTYPES else np.float64)
    filled[..., :keep][mask & whole] = 1
    filled[..., :keep][mask & partial] = np.nan
    result, _ = normalize_array(filled, options)
    result[mask] = rows[..., :keep][mask].astype(result.dtype)
    final = np.ma.nomask if array.mask is np.ma.nomask else mask
    return np.ma.MaskedArray(result, final, fill_value=array.fill_value)


def _index_text(position: Array, axes: tuple[int, ...]) -> str:
    indexes = (":" if axis in axes else str(index) for axis, index in enumerate(position))
    return f"[{', '.join(indexes)}]"


def _spec(array: Array) -> ArraySpec:
    if array.dtype.name not in ITEM_SIZES:
        raise SourceError(f"array is {array.dtype}, expected numbers, such as float32")
    if array.ndim == 0:
        raise SourceError("array is a single number, expected at least one axis")
    return ArraySpec("", array.shape, array.dtype.name)
