"""Checking one array: its norms are computed and counted, and its rows compared if asked.

``check`` and ``normalize``'s verification hand batches to an :class:`ArrayRun`; the norms come from
the engine. Where the batches come from is a matter of the caller.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from l2cli.arrays import is_one_row
from l2cli.checking.comparison import angles, side_by_side
from l2cli.checking.result import ArrayCheck
from l2cli.checking.statistics import NUM_NAMED_ROWS, NormStatistics
from l2cli.engine.normalizer import Normalizer, make_normalizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import numpy as np

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.engine.backend import LazyBackend
    from l2cli.engine.vectors import Read
    from l2cli.options import NormalizeOptions

    Array = np.ndarray[Any, Any]


class ArrayRun:
    """Checks one array.

    Parameters
    ----------
    reading : NormalizeOptions
        What is read, and how.
    tolerance : float
        How far from 1 the norm of a unit row may be.

    Attributes
    ----------
    statistics : NormStatistics
        What was counted so far.
    num_incomplete : int
        How many of the rows that were taken have null components.
    spans : bool
        Whether its vectors lie along axis 0.
    """

    def __init__(
        self,
        array: ArraySpec,
        reading: NormalizeOptions,
        backend: LazyBackend,
        tolerance: float,
        *,
        allow_zero: bool,
    ) -> None:
        self.array = array
        self.statistics = NormStatistics(allow_zero=allow_zero)
        self._allow_zero = allow_zero
        self._reading = reading
        self._backend = backend
        self._tolerance = tolerance
        self._normalizer = self._make_normalizer(array)
        self._num_rows = 0
        self.num_incomplete = 0
        self.spans = self._normalizer.spans_batches

    def take(self, batch: Batch) -> None:
        """Check the rows of ``batch``, whose vectors lie within a row each."""
        self._count(batch)
        norms = self._normalizer.norms(batch)
        # Of rows that are all alike, those that may be named; the rest by arithmetic.
        stop = NUM_NAMED_ROWS if is_one_row(batch.rows) else len(norms)
        self.statistics.add(norms[:stop], self._tolerance, batch.row_number)
        if stop < len(norms):
            self.statistics += self._repeated(norms[:1], len(norms) - stop)

    def take_all(self, read: Read) -> None:
        """Check vectors that lie along axis 0. ``read`` starts a new pass."""
        is_first = True

        def counted() -> Iterator[Batch]:
            nonlocal is_first
            for batch in read():
                if is_first:
                    self._count(batch)
                yield batch
            is_first = False

        self._normalizer.measure(counted)
        if is_first:  # Of an array without a component nothing was read.
            list(counted())
        self.statistics.add(self._normalizer.column_norms, self._tolerance, int)

    def take_pairs(self, array: ArraySpec, before: Iterable[Batch], after: Iterable[Batch]) -> None:
        """Check the rows of ``after``, and compare each with what it was made of.

        Parameters
        ----------
        array : ArraySpec
            The one that the batches ``before`` are of.
        """
        originals = self._make_normalizer(array)
        for old, new in side_by_side(before, map(self._count, after)):
            norms = self._normalizer.norms(new)
            between = angles(originals.vectors.all(old), self._normalizer.vectors.all(new))
            self.statistics.add_before(originals.norms(old))
            self.statistics.add(
                norms, self._tolerance, new.row_number, between.reshape(norms.shape)
            )

    def result(self) -> ArrayCheck:
        """Return the result."""
        array, summary = self.array, self.statistics.summary()
        shape = (self._num_rows, *self._normalizer.vectors.source_shape.common)
        return ArrayCheck(
            array.name, shape, array.dtype, self._tolerance, summary, self.statistics.non_unit_rows
        )

    def _make_normalizer(self, array: ArraySpec) -> Normalizer:
        """Return what takes the norms of ``array``, whose vectors are counted here, not there."""
        options = replace(self._reading, nonfinite="keep", zero_rows="keep")
        return make_normalizer(array, array, options, self._backend)

    def _repeated(self, norms: Array, times: int) -> NormStatistics:
        """Return the statistics of ``norms`` so many times over."""
        total, doubled = (NormStatistics(allow_zero=self._allow_zero) for _ in range(2))
        doubled.add(norms, self._tolerance, int)
        while times:
            if times & 1:
                total += doubled
            doubled += doubled
            times >>= 1
        return total

    def _count(self, batch: Batch) -> Batch:
        self._num_rows += len(batch.rows) + batch.num_null
        self.num_incomplete += 0 if batch.incomplete is None else int(batch.incomplete.sum())
        self.statistics.add_null(batch.num_null, batch.first_null)
        return batch
