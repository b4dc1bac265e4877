"""A check as a picture, drawn by Matplotlib (``pip install 'l2cli[plot]'``)."""

from __future__ import annotations

import importlib.util
from typing import IO, TYPE_CHECKING, Any

from l2cli.checking.histogram import norm_label
from l2cli.errors import OptionError
from l2cli.text import printable

if TYPE_CHECKING:
    from l2cli.checking.histogram import Picture
    from l2cli.checking.result import CheckReport

KINDS = (".png", ".svg")
_MAX_PANELS = 6
"""Of more arrays than that, one panel shows all."""
_COLORS = {"before": "#b4bac2", "unit": "#0a7f6f", "not unit": "#d9480f"}
_NUM_TICKS = 7


def check_plotting() -> None:
    """Raise :class:`~l2cli.errors.OptionError` where Matplotlib isn't installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise OptionError("--plot needs Matplotlib: pip install 'l2cli[plot]'; --report does not")


def plot(report: CheckReport, file: IO[bytes], kind: str) -> None:
    """Write a picture of the norms in ``report``.

    Parameters
    ----------
    kind
        ``.png`` or ``.svg``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = _panels(report)
    # The ids in an SVG are random else: the same check gives the same bytes.
    with rc_context({"svg.hashsalt": "l2norm", "font.size": 10}):
        figure = Figure(figsize=(8, 0.9 + 2.4 * len(panels)), layout="constrained")
        figure.suptitle(_plain(report.verdict), x=0.01, ha="left", weight="bold", wrap=True)
        axes = figure.subplots(len(panels), squeeze=False)[:, 0]
        for panel, (title, picture) in zip(axes, panels, strict=True):
            _draw(panel, picture)
            panel.set_title(_plain(title), loc="left", fontsize=10)
        metadata = {"Date": None} if kind == ".svg" else {}
        figure.savefig(file, format=kind.removeprefix("."), dpi=150, metadata=metadata)


def _panels(report: CheckReport) -> list[tuple[str, Picture]]:
    if report.num_arrays > _MAX_PANELS:
        return [(f"all {report.num_arrays:,} arrays", report.figures.picture)]
    return [
        (f"{file.source}: {array.title}", array.figures.picture)
        for file in report.files
        for array in file.arrays
    ]


def _draw(panel: Any, picture: Picture) -> None:
    series = {"before": picture.before, "unit": picture.unit, "not unit": picture.other}
    for name, counts in series.items():
        if counts:
            bars = range(picture.num_bars)
            panel.bar(bars, counts, width=1.0, color=_COLORS[name], label=name, linewidth=0)
    panel.set_yscale("log")
    panel.set_ylim(0.5, 2 * max(picture.highest, 1))
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_ylabel("rows")
    panel.set_xlabel("norm")
    places = _ticks(picture)
    panel.set_xticks(places, [norm_label(picture.logarithm(place)) for place in places])
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#e2e5e9")
    panel.set_axisbelow(True)
    if picture.num_bars:
        panel.legend(frameon=False, ncols=3, loc="upper right")


def _ticks(picture: Picture) -> list[int]:
    """Return bars to label, evenly spaced, with that of norm 1 among them where it is shown."""
    step = max(1, round(picture.num_bars / _NUM_TICKS))
    start = 0 if picture.unit_bar is None else picture.unit_bar % step
    return list(range(start, picture.num_bars, step))


def _plain(text: str) -> str:
    """Return text from a file as Matplotlib shall show it: a dollar would begin a formula."""
    return printable(text).replace("$", r"\$")
