"""One array's batches in, normalized batches out, and counts of what was found on the way.

The graph does the work, and returns each vector's sum of squares beside the rows. From these
sums alone it is known which vectors are ordinary; the few others are done again on the host.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from l2cli import exact
from l2cli.arrays import BATCH_BYTES, FLOAT_DTYPES, numpy_dtype
from l2cli.errors import SourceError
from l2cli.mending import Mender
from l2cli.report import Counts
from l2cli.spec import GraphSpec
from l2cli.summation import add_compensated, compensated_tree_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.graph import Backend, Graph
    from l2cli.options import NormalizeOptions

    Array = np.ndarray[Any, Any]
    LoadBackend = Callable[[], Backend]
    Step = Literal["normalize", "sum", "scale"]

# XLA on CPU reads and writes subnormal numbers as zero. For a vector whose sum of squares lies
# between these bounds that moves no component of the result by more than 2**-70 (float64:
# 2**-110), and neither the sum nor the scale made of it leaves the range it is computed in.
_TRUSTED_SUMS = {
    "float16": (2.0**-112, 2.0**240),
    "bfloat16": (2.0**-112, 2.0**240),
    "float32": (2.0**-112, 2.0**300),
    "float64": (2.0**-900, 2.0**1000),
}
_LOWEST_TRUSTED_FOR_FLOAT64 = 2.0**-32
"""What the lower bound rises to where narrower rows become float64 and 2**-110 is promised."""


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
    """

    passes = 1

    def __init__(
        self, array: ArraySpec, output: ArraySpec, options: NormalizeOptions, backend: LoadBackend
    ) -> None:
        self.counts = Counts()
        self._output = output
        self._backend = backend
        self._options = options
        self._axes = options.axes(array)
        self._mender = Mender(output, self._axes, options, self.counts)
        # Integers enter the graph as float64, which holds all of them that a result can show.
        self._dtype = array.dtype if array.dtype in FLOAT_DTYPES else "float64"
        self._graphs: dict[Step, tuple[int, Graph]] = {}
        self._row_shape: tuple[int, ...] | None = None
        self._is_ragged = False

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """The shape of the rows that went out; of what was promised where they differ."""
        is_uniform = self._row_shape is not None and not self._is_ragged
        return self._row_shape if is_uniform and self._row_shape else self._output.shape[1:]

    @abstractmethod
    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        """Learn what must be known before the first batch. ``read`` starts a new pass."""

    @abstractmethod
    def normalize(self, batch: Batch) -> Array:
        """Return the rows of ``batch`` normalized, in the output's dtype.

        Raises
        ------
        RowError
            At the first row that the options don't let pass.
        """

    def _rows(self, batch: Batch) -> Array:
        rows = batch.rows[..., : self._options.truncate_dim]
        if self._row_shape is None and len(rows):
            self._row_shape = rows.shape[1:]
        self._is_ragged |= len(rows) > 0 and rows.shape[1:] != self._row_shape
        return np.ascontiguousarray(rows, numpy_dtype(self._dtype))

    def _run(self, step: Step, rows: Array, *sums: Array) -> list[Array]:
        """Run the graph of ``step`` over ``rows``, padded to the rows that it was made for."""
        capacity, graph = self._graphs.get(step, (0, None))
        if graph is None or capacity < len(rows):
            capacity = _capacity(rows)
            graph = self._backend().compile(self._spec(step, (capacity, *rows.shape[1:])))
            self._graphs[step] = capacity, graph
        if len(rows) < capacity:
            padded = np.zeros((capacity, *rows.shape[1:]), rows.dtype)
            padded[: len(rows)] = rows
            rows = padded
        return graph(rows, *sums)

    def _spec(self, step: Step, shape: tuple[int, ...]) -> GraphSpec:
        output, epsilon = self._output.dtype, self._options.epsilon
        return GraphSpec(step, shape, self._dtype, output, self._axes, epsilon)

    def _trust(self, sums: Array) -> Array:
        """Return which sums are of ordinary vectors, and count the vectors."""
        low, high = _TRUSTED_SUMS[self._dtype]
        if self._output.dtype == "float64" != self._dtype:
            low = _LOWEST_TRUSTED_FOR_FLOAT64
        trusted: Array = (sums >= low) & (sums <= high)
        self.counts.num_rows += sums.size
        self.counts.floored += int((trusted & (sums < self._options.epsilon)).sum())
        return trusted

    def _vectors(self, rows: Array) -> Array:
        """Return a view of ``rows`` in which the axes that a vector lies along come last."""
        return np.moveaxis(rows, self._axes, range(-len(self._axes), 0))

    def _take(self, rows: Array, chosen: Array) -> Array:
        """Return the ``chosen`` vectors in their own dtype, ``(num_vectors, dim)``."""
        vectors = self._vectors(rows)[chosen]
        return vectors.reshape(len(vectors), -1)

    def _mended(self, normalized: Array, rows: Array, chosen: Array, norms: exact.Norms) -> Array:
        """Return ``normalized`` with the ``chosen`` vectors done again, from ``rows``."""
        normalized = np.array(normalized)
        vectors = self._vectors(normalized)
        mended = self._mender.mend(self._take(rows, chosen), norms)
        vectors[chosen] = mended.reshape(vectors[chosen].shape)
        return normalized


