"""The bars of a check in block characters, for a terminal.

Used by :mod:`l2cli.cli.tables`. It is handed the bars, and knows nothing of rows or of terminals
but how wide one must be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.checking.bars import Bars

MIN_COLUMNS = 72
"""How wide a terminal must be for it."""
_LINES = 4
_BLOCKS = " ▁▂▃▄▅▆▇█"
_INDENT = "  "


def draw(bars: Bars) -> str:
    """Return bars as lines of block characters: unit rows green, heights by logarithm."""
    none = [0] * bars.num_bars
    lines = [*_strip(bars, bars.unit or none, bars.not_unit or none)]
    if bars.before:
        lines = ["before", *_strip(bars, none, bars.before), "after", *lines]
    rows = "row" if bars.highest == 1 else "rows"
    scale = f"heights by logarithm, the highest bar {bars.highest:,} {rows}"
    return "\n".join(_INDENT + line for line in [*lines, _axis(bars), scale])


def _strip(bars: Bars, unit: list[int], not_unit: list[int]) -> Iterator[str]:
    totals = map(sum, zip(unit, not_unit, strict=True))
    heights = [bars.height(total, 8 * _LINES) for total in totals]  # In eighths of a line.
    for line in reversed(range(_LINES)):
        blocks = [_BLOCKS[min(max(height - 8 * line, 0), 8)] for height in heights]
        yield "".join(map(_colored, blocks, unit, not_unit))


def _colored(block: str, unit: int, not_unit: int) -> str:
    return click.style(block, fg="green") if unit > not_unit else block


def _axis(bars: Bars) -> str:
    left, right = bars.label(0), bars.label(bars.num_bars - 1)
    axis = left.ljust(bars.num_bars - len(right)) + right
    one = bars.unit_bar
    if one is not None and not axis[max(0, one - 2) : one + 3].strip():
        axis = f"{axis[:one]}1{axis[one + 1 :]}"
    return axis
