"""Numbers that stand for missing ones, as netCDF and CF declare them: null rows and components.

A row of such numbers alone is a null row. In other rows they are null components: NaN on their
way through, and in the end the numbers that they were. A NaN that is declared missing is taken
for any other NaN, so it doesn't pass unasked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import Batch
from l2cli.errors import RowError

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Missing:
    """Which numbers of one dataset are declared missing.

    Attributes
    ----------
    markers : tuple of (str, object)
        The attribute, or ``fill value``, and the number that it declares.
    least, most : (str, object) or None
        Numbers below and above are missing as well: the attribute, and the number.
    """

    markers: tuple[tuple[str, Any], ...]
    least: tuple[str, Any] | None = None
    most: tuple[str, Any] | None = None

    def declared(self, rows: Array) -> list[tuple[str, Array]]:
        """Return which components are missing, by what declares it."""
        masks = [(name, rows == number) for name, number in self.markers]
        if self.least is not None:
            masks.append((self.least[0], rows < self.least[1]))
        if self.most is not None:
            masks.append((self.most[0], rows > self.most[1]))
        return masks

    @property
    def meets_unit_rows(self) -> bool:
        """Whether a component of a unit row may be declared missing."""
        inside = any(abs(number) <= 1 for _, number in self.markers)
        above = self.least is not None and self.least[1] > -1
        return inside or above or (self.most is not None and self.most[1] < 1)

    def mask(self, rows: Array) -> Array:
        """Return which components of ``rows`` are missing."""
        missing = np.zeros(rows.shape, bool)
        for _, mask in self.declared(rows):
            missing |= mask
        return missing

    def batch(self, array: ArraySpec, rows: Array, start: int) -> Batch:
        """Return the batch of ``rows``, with null rows left out."""
        mask = self.mask(rows)
        if not mask.any():
            return Batch(array, rows, start)
        # An array of one axis is one vector: what misses in it are components.
        within = tuple(range(1, rows.ndim))
        live = np.ones(len(rows), bool) if rows.ndim == 1 else ~np.asarray(mask.all(axis=within))
        kept, gaps, row_numbers = rows[live], mask[live], start + np.flatnonzero(live)
        incomplete = np.asarray(gaps.any(axis=within))
        if incomplete.any():
            if kept.dtype.kind != "f":
                raise RowError(
                    f"{array.label}, row {row_numbers[incomplete.argmax()]} holds a null "
                    "component, and among integers it can't become NaN; store floats first"
                )
            kept[gaps] = np.nan
        is_whole = len(kept) == len(rows)
        return Batch(
            array,
            kept,
            start,
            row_numbers=None if is_whole else row_numbers,
            num_null=len(rows) - len(kept),
            first_null=None if is_whole else start + int(live.argmin()),
            incomplete=incomplete,
            context=Gaps(rows, mask, live),
        )

    def refuse_declared(self, batch: Batch) -> None:
        """Refuse a result that whoever reads it would take for missing."""
        for name, mask in self.declared(batch.rows):
            if batch.context is not None:
                mask &= ~batch.context.of_results(batch.rows)
            if mask.any():
                position = tuple(np.argwhere(mask)[0])
                raise RowError(
                    f"{batch.array.label}, row {batch.row_number(int(position[0]))}: a component "
                    f"becomes {batch.rows[position]:g}, and the attribute '{name}' declares that "
                    "missing; delete the attribute first (with h5py: "
                    f"del file['{batch.array.name}'].attrs['{name}'])"
                )


@dataclass(frozen=True)
class Gaps:
    """What a batch left out of its window.

    Attributes
    ----------
    rows : ndarray
        Of the window, as they were read.
    mask : ndarray
        Which components are missing.
    live : ndarray
        Which rows are in the batch.
    """

    rows: Array
    mask: Array
    live: Array

    def of_results(self, results: Array) -> Array:
        """Return which components of ``results``, of the rows in the batch, are missing."""
        mask: Array = self.mask[self.live][..., : results.shape[-1]]
        return mask

    def filled(self, results: Array) -> Array:
        """Return the window with ``results`` in it, and what was missing as it was."""
        with np.errstate(over="ignore"):
            window: Array = self.rows[..., : results.shape[-1]].astype(results.dtype)
        window[self.live] = np.where(self.of_results(results), window[self.live], results)
        return window
