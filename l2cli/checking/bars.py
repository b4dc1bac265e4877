"""Norms as bars on one axis, which the terminal, the plot and the page draw.

Bars are few enough for a screen, and are counted from histograms that are much finer
(:mod:`l2cli.checking.histogram`). How they look is a matter of those who draw them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2cli.checking.histogram import RESOLUTION

if TYPE_CHECKING:
    from l2cli.checking.histogram import NormHistogram

NUM_BARS = 60
"""About how many bars there are."""

_LARGEST_LOGARITHM = 709.78
"""Of a float64 number."""


@dataclass(frozen=True)
class Bars:
    """Bars of equal width on an axis of ``log(norm)``.

    Attributes
    ----------
    first : int
        The number of the first bar; bar 0 has norm 1 in its middle.
    width : float
        Of a bar, in ``log(norm)``.
    unit, not_unit, before : list of int
        How many unit rows there are in each bar, how many that are not unit, and how many rows
        of the source that is compared with; empty where there are none.
    """

    first: int
    width: float
    unit: list[int]
    not_unit: list[int]
    before: list[int]

    @property
    def series(self) -> dict[str, list[int]]:
        """What is not empty of the three, by what a legend calls it; the rearmost first."""
        series = {"before": self.before, "unit": self.unit, "not unit": self.not_unit}
        return {title: counts for title, counts in series.items() if counts}

    @property
    def num_bars(self) -> int:
        """How many bars there are on the axis."""
        return max(map(len, self.series.values()), default=0)

    @property
    def highest(self) -> int:
        """The number of rows in the highest bar."""
        return max(map(max, self.series.values()), default=0)

    @property
    def unit_bar(self) -> int | None:
        """The index of the bar that has norm 1 in its middle; ``None`` where it isn't shown."""
        return -self.first if 0 <= -self.first < self.num_bars else None

    def height(self, count: int, top: int) -> int:
        """Return how high a bar of ``count`` rows is where the highest is ``top``.

        Heights go by logarithm, so that one row can be seen beside a million.
        """
        return max(1, round(top * math.log1p(count) / math.log1p(self.highest))) if count else 0

    def label(self, position: float) -> str:
        """Return the norm at a position on the axis, where bar ``k`` has its middle at ``k``."""
        return norm_label((self.first + position) * self.width)


def norm_label(logarithm: float) -> str:
    """Return the norm of a ``logarithm`` for an axis: ``10.1``, or ``1+2.1e-08`` near 1."""
    offset = math.expm1(min(logarithm, _LARGEST_LOGARITHM))
    if not offset:
        return "1"
    return f"1{offset:+.2g}" if abs(offset) < 0.01 else f"{1 + offset:.3g}"


def bars_of(unit: NormHistogram, not_unit: NormHistogram, before: NormHistogram) -> Bars:
    """Return the bars of three histograms on one axis.

    The axis includes norm 1, unless that would leave less than half of it to the norms.
    """
    filled = [histogram for histogram in (unit, not_unit, before) if histogram.num_rows]
    low = min((math.log(histogram.smallest) for histogram in filled), default=0.0)
    high = max((math.log(histogram.largest) for histogram in filled), default=0.0)
    if low - (high - low) <= 0 <= high + (high - low):
        low, high = min(low, 0.0), max(high, 0.0)
    finest = max(-low, high) * RESOLUTION
    width = max((high - low) / (NUM_BARS - 1), finest) or RESOLUTION
    first, last = round(low / width), round(high / width)

    def counts(histogram: NormHistogram) -> list[int]:
        return histogram.in_bars(first, last, width) if histogram.num_rows else []

    return Bars(first, width, counts(unit), counts(not_unit), counts(before))