def _capacity(rows: Array) -> int:
    """Return how many rows a graph is made for whose first batch is ``rows``."""
    # Small ones are rounded up, so that one graph serves many arrays of about the same size.
    return 1 << (len(rows) - 1).bit_length() if 2 * rows.nbytes < BATCH_BYTES else len(rows)


class RowNormalizer(Normalizer):
    """Vectors that lie within a row each."""

    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        """Learn nothing: a row holds all that there is to know of its vectors."""

    def normalize(self, batch: Batch) -> Array:
        rows = self._rows(batch)
        self.counts.null += batch.num_null
        if not len(rows):
            return rows.astype(numpy_dtype(self._output.dtype))
        if rows.shape[1:] == self._row_shape:
            outputs = self._run("normalize", rows)
            normalized, sums = (output[: len(rows)] for output in outputs)
        else:
            # A row of another length than the first: too few to compile a graph for each.
            normalized = np.empty(rows.shape, numpy_dtype(self._output.dtype))
            sums = np.full((len(rows), *[1] * (rows.ndim - 1)), np.nan)
        trusted = self._trust(sums.squeeze(self._axes))
        if trusted.all():
            return normalized
        norms = exact.norms(exact.widen(self._take(rows, ~trusted)))
        self._mender.judge(norms, np.argwhere(~trusted), batch.row_number)
        return self._mended(normalized, rows, ~trusted, norms)


class EmptyNormalizer(Normalizer):
    """An array without a single component: its vectors, if there are any, are zero rows."""

    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        lengths = [length or 0 for length in self._output.shape]
        free = [length for axis, length in enumerate(lengths) if axis not in self._axes]
        self.counts.num_rows = self.counts.zero = math.prod(free)

    def normalize(self, batch: Batch) -> Array:
        return batch.rows.astype(numpy_dtype(self._output.dtype))


class SpanningNormalizer(Normalizer):
    """Vectors that lie along axis 0, and so across batches: one pass to sum, one to scale."""

    passes = 2

    def measure(self, read: Callable[[], Iterable[Batch]]) -> None:
        total: tuple[Array, Array] | None = None
        for rows in self._each(read):
            high, low = self._run("sum", rows)
            with np.errstate(invalid="ignore"):
                total = (high, low) if total is None else add_compensated(total, (high, low))
        if total is None:
            return
        self._sums = total[0] + total[1]
        self._extreme = ~self._trust(self._sums.squeeze(self._axes))
        if self._extreme.any():
            self._norms = self._measure_exactly(read)
            self._mender.judge(self._norms, np.argwhere(self._extreme), int)

    def normalize(self, batch: Batch) -> Array:
        rows = self._rows(batch)
        self.counts.null += batch.num_null
        if not len(rows):
            return rows.astype(numpy_dtype(self._output.dtype))
        normalized = self._run("scale", rows, self._sums)[0][: len(rows)]
        if not self._extreme.any():
            return normalized
        return self._mended(normalized, rows, self._extreme, self._norms)

    def _rows(self, batch: Batch) -> Array:
        rows = super()._rows(batch)
        if len(rows) and rows.shape[1:] != self._row_shape:
            raise SourceError(
                f"{self._output.label}: row {batch.row_number(0)} has another length than the "
                "rows before it, so there are no vectors along axis 0; use --axis -1"
            )
        return rows

    def _each(self, read: Callable[[], Iterable[Batch]]) -> Iterator[Array]:
        """Yield the rows of one pass, but for batches of null rows alone."""
        return (rows for rows in map(self._rows, read()) if len(rows))

    def _measure_exactly(self, read: Callable[[], Iterable[Batch]]) -> exact.Norms:
        """Take the norms of the extreme vectors in two more passes: a scale, then the sum."""
        peaks = np.zeros(int(self._extreme.sum()))
        for rows in self._each(read):
            vectors = exact.widen(self._take(rows, self._extreme))
            peaks = np.maximum(peaks, np.abs(vectors).max(axis=1))
        exponent = exact.exponents(peaks)
        total = (np.zeros((len(peaks), 1)), np.zeros((len(peaks), 1)))
        for rows in self._each(read):
            vectors = exact.widen(self._take(rows, self._extreme))
            scaled = exact.scaled(vectors, exponent)
            with np.errstate(all="ignore"):
                total = add_compensated(total, compensated_tree_sum(scaled**2, 1))
        with np.errstate(invalid="ignore"):
            return exact.Norms(np.sqrt(total[0] + total[1])[:, 0], exponent)
