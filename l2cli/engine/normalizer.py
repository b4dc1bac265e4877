"""One array's batches in, normalized batches out, and counts of what was found on the way.

The graph does the work; the few vectors that it can't be trusted with are done again on the host.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import is_one_row, numpy_dtype
from l2cli.engine.fallback import Mender
from l2cli.engine.vectors import Vectors
from l2cli.report import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.engine import exact
    from l2cli.engine.vectors import LoadBackend, SpanningSums
    from l2cli.options import NormalizeOptions

    Array = np.ndarray[Any, Any]


def make_normalizer(
    array: ArraySpec, output: ArraySpec, options: NormalizeOptions, backend: LoadBackend
) -> Normalizer:
    """Return the normalizer for ``array``, which becomes ``output``.

    ``backend`` is called when the first graph is needed: an empty array needs none.
    """
    kind: type[Normalizer] = SpanningNormalizer if 0 in options.axes(array) else RowNormalizer
    if 0 in output.shape:
        kind = EmptyNormalizer
    return kind(array, output, options, backend)


class Normalizer(ABC):
    """Normalizes the batches of one array.

    Attributes
    ----------
    passes
        How often the array is read, unless its numbers are extreme.
    counts
        What was found so far.
    vectors
        Of the array.
    keeps_norms
        Whether batches of vectors that lie within a row each get the norms that these had.
    """

    passes = 1

    def __init__(
        self, array: ArraySpec, output: ArraySpec, options: NormalizeOptions, backend: LoadBackend
    ) -> None:
        self.counts = Counts()
        self.keeps_norms = False
        self._output = output
        self._options = options
        self.vectors = Vectors(array, output, options, backend)
        self._mender = Mender(output, self.vectors.axes, options, self.counts)

    @abstractmethod
    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        """Learn what must be known before the first batch. ``read`` starts a new pass."""

    @abstractmethod
    def normalize(self, batch: Batch) -> Batch:
        """Return ``batch`` with its rows normalized, in the output's dtype.

        Raises
        ------
        RowError
            At the first row that the options don't let pass.
        """

    @property
    def norms(self) -> Array:
        """The norms of vectors along axis 0: of the shape of the axes that they don't lie along.

        Zeros where no row came.
        """
        lengths = [
            n or 0 for axis, n in enumerate(self._output.shape) if axis not in self.vectors.axes
        ]
        return np.zeros(lengths)

    def _count(self, sums: Array, trusted: Array) -> None:
        self.counts.num_rows += sums.size
        floored = sums.reshape(trusted.shape) < self._options.epsilon
        self.counts.floored += int((trusted & floored).sum())

    def _mended(self, normalized: Array, rows: Array, chosen: Array, norms: exact.Norms) -> Array:
        """Return ``normalized`` with the ``chosen`` vectors done again, from ``rows``."""
        normalized = np.array(normalized)
        mended = self._mender.mend(self.vectors.take(rows, chosen), norms)
        self.vectors.put(normalized, chosen, mended)
        return normalized


class RowNormalizer(Normalizer):
    """Vectors that lie within a row each."""

    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        """Learn nothing: a row holds all that there is to know of its vectors."""

    def normalize(self, batch: Batch) -> Batch:
        if is_one_row(batch.rows):
            return self._normalize_alike(batch)
        rows = self.vectors.rows(batch)
        self.counts.null += batch.num_null
        if not len(rows):
            return replace(batch, rows=rows.astype(numpy_dtype(self._output.dtype)))
        if self.vectors.is_regular(rows):
            normalized, sums = self.vectors.run("normalize", rows)
        else:
            normalized = np.empty(rows.shape, numpy_dtype(self._output.dtype))
            sums = self.vectors.no_sums(rows)
        trusted = self.vectors.trust(sums)
        self._count(sums, trusted)
        kept = np.sqrt(sums).reshape(trusted.shape) if self.keeps_norms else None
        if not trusted.all():
            norms = self.vectors.norms(rows, ~trusted)
            self._mender.judge(norms, np.argwhere(~trusted), batch)
            normalized = self._mended(normalized, rows, ~trusted, norms)
            if kept is not None:
                kept[~trusted] = norms.value
        return replace(batch, rows=normalized, norms=kept)

    def _normalize_alike(self, batch: Batch) -> Batch:
        """Normalize one row in the place of all, and count it as often as it stands there."""
        before, num_rows = replace(self.counts), len(batch.rows)
        one = self.normalize(replace(batch, rows=batch.rows[:1]))
        self.counts.multiply_since(before, num_rows)
        norms = None if one.norms is None else _repeated(one.norms, num_rows)
        return replace(batch, rows=_repeated(one.rows, num_rows), norms=norms)


class EmptyNormalizer(Normalizer):
    """An array without a single component: its vectors, if there are any, are zero rows."""

    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        self.counts.num_rows = self.counts.zero = self.vectors.num_vectors

    def normalize(self, batch: Batch) -> Batch:
        free = [n for axis, n in enumerate(batch.rows.shape) if axis not in self.vectors.axes]
        rows = batch.rows.astype(numpy_dtype(self._output.dtype))
        keeps_norms = self.keeps_norms and 0 not in self.vectors.axes
        return replace(batch, rows=rows, norms=np.zeros(free) if keeps_norms else None)


class SpanningNormalizer(Normalizer):
    """Vectors that lie along axis 0, and so across batches: one pass to sum, one to scale."""

    passes = 2
    _all: SpanningSums | None = None

    @property
    def norms(self) -> Array:
        if self._all is None:
            return super().norms
        norms = np.array(np.sqrt(self._all.sums.reshape(self._all.extreme.shape)))
        norms[self._all.extreme] = self._all.norms.value
        return norms

    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        found = self.vectors.sum_all(read)
        if found is None:
            return
        self._all = found
        self._count(found.sums, ~found.extreme)
        if found.extreme.any():
            self._mender.judge(found.norms, np.argwhere(found.extreme))

    def normalize(self, batch: Batch) -> Batch:
        rows = self.vectors.spanning_rows(batch)
        self.counts.null += batch.num_null
        if not len(rows):
            return replace(batch, rows=rows.astype(numpy_dtype(self._output.dtype)))
        assert self._all is not None
        normalized = self.vectors.run("scale", rows, self._all.sums)[0]
        if self._all.extreme.any():
            normalized = self._mended(normalized, rows, self._all.extreme, self._all.norms)
        return replace(batch, rows=normalized)


def _repeated(row: Array, num_rows: int) -> Array:
    return np.broadcast_to(row, (num_rows, *row.shape[1:]))
