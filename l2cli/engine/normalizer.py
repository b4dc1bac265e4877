"""One array's batches in; unit rows, their norms, and counts out.

The one engine of the package: files, arrays and checks take their batches through a
:class:`Normalizer`. The graph does the work (:mod:`l2cli.engine.vectors`), and behind it stands
the exact fallback. It knows no files, formats and threads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import is_one_row
from l2cli.dtypes import numpy_dtype
from l2cli.engine.vectors import Vectors
from l2cli.report import Counts

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec, Batch
    from l2cli.engine.backend import LazyBackend
    from l2cli.engine.fallback import ExactFallback
    from l2cli.engine.vectors import Read, VectorSums
    from l2cli.options import NormalizeOptions

    Array = np.ndarray[Any, Any]


def make_normalizer(
    array: ArraySpec,
    output: ArraySpec,
    options: NormalizeOptions,
    backend: LazyBackend,
    *,
    keep_norms: bool = False,
) -> Normalizer:
    """Return the normalizer for ``array``, which becomes ``output``.

    Parameters
    ----------
    keep_norms : bool
        Whether batches of vectors that lie within a row each get the norms that these had.
    """
    normalizer: type[Normalizer] = RowNormalizer
    if 0 in output.shape:
        normalizer = EmptyNormalizer
    elif 0 in options.axes(array):
        normalizer = ColumnNormalizer
    return normalizer(array, output, options, backend, keep_norms=keep_norms)


class Normalizer(ABC):
    """Normalizes the batches of one array, or takes their norms alone.

    Parameters
    ----------
    array, output : ArraySpec
    options : NormalizeOptions
    backend : LazyBackend
    keep_norms : bool
        As for :func:`make_normalizer`.

    Attributes
    ----------
    num_passes : int
        How often the array is read, unless some of its vectors are out of range.
    counts : Counts
        What was normalized so far.
    vectors : Vectors
        The vectors of the array.
    """

    num_passes = 1

    def __init__(
        self,
        array: ArraySpec,
        output: ArraySpec,
        options: NormalizeOptions,
        backend: LazyBackend,
        *,
        keep_norms: bool,
    ) -> None:
        self.counts = Counts()
        self.vectors = Vectors(array, output, options, backend)
        self._dtype = numpy_dtype(output.dtype)
        self._epsilon = options.epsilon
        self._keep_norms = keep_norms
        self._output, self._options = output, options

    @cached_property
    def _fallback(self) -> ExactFallback:
        """What handles the vectors for which the graph is not exact: most arrays hold none."""
        from l2cli.engine.fallback import ExactFallback

        return ExactFallback(self._output, self.vectors.axes, self._options, self.counts)

    @property
    def spans_batches(self) -> bool:
        """Whether vectors lie along axis 0, so that each takes the whole array."""
        return 0 in self.vectors.axes

    @abstractmethod
    def measure(self, read: Read) -> None:
        """Compute what has to be known before the first batch.

        Parameters
        ----------
        read : callable
            Starts a new pass over the array's batches.
        """

    @abstractmethod
    def normalize(self, batch: Batch) -> Batch:
        """Return ``batch`` with its rows normalized, in the output's dtype.

        Raises
        ------
        RowError
            At the first row that the options refuse.
        """

    @abstractmethod
    def norms(self, batch: Batch) -> Array:
        """Return the float64 norms of a batch's vectors: NaN for non-finite ones.

        Nothing is counted or refused. The shape is that of ``batch.rows`` without the axes that a
        vector lies along.
        """

    @property
    def column_norms(self) -> Array:
        """The norms of vectors that lie along axis 0, once :meth:`measure` was called."""
        return np.zeros(self.vectors.free_shape)

    def _check(self, sums: VectorSums, batch: Batch | None = None) -> None:
        """Count vectors, and refuse the first that the options refuse."""
        chosen = sums.out_of_range
        floored = sums.sums.reshape(chosen.shape) < self._epsilon
        self.counts.num_rows += chosen.size
        self.counts.floored += int((~chosen & floored).sum())
        if sums.exact_norms is not None:
            self._fallback.classify(sums.exact_norms, np.argwhere(chosen), batch)

    def _completed(self, normalized: Array, rows: Array, sums: VectorSums) -> Array:
        """Return ``normalized`` with the vectors that are out of range computed from ``rows``."""
        chosen = sums.out_of_range
        if sums.exact_norms is None:
            return normalized
        normalized = np.array(normalized)
        vectors = self._fallback.normalize(self.vectors.select(rows, chosen), sums.exact_norms)
        self.vectors.assign(normalized, chosen, vectors)
        return normalized


class RowNormalizer(Normalizer):
    """Vectors that lie within a row each."""

    def measure(self, read: Read) -> None:
        """Do nothing: a row is all that its vectors depend on."""

    def normalize(self, batch: Batch) -> Batch:
        """Return ``batch`` with its rows normalized; see :meth:`Normalizer.normalize`."""
        if is_one_row(batch.rows):
            return self._normalize_repeated(batch)
        rows = self.vectors.rows(batch)
        self.counts.null += batch.num_null
        if not len(rows):
            return replace(batch, rows=rows.astype(self._dtype))
        normalized, sums = self.vectors.normalize(rows)
        self._check(sums, batch)
        normalized = self._completed(normalized, rows, sums)
        return replace(batch, rows=normalized, norms=sums.norms if self._keep_norms else None)

    def norms(self, batch: Batch) -> Array:
        """Return the norms of a batch's vectors; see :meth:`Normalizer.norms`."""
        if is_one_row(batch.rows):
            one = self.norms(replace(batch, rows=batch.rows[:1]))
            return _repeated(one, len(batch.rows))
        rows = self.vectors.rows(batch)
        if not rows.size:
            return _empty_norms(batch.rows, self.vectors.axes)
        return self.vectors.measure(rows).norms

    def _normalize_repeated(self, batch: Batch) -> Batch:
        """Normalize one row in the place of all, and count it as often as it stands there."""
        before, num_rows = replace(self.counts), len(batch.rows)
        one = self.normalize(replace(batch, rows=batch.rows[:1]))
        self.counts.multiply_since(before, num_rows)
        norms = None if one.norms is None else _repeated(one.norms, num_rows)
        return replace(batch, rows=_repeated(one.rows, num_rows), norms=norms)


