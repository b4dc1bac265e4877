"""Vectors that aren't ordinary: counted, refused where the options say so, or done exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import numpy_dtype
from l2cli.engine import exact
from l2cli.errors import RowError

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec, Batch
    from l2cli.options import NormalizeOptions
    from l2cli.report import Counts

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mender:
    """Deals with the vectors of one array that the graph can't be trusted with.

    Attributes
    ----------
    output
        What the array becomes.
    axes
        The axes that a vector lies along.
    counts
        Where to count what is found.
    """

    output: ArraySpec
    axes: tuple[int, ...]
    options: NormalizeOptions
    counts: Counts

    def judge(self, norms: exact.Norms, positions: Array, batch: Batch | None = None) -> None:
        """Count the vectors by kind, and refuse the first that the options don't let pass.

        Parameters
        ----------
        positions
            ``(num_vectors, free_axes)``: their indexes along the axes that they don't lie along.
        batch
            The one that the vectors are of, ``None`` where they lie across all.
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
                f"{self._place(first, batch)} holds {what}; mend it, or let it pass with "
                "--nonfinite keep (as it is) or --nonfinite zero"
            )
        if options.zero_rows == "error" and norms.zero.any():
            raise RowError(
                f"{self._place(positions[norms.zero][0], batch)} is all zeros; mend it, "
                "or let it pass with --zero-rows keep"
            )

    def mend(self, originals: Array, norms: exact.Norms) -> Array:
        """Return ``originals``, ``(num_vectors, dim)``, normalized in the output's dtype."""
        dtype = numpy_dtype(self.output.dtype)
        quotients = exact.divide(exact.widen(originals), norms, self.options.epsilon)
        if self.options.nonfinite == "zero":
            quotients[~norms.finite] = 0.0
        with np.errstate(all="ignore"):
            mended: Array = quotients.astype(dtype)
            if self.options.nonfinite == "keep":
                mended[~norms.finite] = originals[~norms.finite].astype(dtype)
        return mended

    def _place(self, position: Array, batch: Batch | None) -> str:
        rank = len(self.output.shape)
        name = f"{self.output.label}, " if self.output.name else ""
        if len(self.axes) == rank:
            return f"{name}the one vector"
        has_own_number = None in self.output.shape[1:-1]
        if batch is not None and (has_own_number or self.axes == tuple(range(1, rank))):
            return f"{name}row {batch.row_number(int(position[0]))}"
        free = iter(int(index) for index in position)
        indexes = [":" if axis in self.axes else str(next(free)) for axis in range(rank)]
        if batch is not None:
            indexes[0] = str(batch.row_number(int(position[0])))
        return f"{name}index [{', '.join(indexes)}]"
