"""Vectors for which the graph is not exact: counted, refused under some options, or done in NumPy.

Used by :mod:`l2cli.engine.normalizer`. It knows the options, but neither graphs nor files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.dtypes import numpy_dtype
from l2cli.engine import exact
from l2cli.errors import RowError

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec, Batch
    from l2cli.options import NormalizeOptions
    from l2cli.report import Counts

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ExactFallback:
    """Handles the vectors of one array for which the graph is not exact.

    Attributes
    ----------
    output : ArraySpec
        What the array becomes.
    axes : tuple of int
        The axes that a vector lies along.
    options : NormalizeOptions
        Which vectors are refused, and what stands in the place of non-finite ones.
    counts : Counts
        Where the vectors are counted.
    """

    output: ArraySpec
    axes: tuple[int, ...]
    options: NormalizeOptions
    counts: Counts

    def classify(self, norms: exact.Norms, positions: Array, batch: Batch | None = None) -> None:
        """Count zero, non-finite and floored vectors, and refuse those that the options refuse.

        Parameters
        ----------
        norms : exact.Norms
            Of the vectors.
        positions : ndarray
            ``(num_vectors, free_axes)``: their indexes along the axes that they don't lie along.
        batch : Batch or None
            The one that the vectors are of, ``None`` where they lie across all.

        Raises
        ------
        RowError
            With the position of the first that is refused.
        """
        options, nonfinite = self.options, ~norms.finite
        self.counts.nonfinite += int(nonfinite.sum())
        self.counts.zero += int(norms.zero.sum())
        self.counts.floored += int(norms.below(options.epsilon).sum())
        if options.nonfinite == "error" and nonfinite.any():
            first = positions[nonfinite][0]
            has_null = batch is not None and batch.is_incomplete(int(first[0]))
            what = "a null component" if has_null else "NaN or Inf"
            raise RowError(
                f"{self._position_text(first, batch)} holds {what}; correct it, or let it pass "
                "with `nonfinite='keep'` (as it is) or `nonfinite='zero'`"
            )
        if options.zero_rows == "error" and norms.zero.any():
            raise RowError(
                f"{self._position_text(positions[norms.zero][0], batch)} is all zeros; correct "
                "it, or let it pass with `zero_rows='keep'`"
            )

    def normalize(self, originals: Array, norms: exact.Norms) -> Array:
        """Return ``originals``, ``(num_vectors, dim)``, normalized in the output's dtype."""
        dtype = numpy_dtype(self.output.dtype)
        quotients = exact.divide(exact.widen(originals), norms, self.options.epsilon)
        if self.options.nonfinite == "zero":
            quotients[~norms.finite] = 0.0
        with np.errstate(all="ignore"):
            normalized: Array = quotients.astype(dtype)
            if self.options.nonfinite == "keep":
                normalized[~norms.finite] = originals[~norms.finite].astype(dtype)
        return normalized

    def _position_text(self, position: Array, batch: Batch | None) -> str:
        rank = len(self.output.shape)
        name = f"{self.output.label}, " if self.output.name else ""
        if len(self.axes) == rank:
            return f"{name}the one vector"
        has_row_number = None in self.output.shape[1:-1]
        if batch is not None and (has_row_number or self.axes == tuple(range(1, rank))):
            return f"{name}row {batch.row_number(int(position[0]))}"
        free = iter(int(index) for index in position)
        indexes = [":" if axis in self.axes else str(next(free)) for axis in range(rank)]
        if batch is not None:
            indexes[0] = str(batch.row_number(int(position[0])))
        return f"{name}index [{', '.join(indexes)}]"
