"""What a run over a store prints while it runs, where there is no terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from l2cli.cli.store import LogLines
from l2cli.store import StoreProgress
from tests.commands import l2norm

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_log_gets_a_line_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0, 1, 59.9, 60, 119.9, 200, 201])
    lines = LogLines(lambda: next(seconds))
    for number in range(6):
        lines.write(StoreProgress(f"{number}\n.npy", number * 10**6, 8 * 10**6))
    assert capfd.readouterr().err.splitlines() == [
        "l2norm: 25%, 2 of 8 MB, at 2\\n.npy",
        "l2norm: 50%, 4 of 8 MB, at 4\\n.npy",
    ]


def test_an_empty_store_has_a_share_too(capfd: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0, 60])
    LogLines(lambda: next(seconds)).write(StoreProgress("x.npy", 0, 0))
    assert capfd.readouterr().err == "l2norm: 0%, 0 of 0 MB, at x.npy\n"


def test_the_command_writes_to_the_log_what_is_due(tmp_path: Path) -> None:
    """A clock that leaps a day at each look makes every line due."""
    (tmp_path / "sitecustomize.py").write_text(
        "import itertools, time\ntime.monotonic = itertools.count(0.0, 86_400.0).__next__\n"
    )
    store = tmp_path / "store"
    store.mkdir()
    for name in ("1.npy", "2.npy"):
        np.save(store / name, np.ones((4, 4), "f4"))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = l2norm("normalize", store, "--only-arrays", "--dry-run", "-q", PYTHONPATH=path)
    assert (done.code, done.err) == (0, "")
    done = l2norm("normalize", store, "--json", "--dry-run", PYTHONPATH=path)
    assert done.err.splitlines() == [
        "l2norm: 50%, 0 of 0 MB, at 1.npy",
        "l2norm: 100%, 0 of 0 MB, at 2.npy",
    ]
