"""A check as one HTML page: no script, no network, light and dark, narrow and wide.

``l2norm check --report`` writes it. A store may have thousands of shards, so the bars of each
are one small path, their outline.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from l2cli.checking.render.palette import DARK, LIGHT
from l2cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.checking.bars import Bars
    from l2cli.checking.result import ArrayCheck, CheckReport, FileCheck

_HEIGHT = 24
"""Of the bars, in units of a bar's width."""

_STYLE = """
:root{--ink:#1c2024;--dim:#60646c;--paper:#fff;--card:#f6f7f9;--line:#e2e5e9;
LIGHT}
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--dim:#a3a8b0;--paper:#111315;
--card:#1b1e21;--line:#2d3136;DARK}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:76rem;margin:auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1rem;margin:0;overflow-wrap:anywhere}
h1 b,.no b{color:var(--not-unit)}h1 b.yes,.yes b{color:var(--unit)}
p{margin:.25rem 0}
.dim,small,.x{color:var(--dim);font-size:.875rem;font-weight:400}
p,small{overflow-wrap:anywhere}
section,article{background:var(--card);border:1px solid var(--line);border-radius:.5rem;
padding:1rem;margin:1rem 0}
.all{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr))}
.all article{margin:0}
svg{display:block;width:100%;height:4.5rem;margin-top:.75rem;border-bottom:1px solid var(--dim)}
.all article:only-child{grid-column:1/-1}
section svg,article:only-child svg{height:11rem}
.u{fill:var(--unit)}.o{fill:var(--not-unit)}.b{fill:var(--before)}
.x{display:flex;justify-content:space-between;position:relative}
.x i{font-style:normal}.x .one{position:absolute;transform:translateX(-50%)}
.key{margin:1rem 0}.key span{margin-right:1rem;white-space:nowrap}
.key span::before{content:"";display:inline-block;width:.7em;height:.7em;margin-right:.35em;
border-radius:2px;background:var(--c)}
.key .u{--c:var(--unit)}.key .o{--c:var(--not-unit)}.key .b{--c:var(--before)}
label{display:inline-block;margin-bottom:.5rem}
main:has(#f:checked) .all .yes{display:none}
"""


def _variables(colors: dict[str, str]) -> str:
    return ";".join(f"--{title.replace(' ', '-')}:{color}" for title, color in colors.items())


_STYLE = _STYLE.replace("LIGHT", _variables(LIGHT)).replace("DARK", _variables(DARK))
_CLASSES = {"before": "b", "unit": "u", "not unit": "o"}
"""The CSS class of each series of bars."""


def page(report: CheckReport) -> str:
    """Return the page of ``report``."""
    answer, _, reason = report.verdict.partition(": ")
    title = _text(", ".join(file.source for file in report.files[:3]))
    more = f" and {len(report.files) - 3:,} more" if len(report.files) > 3 else ""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"/>',
        '<meta name="viewport" content="width=device-width,initial-scale=1"/>',
        '<meta name="color-scheme" content="light dark"/>',
        f"<title>{answer}: {_text(reason)}</title><style>{_STYLE}</style></head><body><main>",
        f'<h1><b class="{answer}">{answer}</b>: {_text(reason)}</h1>',
        f'<p class="dim">{title}{more}, checked by l2norm</p>',
        _summary(report),
        _filter(report),
        '<div class="all">',
        *_articles(report),
        "</div></main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _summary(report: CheckReport) -> str:
    summary = report.summary
    key = _key(summary.bars)
    if report.num_arrays < 2:
        return key
    lines = [str(summary), f"norms: {summary.norms}" if summary.norms else ""]
    text = "".join(f"<p>{line}</p>" for line in lines if line)
    return f"<section><h2>All arrays</h2>{text}{_svg(summary.bars)}</section>{key}"


def _filter(report: CheckReport) -> str:
    bad = sum(map(_is_bad, _arrays(report)))
    if not 0 < bad < report.num_arrays:
        return ""
    return f'<label><input type="checkbox" id="f"/> only what is not unit ({bad:,})</label>'


def _arrays(report: CheckReport) -> Iterator[ArrayCheck]:
    return (array for file in report.files for array in file.arrays)


def _is_bad(array: ArrayCheck) -> bool:
    return array.summary.non_unit > 0


def _articles(report: CheckReport) -> Iterator[str]:
    for file in report.files:
        if file.error:
            yield f'<article class="no"><h2><b>!</b> {_text(file.error)}</h2></article>'
        for array in file.arrays:
            yield _article(file, array)


def _article(file: FileCheck, array: ArrayCheck) -> str:
    answer = "no" if _is_bad(array) else "yes"
    lines = "".join(f"<p>{_text(line)}</p>" for line in str(array).splitlines())
    before = f" from {_text(file.before)}" if file.before else ""
    return (
        f'<article class="{answer}"><h2><b>{answer}</b> {_text(file.source)}{before} '
        f"<small>{_text(array.title)}</small></h2>{lines}{_svg(array.summary.bars)}</article>"
    )


def _key(bars: Bars) -> str:
    """Return what the colours mean."""
    spans = "".join(f'<span class="{_CLASSES[title]}">{title}</span>' for title in bars.series)
    return f'<p class="key dim">{spans} rows by norm; heights by logarithm</p>'


def _svg(bars: Bars) -> str:
    """Return bars and their axis; nothing for no rows."""
    if not bars.num_bars:
        return ""
    paths = "".join(
        f'<path class="{_CLASSES[title]}" d="{_outline(bars, counts)}"/>'
        for title, counts in bars.series.items()
    )
    middle = ""
    one = bars.unit_bar
    if one is not None and 0.15 < (offset := (one + 0.5) / bars.num_bars) < 0.85:
        middle = f'<i class="one" style="left:{offset:.0%}">1</i>'
    return (
        f'<svg viewBox="0 0 {bars.num_bars} {_HEIGHT}" preserveAspectRatio="none">{paths}</svg>'
        f'<div class="x"><i>{bars.label(0)}</i>{middle}<i>{bars.label(bars.num_bars - 1)}</i></div>'
    )


def _outline(bars: Bars, counts: list[int]) -> str:
    """Return the outline of some bars as the data of an SVG path, which is closed by itself."""
    path, level, length = f"M0 {_HEIGHT}", 0, 0
    for count in counts:
        height = bars.height(count, _HEIGHT)
        if height != level:
            path += (f"h{length}" if length else "") + f"v{level - height}"
            level, length = height, 0
        length += 1
    return f"{path}h{length}V{_HEIGHT}"


def _text(text: str) -> str:
    """Return text from a file as HTML."""
    return html.escape(printable(text))
