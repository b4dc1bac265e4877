"""The colors of bars, for the page and the plot."""

from __future__ import annotations

LIGHT = {"before": "#b4bac2", "unit": "#0a7f6f", "not unit": "#d9480f"}
"""By the titles of :attr:`l2cli.checking.bars.Bars.series`, on a light ground."""
DARK = {"before": "#5b626b", "unit": "#2fc1ab", "not unit": "#ff8f4d"}
GRID = "#e2e5e9"