class EmptyNormalizer(Normalizer):
    """An array without a single component: its vectors, if there are any, are zero rows."""

    def measure(self, read: Read) -> None:
        """Count the vectors, which needs no pass."""
        self.counts.num_rows = self.counts.zero = int(np.prod(self.vectors.free_shape, dtype=int))

    def normalize(self, batch: Batch) -> Batch:
        """Return ``batch`` in the output's dtype."""
        norms = self.norms(batch) if self._keep_norms and not self.spans_batches else None
        return replace(batch, rows=batch.rows.astype(self._dtype), norms=norms)

    def norms(self, batch: Batch) -> Array:
        """Return zeros."""
        return _empty_norms(batch.rows, self.vectors.axes)


class ColumnNormalizer(Normalizer):
    """Vectors that lie along axis 0, and so across batches: one pass to sum, one to scale."""

    num_passes = 2
    _sums: VectorSums | None = None

    def measure(self, read: Read) -> None:
        """Sum the squares of all rows."""
        self._sums = self.vectors.sum_all(read)
        if self._sums is not None:
            self._check(self._sums)

    def normalize(self, batch: Batch) -> Batch:
        """Return ``batch`` with its rows scaled by the sums of :meth:`measure`."""
        rows = self.vectors.spanning_rows(batch)
        self.counts.null += batch.num_null
        if not len(rows):
            return replace(batch, rows=rows.astype(self._dtype))
        assert self._sums is not None
        scaled = self.vectors.scale(rows, self._sums)
        return replace(batch, rows=self._completed(scaled, rows, self._sums))

    def norms(self, batch: Batch) -> Array:
        """Return the norms of all vectors: each has components in every batch."""
        return self.column_norms

    @property
    def column_norms(self) -> Array:
        """The norms that :meth:`measure` found; zeros where no row came."""
        return super().column_norms if self._sums is None else self._sums.norms


def _repeated(row: Array, num_rows: int) -> Array:
    return np.broadcast_to(row, (num_rows, *row.shape[1:]))


def _empty_norms(rows: Array, axes: tuple[int, ...]) -> Array:
    return np.zeros([length for axis, length in enumerate(rows.shape) if axis not in axes])
