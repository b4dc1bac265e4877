"""The vectors in the rows of one array: the graph computes them, and NumPy the few it can't.

The graph returns each vector's sum of squares. That sum alone says whether the vector is in the
range in which the graph is exact; the norms of the others are computed by
:mod:`l2cli.engine.exact`. Used by :mod:`l2cli.engine.normalizer`, which counts and refuses; this
module knows no counts and no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import BATCH_BYTES, empty_rows
from l2cli.dtypes import FLOAT_DTYPES, numpy_dtype
from l2cli.errors import RowError, SourceError
from l2cli.graph.spec import GraphSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.engine.backend import LazyBackend
    from l2cli.engine.exact import Norms
    from l2cli.graph.backends.base import Graph
    from l2cli.graph.spec import Step
    from l2cli.options import NormalizeOptions

    Array = np.ndarray[Any, Any]
    Read = Callable[[], Iterable[Batch]]

# XLA on CPU reads and writes subnormal numbers as zero. For a vector whose sum of squares lies
# between these bounds that moves no component of the result by more than 2**-70 (float64:
# 2**-110), and neither the sum nor the scale made of it leaves the range it is computed in.
_EXACT_RANGES = {
    "float16": (2.0**-112, 2.0**240),
    "bfloat16": (2.0**-112, 2.0**240),
    "float32": (2.0**-112, 2.0**300),
    "float64": (2.0**-900, 2.0**1000),
}
_LOWEST_FOR_FLOAT64 = 2.0**-32
"""What the lower bound rises to where narrower rows become float64 and 2**-110 is promised."""


@dataclass(frozen=True)
class VectorSums:
    """The sums of squares of some vectors, and the norms of those whose sum is of no use.

    Attributes
    ----------
    sums : ndarray
        float64, of the shape of the rows, with every axis that a vector lies along of length 1.
    out_of_range : ndarray
        Of which vectors the graph is not exact: of the shape that the other axes make.
    exact_norms : Norms or None
        The norms of those vectors, ``(num_out_of_range,)``; ``None`` where there are none.
    """

    sums: Array
    out_of_range: Array
    exact_norms: Norms | None = None

    @property
    def norms(self) -> Array:
        """The float64 norms, of the shape of ``out_of_range``: NaN for non-finite vectors."""
        with np.errstate(invalid="ignore"):
            norms = np.array(np.sqrt(self.sums.reshape(self.out_of_range.shape)))
        if self.exact_norms is not None:
            norms[self.out_of_range] = self.exact_norms.value
        return norms


class RowShape:
    """The shape that rows turn out to have.

    Parameters
    ----------
    promised : tuple of (int or None)
        Their shape as far as it is known before.
    num_free : int
        How many axes come first of which rows may differ in length all the same.

    Attributes
    ----------
    first : tuple of int or None
        The shape of the first row, without the free axes.
    """

    def __init__(self, promised: tuple[int | None, ...], num_free: int = 0) -> None:
        self._promised = promised
        self._num_free = num_free
        self._differs = False
        self.first: tuple[int, ...] | None = None

    def update(self, rows: Array) -> None:
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
    array, output : ArraySpec
        The array, and what it becomes.

    Attributes
    ----------
    axes : tuple of int
        The axes that a vector lies along.
    source_shape, shape : RowShape
        The shapes of the rows that came, and of what the graphs take of them.
    """

    def __init__(
        self, array: ArraySpec, output: ArraySpec, options: NormalizeOptions, backend: LazyBackend
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
    def free_shape(self) -> tuple[int, ...]:
        """The lengths of the axes that no vector lies along, 0 for one that is not known."""
        return tuple(n or 0 for i, n in enumerate(self._output.shape) if i not in self.axes)

    def rows(self, batch: Batch) -> Array:
        """Return the rows of ``batch`` as the graphs take them.

        Raises
        ------
        RowError
            Where a row has fewer components than are to be kept.
        """
        keep = self._options.truncate_dim
        rows = batch.rows[..., :keep]
        self.source_shape.update(batch.rows)
        self.shape.update(rows)
        if keep is not None and len(rows) and rows.shape[-1] < keep:
            raise RowError(
                f"{self._output.label}, row {batch.row_number(0)} has {rows.shape[-1]} of the "
                f"{keep} components to keep"
            )
        return np.ascontiguousarray(rows, numpy_dtype(self._dtype))

    def spanning_rows(self, batch: Batch) -> Array:
        """Return what :meth:`rows` does, and refuse rows of different lengths."""
        rows = self.rows(batch)
        if len(rows) and rows.shape[1:] != self.shape.first:
            raise SourceError(
                f"{self._output.label}: row {batch.row_number(0)} has another length than the "
                "rows before it, so there are no vectors along axis 0; use `axis=-1`"
            )
        return rows

    def normalize(self, rows: Array) -> tuple[Array, VectorSums]:
        """Return normalized ``rows``, and the sums of vectors that lie within a row each.

        What stands in the place of vectors that are out of range has no meaning.
        """
        # Of rows that are not as long as the first, a graph for each length is too much.
        if not self.shape.fits(rows):
            quotients = np.empty(rows.shape, numpy_dtype(self._output.dtype))
            return quotients, self._classified(rows, self._no_sums(rows))
        quotients, sums = self._run_by_row("normalize", rows)
        return quotients, self._classified(rows, sums)

    def measure(self, rows: Array) -> VectorSums:
        """Return the sums of vectors that lie within a row each."""
        fits = self.shape.fits(rows)
        sums = self._run_by_row("measure", rows)[0] if fits else self._no_sums(rows)
        return self._classified(rows, sums)

    def scale(self, rows: Array, sums: VectorSums) -> Array:
        """Return ``rows`` normalized, whose vectors lie along axis 0 and have ``sums``."""
        return self._run("scale", rows, sums.sums)[0]

    def select(self, rows: Array, chosen: Array) -> Array:
        """Return the ``chosen`` vectors in their own dtype, ``(num_vectors, dim)``."""
        vectors = self._along_last(rows)[chosen]
        return vectors.reshape(len(vectors), -1)

    def all(self, batch: Batch) -> Array:
        """Return all vectors of a batch in their own dtype, ``(num_vectors, dim)``."""
        rows = self.rows(batch)
        free_shape = [n for axis, n in enumerate(rows.shape) if axis not in self.axes]
        return self.select(rows, np.ones(free_shape, bool))

    def assign(self, rows: Array, chosen: Array, vectors: Array) -> None:
        """Write ``vectors``, ``(num_vectors, dim)``, where the ``chosen`` ones stand."""
        view = self._along_last(rows)
        view[chosen] = vectors.reshape(view[chosen].shape)

    def sum_all(self, read: Read) -> VectorSums | None:
        """Return the sums of vectors that lie along axis 0; ``None`` where no row came.

        Parameters
        ----------
        read : callable
            Starts a new pass over the batches. There are three where vectors are out of range.
        """
        from l2cli.graph.summation import add_compensated

        total: tuple[Array, Array] | None = None
        for rows in self._pass(read):
            high, low = self._run("sum", rows)
            with np.errstate(invalid="ignore"):
                total = (high, low) if total is None else add_compensated(total, (high, low))
        if total is None:
            return None
        sums: Array = total[0] + total[1]
        chosen = self._out_of_range(sums)
        if not chosen.any():
            return VectorSums(sums, chosen)
        from l2cli.engine.exact import norms_in_passes

        norms = norms_in_passes(
            int(chosen.sum()), lambda: (self.select(rows, chosen) for rows in self._pass(read))
        )
        return VectorSums(sums, chosen, norms)

    def _classified(self, rows: Array, sums: Array) -> VectorSums:
        """Return ``sums`` of ``rows`` with the exact norms of those that are out of range."""
        chosen = self._out_of_range(sums)
        if not chosen.any():
            return VectorSums(sums, chosen)
        from l2cli.engine.exact import norms, widen

        return VectorSums(sums, chosen, norms(widen(self.select(rows, chosen))))

    def _out_of_range(self, sums: Array) -> Array:
        low, high = _EXACT_RANGES[self._dtype]
        if self._output.dtype == "float64" != self._dtype:
            low = _LOWEST_FOR_FLOAT64
        sums = sums.squeeze(self.axes)
        in_range: Array = (sums >= low) & (sums <= high)
        return ~in_range

    def _no_sums(self, rows: Array) -> Array:
        """Return a NaN, which is out of range, for each vector of ``rows``."""
        shape = [1 if axis in self.axes else n for axis, n in enumerate(rows.shape)]
        return np.full(shape, np.nan)

    def _run_by_row(self, step: Step, rows: Array) -> list[Array]:
        """Run a graph. Where rows differ in how many vectors they have, each is a row to it."""
        if not self._num_free:
            return self._run(step, rows)
        outputs = self._run(step, rows.reshape(-1, rows.shape[-1]))
        return [output.reshape(*rows.shape[:-1], output.shape[-1]) for output in outputs]

    def _run(self, step: Step, rows: Array, *sums: Array) -> list[Array]:
        """Run the graph of ``step`` over ``rows``, padded to the rows that it was made for."""
        capacity, graph = self._graphs.get(step, (0, None))
        if graph is None or capacity < len(rows):
            capacity = self._capacity(rows)
            graph = self._backend.compile(self._spec(step, (capacity, *rows.shape[1:])))
            self._graphs[step] = capacity, graph
        if len(rows) == capacity:
            return graph(rows, *sums)
        padded = empty_rows((capacity, *rows.shape[1:]), rows.dtype)
        padded[: len(rows)] = rows
        padded[len(rows) :] = 0
        return [output[: len(rows)] for output in graph(padded, *sums)]

    def _capacity(self, rows: Array) -> int:
        """Return how many rows a graph is made for whose first batch is ``rows``.

        As many as these, where that is what the reader makes of such arrays. Where it is what one
        array happens to hold, it is rounded up, so that few graphs serve arrays of all lengths:
        each length costs a compilation, the first time that it comes.
        """
        num_rows, full = len(rows), max(1, BATCH_BYTES * len(rows) // max(1, rows.nbytes))
        is_whole = num_rows >= (self._output.shape[0] or 0)
        if num_rows >= full or (2 * num_rows >= full and not is_whole):
            return num_rows
        exponent = (num_rows - 1).bit_length()
        if 16 * num_rows <= full:  # What it takes longer is nothing to be noticed.
            exponent += exponent % 2
        return min(1 << exponent, full)

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
                "the last axis alone; use `axis=-1`"
            )
        return len(array.shape) - 2

    def _along_last(self, rows: Array) -> Array:
        """Return a view of ``rows`` in which the axes that a vector lies along come last."""
        return np.moveaxis(rows, self.axes, range(-len(self.axes), 0))

    def _pass(self, read: Read) -> Iterator[Array]:
        """Yield the rows of one pass, but for batches of null rows alone."""
        return (rows for rows in map(self.spanning_rows, read()) if len(rows))
