"""The norms of a check as a plot, drawn by Matplotlib (``pip install 'l2cli[plot]'``).

``l2norm check --plot`` writes it. Matplotlib is imported nowhere else.
"""

from __future__ import annotations

import importlib.util
from typing import IO, TYPE_CHECKING, Any

from l2cli.checking.render.palette import GRID, LIGHT
from l2cli.errors import OptionError
from l2cli.text import printable

if TYPE_CHECKING:
    from l2cli.checking.bars import Bars
    from l2cli.checking.result import CheckReport

SUFFIXES = (".png", ".svg")
_MAX_PANELS = 6
"""Of more arrays than that, one panel shows all."""
_NUM_TICKS = 7


def check_plotting() -> None:
    """Raise :class:`~l2cli.errors.OptionError` where Matplotlib isn't installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise OptionError("`plot` needs Matplotlib: pip install 'l2cli[plot]'; `report` does not")


def plot(report: CheckReport, file: IO[bytes], suffix: str) -> None:
    """Write a plot of the norms in ``report``.

    Parameters
    ----------
    report : CheckReport
        Of more than a few arrays, their sum is drawn.
    file : binary file
        Where it is written.
    suffix : str
        Of the image: ``.png`` or ``.svg``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = _panels(report)
    # The ids in an SVG are random else: the same check gives the same bytes.
    with rc_context({"svg.hashsalt": "l2norm", "font.size": 10}):
        figure = Figure(figsize=(8, 0.9 + 2.4 * len(panels)), layout="constrained")
        figure.suptitle(
            _without_formulas(report.verdict), x=0.01, ha="left", weight="bold", wrap=True
        )
        axes = figure.subplots(len(panels), squeeze=False)[:, 0]
        for panel, (title, bars) in zip(axes, panels, strict=True):
            _draw(panel, bars)
            panel.set_title(_without_formulas(title), loc="left", fontsize=10)
        metadata = {"Date": None} if suffix == ".svg" else {}
        figure.savefig(file, format=suffix.removeprefix("."), dpi=150, metadata=metadata)


def _panels(report: CheckReport) -> list[tuple[str, Bars]]:
    if report.num_arrays > _MAX_PANELS:
        return [(f"all {report.num_arrays:,} arrays", report.summary.bars)]
    return [
        (f"{file.source}: {array.title}", array.summary.bars)
        for file in report.files
        for array in file.arrays
    ]


def _draw(panel: Any, bars: Bars) -> None:
    for title, counts in bars.series.items():
        positions = range(bars.num_bars)
        panel.bar(positions, counts, width=1.0, color=LIGHT[title], label=title, linewidth=0)
    panel.set_yscale("log")
    panel.set_ylim(0.5, 2 * max(bars.highest, 1))
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_ylabel("rows")
    panel.set_xlabel("norm")
    ticks = _ticks(bars)
    panel.set_xticks(ticks, list(map(bars.label, ticks)))
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color=GRID)
    panel.set_axisbelow(True)
    if bars.num_bars:
        panel.legend(frameon=False, ncols=3, loc="upper right")


def _ticks(bars: Bars) -> list[int]:
    """Return bars to label, evenly spaced, with that of norm 1 among them where it is shown."""
    step = max(1, round(bars.num_bars / _NUM_TICKS))
    start = 0 if bars.unit_bar is None else bars.unit_bar % step
    return list(range(start, bars.num_bars, step))


def _without_formulas(text: str) -> str:
    """Return text from a file as Matplotlib shows it: a dollar would begin a formula."""
    return printable(text).replace("$", r"\$")
