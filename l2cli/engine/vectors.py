"""The vectors of one array, batch by batch: graphs are run over them, and their sums judged.

The graphs return each vector's sum of squares. From these sums alone it is known which vectors
are ordinary; the few others are for :mod:`l2cli.engine.exact`, on the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import BATCH_BYTES, FLOAT_DTYPES, numpy_dtype
from l2cli.engine import exact
from l2cli.errors import RowError, SourceError
from l2cli.graph.spec import GraphSpec
from l2cli.graph.summation import add_compensated, compensated_tree_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.graph.backends.base import Backend, Graph
    from l2cli.graph.spec import Step
    from l2cli.options import NormalizeOptions

    Array = np.ndarray[Any, Any]
    LoadBackend = Callable[[], Backend]
    Read = Callable[[], Iterable[Batch]]

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


@dataclass(frozen=True)
class SpanningSums:
    """The sums of squares of vectors that lie along axis 0.

    Attributes
    ----------
    sums
        Of the array's shape, with every axis that a vector lies along of length 1.
    extreme
        Which of them can't be trusted: of the shape that the other axes make.
    norms
        The exact norms of those vectors, ``(num_extreme,)``.
    """

    sums: Array
    extreme: Array
    norms: exact.Norms


class RowShape:
    """The shape that rows turn out to have.

    Parameters
    ----------
    promised
        Their shape as far as it is known before.
    num_free
        How many axes come first of which rows may differ in length all the same.

    Attributes
    ----------
    first
        The shape of the first row, without the free axes.
    """

    def __init__(self, promised: tuple[int | None, ...], num_free: int = 0) -> None:
        self._promised = promised
        self._num_free = num_free
        self._differs = False
        self.first: tuple[int, ...] | None = None

    def see(self, rows: Array) -> None:
        """Take note of some rows of one shape."""
        if not len(rows):
            return
        if self.first is None:
            self.first = self._fixed(rows)
        self._differs |= not self.fits(rows)

    def fits(self, rows: Array) -> bool:
        """Whether rows have the shape of the first."""
        return self._fixed(rows) == self.first

    @property
    def common(self) -> tuple[int | None, ...]:
        """The shape that all have; what was promised where they differ or none came."""
        if self._differs or self.first is None:
            return self._promised
        return (*self._promised[: self._num_free], *self.first)

    def _fixed(self, rows: Array) -> tuple[int, ...]:
        shape: tuple[int, ...] = rows.shape[1 + self._num_free :]
        return shape


class Vectors:
    """The vectors of one array, and the graphs that are run over them.

    Parameters
    ----------
    output
        What the array becomes.
    backend
        Called when the first graph is needed.

    Attributes
    ----------
    axes
        The axes that a vector lies along.
    source_shape, shape
        The shapes of the rows that came, and of what the graphs take of them.
    """

    def __init__(
        self, array: ArraySpec, output: ArraySpec, options: NormalizeOptions, backend: LoadBackend
    ) -> None:
        self.axes = options.axes(array)
        self._output = output
        self._options = options
        self._backend = backend
        # Integers enter the graph as float64, which holds all of them that a result can show.
        self._dtype = array.dtype if array.dtype in FLOAT_DTYPES else "float64"
        self._graphs: dict[Step, tuple[int, Graph]] = {}
        self._num_free = self._count_free(array)
        self.source_shape = RowShape(array.shape[1:], self._num_free)
        self.shape = RowShape(output.shape[1:], self._num_free)

    @property
    def num_vectors(self) -> int:
        """How many there are of an array whose lengths are known."""
        lengths = [length or 0 for length in self._output.shape]
        return math.prod(n for axis, n in enumerate(lengths) if axis not in self.axes)

    def rows(self, batch: Batch) -> Array:
        """Return the rows of ``batch`` as the graphs take them."""
        keep = self._options.truncate_dim
        rows = batch.rows[..., :keep]
        self.source_shape.see(batch.rows)
        self.shape.see(rows)
        if keep is not None and len(rows) and rows.shape[-1] < keep:
            raise RowError(
                f"{self._output.label}, row {batch.row_number(0)} has {rows.shape[-1]} of the "
                f"{keep} components to keep"
            )
        return np.ascontiguousarray(rows, numpy_dtype(self._dtype))

    def run(self, step: Step, rows: Array, *sums: Array) -> list[Array]:
        """Run the graph of ``step`` over ``rows``, padded to the rows that it was made for.

        Where rows differ in how many vectors they have, each vector is a row to the graph.
        """
        if not self._num_free:
            return self._run(step, rows, *sums)
        outputs = self._run(step, rows.reshape(-1, rows.shape[-1]))
        return [output.reshape(*rows.shape[:-1], output.shape[-1]) for output in outputs]

    def _run(self, step: Step, rows: Array, *sums: Array) -> list[Array]:
        capacity, graph = self._graphs.get(step, (0, None))
        if graph is None or capacity < len(rows):
            capacity = _capacity(rows)
            graph = self._backend().compile(self._spec(step, (capacity, *rows.shape[1:])))
            self._graphs[step] = capacity, graph
        if len(rows) == capacity:
            return graph(rows, *sums)
        padded = np.zeros((capacity, *rows.shape[1:]), rows.dtype)
        padded[: len(rows)] = rows
        return [output[: len(rows)] for output in graph(padded, *sums)]

    def is_regular(self, rows: Array) -> bool:
        """Whether ``rows`` are as long as the first: of others a graph for each is too much."""
        return self.shape.fits(rows)

    def no_sums(self, rows: Array) -> Array:
        """Return a NaN for each vector of ``rows``: sums that are not trusted."""
        shape = [1 if axis in self.axes else n for axis, n in enumerate(rows.shape)]
        return np.full(shape, np.nan)

    def trust(self, sums: Array) -> Array:
        """Return which of ``sums`` are of ordinary vectors; of the shape of the other axes."""
        low, high = _TRUSTED_SUMS[self._dtype]
        if self._output.dtype == "float64" != self._dtype:
            low = _LOWEST_TRUSTED_FOR_FLOAT64
        sums = sums.squeeze(self.axes)
        trusted: Array = (sums >= low) & (sums <= high)
        return trusted

    def take(self, rows: Array, chosen: Array) -> Array:
        """Return the ``chosen`` vectors in their own dtype, ``(num_vectors, dim)``."""
        vectors = self._along_last(rows)[chosen]
        return vectors.reshape(len(vectors), -1)

    def norms(self, rows: Array, chosen: Array) -> exact.Norms:
        """Return the exact norms of the ``chosen`` vectors."""
        return exact.norms(exact.widen(self.take(rows, chosen)))

    def put(self, rows: Array, chosen: Array, vectors: Array) -> None:
        """Write ``vectors``, ``(num_vectors, dim)``, where the ``chosen`` ones stand."""
        view = self._along_last(rows)
        view[chosen] = vectors.reshape(view[chosen].shape)

    def sum_all(self, read: Read) -> SpanningSums | None:
        """Return the sums of vectors that lie along axis 0; ``None`` where no row came.

        Parameters
        ----------
        read
            Starts a new pass over the batches. There are three where numbers are extreme.
        """
        total: tuple[Array, Array] | None = None
        for rows in self._each(read):
            high, low = self.run("sum", rows)
            with np.errstate(invalid="ignore"):
                total = (high, low) if total is None else add_compensated(total, (high, low))
        if total is None:
            return None
        sums: Array = total[0] + total[1]
        extreme = ~self.trust(sums)
        return SpanningSums(sums, extreme, self._measure_exactly(read, extreme))

    def spanning_rows(self, batch: Batch) -> Array:
        """Return what :meth:`rows` does, and refuse rows of different lengths."""
        rows = self.rows(batch)
        if len(rows) and rows.shape[1:] != self.shape.first:
            raise SourceError(
                f"{self._output.label}: row {batch.row_number(0)} has another length than the "
                "rows before it, so there are no vectors along axis 0; use --axis -1"
            )
        return rows

    def _spec(self, step: Step, shape: tuple[int, ...]) -> GraphSpec:
        output, epsilon = self._output.dtype, self._options.epsilon
        axes = (1,) if self._num_free else self.axes
        return GraphSpec(step, shape, self._dtype, output, axes, epsilon)

    def _count_free(self, array: ArraySpec) -> int:
        """Return how many axes hold as many vectors as each row happens to have."""
        if None not in array.shape[1:-1]:
            return 0
        if self.axes != (len(array.shape) - 1,):
            raise SourceError(
                f"{array.label} doesn't have as many vectors in each row, so a vector lies along "
                "the last axis alone; use --axis -1"
            )
        return len(array.shape) - 2

    def _along_last(self, rows: Array) -> Array:
        """Return a view of ``rows`` in which the axes that a vector lies along come last."""
        return np.moveaxis(rows, self.axes, range(-len(self.axes), 0))

    def _each(self, read: Read) -> Iterator[Array]:
        """Yield the rows of one pass, but for batches of null rows alone."""
        return (rows for rows in map(self.spanning_rows, read()) if len(rows))

    def _measure_exactly(self, read: Read, extreme: Array) -> exact.Norms:
        """Take the norms of the extreme vectors in two more passes: a scale, then the sum."""
        peaks = np.zeros(int(extreme.sum()))
        if not len(peaks):
            return exact.Norms(peaks, exact.exponents(peaks))
        for rows in self._each(read):
            vectors = exact.widen(self.take(rows, extreme))
            peaks = np.maximum(peaks, np.abs(vectors).max(axis=1))
        exponent = exact.exponents(peaks)
        total = (np.zeros((len(peaks), 1)), np.zeros((len(peaks), 1)))
        for rows in self._each(read):
            vectors = exact.widen(self.take(rows, extreme))
            scaled = exact.scaled(vectors, exponent)
            with np.errstate(all="ignore"):
                total = add_compensated(total, compensated_tree_sum(scaled**2, 1))
        with np.errstate(invalid="ignore"):
            return exact.Norms(np.sqrt(total[0] + total[1])[:, 0], exponent)


def _capacity(rows: Array) -> int:
    """Return how many rows a graph is made for whose first batch is ``rows``."""
    # Small ones are rounded up, so that one graph serves many arrays of about the same size.
    return 1 << (len(rows) - 1).bit_length() if 2 * rows.nbytes < BATCH_BYTES else len(rows)
