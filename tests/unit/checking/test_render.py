"""The page and the plot of a check: whole, safe, small, and drawn from the right numbers."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread

from l2cli.checking.bars import bars_of
from l2cli.checking.histogram import NormHistogram
from l2cli.checking.render.page import page
from l2cli.checking.render.plot import plot
from l2cli.checking.result import (
    ArrayCheck,
    CheckReport,
    FileCheck,
    NonUnitRow,
    NormRange,
    NormSummary,
)
from tests.support.commands import SAMPLES, l2norm, l2norm_anew

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<script>alert('x')</script> & \"q\" $\\frac{a}{$ \x1b[31m \ud800"


def array_check(name: str = "emb", *, num_bad: int = 0, seed: int = 0) -> ArrayCheck:
    rng = np.random.default_rng(seed)
    unit, not_unit, before = NormHistogram(), NormHistogram(), NormHistogram()
    unit.add(1 + rng.normal(0, 1e-4, 1000))
    not_unit.add(np.exp(rng.normal(1, 1, num_bad)))
    bars = bars_of(unit, not_unit, before)
    summary = NormSummary(
        1000 + num_bad, 1000, 0, 0, 0, num_bad, NormRange(0.9998, 1.0, 1.00019, 0.00019), bars
    )
    non_unit_rows = [NonUnitRow((row,), "not unit", 1.5 + row) for row in range(min(num_bad, 5))]
    return ArrayCheck(name, (1000 + num_bad, 768), "float16", 1e-3, summary, non_unit_rows)


def report_of(*arrays: ArrayCheck, source: str = "x.npy", error: str = "") -> CheckReport:
    files = [FileCheck(source, arrays=[array], error=error) for array in arrays]
    return CheckReport("allow", files, arrays[0].summary, [], 0.1)


def parsed(content: str) -> ET.Element:
    return ET.fromstring(content.removeprefix("<!DOCTYPE html>\n"))


def test_the_page_is_whole_and_alone() -> None:
    content = page(report_of(array_check(num_bad=3), array_check("other")))
    root = parsed(content)
    assert root.tag == "html"
    assert root.find("head/meta[@name='viewport']") is not None
    assert "prefers-color-scheme:dark" in content
    assert not re.search(r"https?:|//|url\(|src=|@import|<script|<link", content)
    articles = root.findall(".//article")
    assert [article.get("class") for article in articles] == ["no", "yes"]
    text = "".join(articles[0].itertext())
    assert "1,003 rows: 1,000 unit, 3 not unit" in text
    assert "rows 0 (norm 1.5), 1 (norm 2.5), 2 (norm 3.5)" in text


def test_a_file_can_not_write_the_page() -> None:
    content = page(report_of(array_check(HOSTILE), source=HOSTILE, error=HOSTILE))
    root = parsed(content)
    assert root.find(".//script") is None
    assert "<script>alert('x')</script>" in "".join(root.itertext())
    assert "\x1b" not in content
    content.encode()


def test_a_thousand_shards_fit_in_a_megabyte() -> None:
    arrays = [
        array_check("image_embeddings", num_bad=index % 9, seed=index) for index in range(1000)
    ]
    content = page(report_of(*arrays, source="laion/img_emb/metadata/img_emb_0123.parquet"))
    assert len(parsed(content).findall(".//article")) == 1000
    assert len(content.encode()) <= 1_000_000


def heights_of(path: str) -> list[int]:
    """Return the heights that a path of the page draws."""
    heights, level = [], 0
    assert path.startswith("M0 24")
    for move, number in re.findall(r"([hv])(-?\d+)", path):
        if move == "v":
            level -= int(number)
        else:
            heights += [level] * int(number)
    return heights


def test_bars_are_as_high_as_the_logarithms_of_their_counts() -> None:
    array = array_check(num_bad=40)
    bars = array.summary.bars
    (article,) = parsed(page(report_of(array))).findall(".//article")
    for name, counts in (("u", bars.unit), ("o", bars.not_unit)):
        (path,) = (path for path in article.iter("path") if path.get("class") == name)
        heights = np.array(heights_of(path.get("d", "")))
        truth = 24 * np.log1p(counts) / np.log1p(bars.highest)
        assert np.abs(heights - truth).max() <= 1
        assert np.array_equal(heights > 0, np.array(counts) > 0)


@pytest.mark.parametrize("num_arrays", [1, 3, 20])
def test_plots(num_arrays: int) -> None:
    report = report_of(*[array_check(HOSTILE[:-1], num_bad=3) for _ in range(num_arrays)])
    image, drawing, again = io.BytesIO(), io.BytesIO(), io.BytesIO()
    plot(report, image, ".png")
    plot(report, drawing, ".svg")
    plot(report, again, ".svg")
    image.seek(0)
    pixels = imread(image, format="png")
    assert len(np.unique((pixels * 255).astype("u1").view("u4"))) > 10
    assert ET.fromstring(drawing.getvalue()).tag == "{http://www.w3.org/2000/svg}svg"
    assert drawing.getvalue() == again.getvalue()


def test_no_rows_at_all() -> None:
    none = NormHistogram()
    summary = NormSummary(0, 0, 0, 0, 0, 0, None, bars_of(none, none, none))
    report = report_of(ArrayCheck("", (0, 4), "float32", 1e-6, summary, []))
    parsed(page(report))
    plot(report, io.BytesIO(), ".png")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to look with")
@pytest.mark.parametrize("width", [380, 1200])
def test_nothing_sticks_out_of_the_window(tmp_path: Path, width: int) -> None:
    arrays = [array_check("a" * 300, num_bad=9), array_check("b")]
    (tmp_path / "x.html").write_text(page(report_of(*arrays, source="folder/" + "c" * 200)))
    (tmp_path / "frame.html").write_text(
        f"<iframe id=f src=x.html width={width} height=900></iframe><script>onload=()=>{{"
        "const page=f.contentDocument.documentElement;"
        "document.title=page.scrollWidth+' '+page.clientWidth}</script>"
    )
    done = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--dump-dom", (tmp_path / "frame.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    match = re.search(r"<title>(\d+) (\d+)</title>", done.stdout)
    assert match is not None, done.stdout
    assert int(match[1]) <= int(match[2])


def test_the_command_writes_both(tmp_path: Path) -> None:
    names = ("--report", "x.html", "--plot", "x.svg")
    done = l2norm("check", SAMPLES / "glove-50d.npy", *names, "-q", cwd=tmp_path)
    assert (done.code, done.err) == (1, "")
    assert len(parsed((tmp_path / "x.html").read_text()).findall(".//article")) == 1
    before = (tmp_path / "x.html").read_bytes()
    done = l2norm("check", SAMPLES / "glove-50d.npy", *names, cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("l2norm: x.svg exists; replace it with --overwrite")
    assert (tmp_path / "x.html").read_bytes() == before
    done = l2norm("check", SAMPLES / "glove-50d.npy", *names, "--overwrite", "-q", cwd=tmp_path)
    assert done.code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--plot", "x.pdf"], 2, "--plot x.pdf: expected a name in .png or .svg"),
        (["--report", "x.txt"], 2, "--report x.txt: expected a name in .html"),
        (["--report", "no/x.html"], 3, "there is no folder"),
        (["--against", "no.npy"], 3, "no.npy can't be read: No such file"),
    ],
)
def test_bad_options_get_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = l2norm("check", SAMPLES / "glove-50d.npy", *arguments, cwd=tmp_path)
    assert message in done.err
    assert (done.err.count("\n"), done.code, done.out) == (1, code, "")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_one_line_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'matplotlib' else find(name, *rest)\n"
    )
    done = l2norm_anew(
        "check",
        SAMPLES / "glove-50d.npy",
        *("--plot", "x.png"),
        cwd=tmp_path,
        PYTHONPATH=f"{tmp_path}:{SAMPLES.parent}",
    )
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "l2norm: --plot needs Matplotlib: pip install 'l2cli[plot]'; --report does not\n"
    )
