"""A picture of norms in characters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from l2cli.checking.histogram import norm_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.checking.histogram import Picture

MIN_COLUMNS = 72
"""How wide a terminal must be for it."""
_LINES = 4
_BLOCKS = " ▁▂▃▄▅▆▇█"
_INDENT = "  "


def draw(picture: Picture) -> str:
    """Return a picture as lines of block characters: unit rows green, heights by logarithm."""
    none = [0] * picture.num_bars
    lines = [*_strip(picture.unit or none, picture.other or none, picture.highest)]
    if picture.before:
        lines = ["before", *_strip(none, picture.before, picture.highest), "after", *lines]
    rows = "row" if picture.highest == 1 else "rows"
    scale = f"heights by logarithm, the highest bar {picture.highest:,} {rows}"
    return "\n".join(_INDENT + line for line in [*lines, _axis(picture), scale])


def _strip(unit: list[int], other: list[int], highest: int) -> Iterator[str]:
    heights = [_height(sum(counts), highest) for counts in zip(unit, other, strict=True)]
    for line in reversed(range(_LINES)):
        blocks = [_BLOCKS[min(max(height - 8 * line, 0), 8)] for height in heights]
        yield "".join(map(_colored, blocks, unit, other))


def _height(count: int, highest: int) -> int:
    """Return the eighths of a line that a bar takes: one row can be seen beside a million."""
    if not count:
        return 0
    return max(1, round(8 * _LINES * math.log1p(count) / math.log1p(highest)))


def _colored(block: str, unit: int, other: int) -> str:
    return click.style(block, fg="green") if unit > other else block


def _axis(picture: Picture) -> str:
    last = picture.num_bars - 1
    left, right = norm_label(picture.logarithm(0)), norm_label(picture.logarithm(last))
    axis = left.ljust(picture.num_bars - len(right)) + right
    one = picture.unit_bar
    if one is not None and not axis[max(0, one - 2) : one + 3].strip():
        axis = f"{axis[:one]}1{axis[one + 1 :]}"
    return axis
