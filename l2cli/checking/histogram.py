"""Norms as bars on one axis: what the terminal, the plot and the page draw."""

from __future__ import annotations

import math
from dataclasses import dataclass

from l2cli.checking.distribution import RESOLUTION, Distribution

NUM_BARS = 60
"""About how many bars a picture has."""

_LARGEST_LOGARITHM = 709.78
"""Of a float64 number."""


@dataclass(frozen=True)
class Picture:
    """Bars of equal width on the axis of ``log(norm)``, for every picture of norms.

    Attributes
    ----------
    first
        The number of the first bar; bar 0 has norm 1 in its middle.
    width
        Of a bar, in ``log(norm)``.
    unit, other, before
        How many unit rows there are in each bar, how many that are not unit, and how many rows
        of the source that is compared with; empty where there are none.
    """

    first: int
    width: float
    unit: list[int]
    other: list[int]
    before: list[int]

    @property
    def num_bars(self) -> int:
        """How many bars there are on the axis."""
        return max(len(self.unit), len(self.other), len(self.before))

    @property
    def highest(self) -> int:
        """The number of rows in the highest bar."""
        return max([*self.unit, *self.other, *self.before], default=0)

    @property
    def unit_bar(self) -> int | None:
        """The index of the bar that has norm 1 in its middle; ``None`` where it isn't shown."""
        return -self.first if 0 <= -self.first < self.num_bars else None

    def logarithm(self, place: float) -> float:
        """Return ``log(norm)`` at a place on the axis, where bar ``k`` has its middle at ``k``."""
        return (self.first + place) * self.width


def norm_label(logarithm: float) -> str:
    """Return the norm of a ``logarithm`` for an axis: ``10.1``, or ``1+2.1e-08`` near 1."""
    offset = math.expm1(min(logarithm, _LARGEST_LOGARITHM))
    if not offset:
        return "1"
    return f"1{offset:+.2g}" if abs(offset) < 0.01 else f"{1 + offset:.3g}"


def make_picture(unit: Distribution, other: Distribution, before: Distribution) -> Picture:
    """Return the bars of the three distributions on one axis.

    It shows norm 1 too, unless that would push all that there is into a corner.
    """
    parts = [part for part in (unit, other, before) if part.num_rows]
    low = min((math.log(part.smallest) for part in parts), default=0.0)
    high = max((math.log(part.largest) for part in parts), default=0.0)
    if low - (high - low) <= 0 <= high + (high - low):
        low, high = min(low, 0.0), max(high, 0.0)
    finest = max(-low, high) * RESOLUTION
    width = max((high - low) / (NUM_BARS - 1), finest) or RESOLUTION
    first, last = round(low / width), round(high / width)

    def bars(part: Distribution) -> list[int]:
        return part.in_bars(first, last, width) if part.num_rows else []

    return Picture(first, width, bars(unit), bars(other), bars(before))
