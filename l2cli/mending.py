"""Vectors that aren't ordinary: counted, refused where the options say so, or done exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli import exact
from l2cli.arrays import numpy_dtype
from l2cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.arrays import ArraySpec
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

    def judge(self, norms: exact.Norms, positions: Array, row_number: Callable[[int], int]) -> None:
        """Count the vectors by kind, and refuse the first that the options don't let pass.

        Parameters
        ----------
        positions
            ``(num_vectors, free_axes)``: their indexes along the axes that they don't lie along.
        row_number
            From an index along axis 0 to the row number in the array.
        """
        options, nonfinite = self.options, ~norms.finite
        self.counts.nonfinite += int(nonfinite.sum())
        self.counts.zero += int(norms.zero.sum())
        self.counts.floored += int(norms.below(options.epsilon).sum())
        if options.nonfinite == "error" and nonfinite.any():
            raise RowError(
                f"{self._place(positions[nonfinite][0], row_number)} holds NaN or Inf; mend it, "
                "or let it pass with --nonfinite keep (as it is) or --nonfinite zero"
            )
        if options.zero_rows == "error" and norms.zero.any():
            raise RowError(
                f"{self._place(positions[norms.zero][0], row_number)} is all zeros; mend it, "
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

    def _place(self, position: Array, row_number: Callable[[int], int]) -> str:
        rank = len(self.output.shape)
        name = f"{self.output.label}, " if self.output.name else ""
        if len(self.axes) == rank:
            return f"{name}the one vector"
        if self.axes == tuple(range(1, rank)):
            return f"{name}row {row_number(int(position[0]))}"
        free = iter(int(index) for index in position)
        indexes = [":" if axis in self.axes else str(next(free)) for axis in range(rank)]
        if 0 not in self.axes:
            indexes[0] = str(row_number(int(indexes[0])))
        return f"{name}index [{', '.join(indexes)}]"
