"""What a run prints while it lasts, where there is no terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from l2cli.cli.log_lines import FileLines, StoreLines
from l2cli.store.report import StoreProgress
from tests.support.commands import l2norm, l2norm_anew

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MB = 10**6


def _clock(*seconds: float) -> Callable[[], float]:
    """Return a clock that starts at 1,000 s and then shows these seconds after that."""
    times = iter([1000.0, *(1000 + second for second in seconds)])
    return lambda: next(times)


def test_a_store_gets_a_line_at_once_then_by_time(capfd: pytest.CaptureFixture[str]) -> None:
    seconds = [0, 0.1, 9.9, 10, 29, 31, 59, 60, 61, 119.9, 200, 239, 240]
    lines = StoreLines(_clock(*seconds))
    due = []
    for number, second in enumerate(seconds):
        lines.write(StoreProgress(f"{number}.npy", 0, 8 * MB))
        if capfd.readouterr().err:
            due.append(second)
    assert due == [0, 10, 31, 60, 200, 240]


@pytest.mark.parametrize(
    ("progress", "second", "expected"),
    [
        (StoreProgress("", 0, 8 * MB, 0, 0, 4), 0, "0 of 4 files, 0 of 8 MB (0%)"),
        (
            StoreProgress("x\n.npy", 2 * MB, 8 * MB, 2 * MB, 1, 4),
            10,
            "1 of 4 files, 2 of 8 MB (25%), 0.2 MB/s, 30 s left, at x\\n.npy",
        ),
        (
            StoreProgress("x.npy", 6 * MB, 8 * MB, MB, 3_000, 4_000, 2),
            3600,
            "3,000 of 4,000 files, 6 of 8 MB (75%), 0.3 kB/s, 2.0 h left, 2 failed, at x.npy",
        ),
        (
            StoreProgress("x.npy", 7_000 * MB, 8_000 * MB, 6_000 * MB, 9, 9, 9),
            1200,
            "9 of 9 files, 7,000 of 8,000 MB (88%), 5 MB/s, 3 min left, 9 failed, at x.npy",
        ),
        (
            StoreProgress("x.npy", 8 * MB, 8 * MB, 8 * MB, 4, 4),
            80,
            "4 of 4 files, 8 of 8 MB (100%), 0.1 MB/s, at x.npy",
        ),
        (StoreProgress("x.npy", 0, 0), 60, "0 of 0 files, 0 MB, at x.npy"),
    ],
)
def test_a_line_of_a_store_says_how_far_it_is(
    progress: StoreProgress, second: float, expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    StoreLines(_clock(second)).write(progress)
    assert capfd.readouterr().err == f"l2norm: {expected}\n"


def test_a_file_gets_a_line_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    lines = FileLines("x.npy", _clock(0, 59, 61, 119, 120, 400, 401))
    for number in range(7):
        lines.write(number * 61 * MB, 610 * MB)
    assert capfd.readouterr().err.splitlines() == [
        "l2norm: x.npy: 122 of 610 MB (20%), 2 MB/s, 4 min left",
        "l2norm: x.npy: 244 of 610 MB (40%), 2.03 MB/s, 3 min left",
        "l2norm: x.npy: 305 of 610 MB (50%), 0.762 MB/s, 7 min left",
    ]


def test_a_stream_of_unknown_length_says_what_came(capfd: pytest.CaptureFixture[str]) -> None:
    FileLines("standard input", _clock(60)).write(120 * MB, 0)
    assert capfd.readouterr().err == "l2norm: standard input: 120 MB, 2 MB/s\n"


@pytest.fixture
def leaping(tmp_path: Path) -> str:
    """Where Python finds a clock that leaps a day at each look, so that every line is due."""
    (tmp_path / "sitecustomize.py").write_text(
        "import itertools, time\ntime.monotonic = itertools.count(0.0, 86_400.0).__next__\n"
    )
    return os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    store.mkdir()
    for name in ("1.npy", "2.npy"):
        np.save(store / name, np.ones((4, 4), "f4"))
    return store


def test_the_command_writes_to_the_log_what_is_due(store: Path, leaping: str) -> None:
    done = l2norm_anew("normalize", store, "--only-arrays", "--dry-run", "-q", PYTHONPATH=leaping)
    assert (done.code, done.err) == (0, "")
    done = l2norm_anew(
        "normalize", store, "--json", "--dry-run", "--no-progress", PYTHONPATH=leaping
    )
    assert (done.code, done.err) == (0, "")
    done = l2norm_anew("normalize", store, "--json", "--dry-run", PYTHONPATH=leaping)
    assert done.err.splitlines() == [
        "l2norm: 0 of 2 files, 0 of 0 MB (0%)",
        "l2norm: 1 of 2 files, 0 of 0 MB (50%), 0.0 kB/s, 48.0 h left, at 1.npy",
        "l2norm: 2 of 2 files, 0 of 0 MB (100%), 0.0 kB/s, at 2.npy",
    ]


def test_the_log_of_one_file_is_silent_at_first(store: Path) -> None:
    done = l2norm("normalize", store / "1.npy", "-q")
    assert (done.code, done.err) == (0, "")


def test_the_log_of_one_file_shows_what_is_due(store: Path, leaping: str) -> None:
    source = str(store / "1.npy")
    done = l2norm_anew("check", source, PYTHONPATH=leaping)
    assert done.err.startswith(f"l2norm: {source}: 0 of 0 MB (")
    done = l2norm_anew("check", source, "-q", PYTHONPATH=leaping)
    assert (done.code, done.err) == (1, "")


def test_a_store_that_runs_shows_it_at_once(store: Path) -> None:
    done = l2norm("normalize", store)
    assert done.code == 0
    assert done.err.startswith("l2norm: 0 of 2 files, 0 of 0 MB (0%)\n")
