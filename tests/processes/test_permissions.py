"""Files and folders that may not be read or written: as one that is not there, exit code 3."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.commands import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gives up rights as Linux has them")

_DROP_FROM_BOUNDING_SET = 24
_OVERRIDE, _READ_SEARCH = 1, 2
DENIED = "can't be read: Permission denied"


_BOUND = [
    sys.executable,
    "-c",
    "import ctypes, os, sys\n"
    f"for right in ({_OVERRIDE}, {_READ_SEARCH}):\n"
    f"    ctypes.CDLL(None).prctl({_DROP_FROM_BOUNDING_SET}, right, 0, 0, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])",
]
"""Runs a command without what lets root read everything. Others lose nothing by it."""


def _l2norm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_BOUND, *PROGRAM, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """With a file and a folder that may not be read."""
    (tmp_path / "locked").mkdir()
    (tmp_path / "store").mkdir()
    for name in ("good.npy", "bad.npy", "locked/x.npy", "store/1.npy", "store/2.npy"):
        np.save(tmp_path / name, np.ones((2, 3), "f4"))
    closed = [tmp_path / name for name in ("bad.npy", "locked", "store/2.npy")]
    for path in closed:
        path.chmod(0)
    denied = subprocess.run(
        [*_BOUND, "cat", tmp_path / "bad.npy"],
        capture_output=True,
        check=False,
    )
    if not denied.returncode:
        pytest.skip("everything may be read here")
    yield tmp_path
    for path in closed:
        path.chmod(0o700)


@pytest.mark.parametrize("command", ["normalize", "check", "inspect"])
def test_a_file_that_may_not_be_read_is_as_one_that_is_not_there(
    folder: Path, command: str
) -> None:
    denied, missing = (_l2norm(folder, command, name) for name in ("bad.npy", "no.npy"))
    assert denied.stderr == f"l2norm: bad.npy {DENIED}\n"
    assert missing.stderr == "l2norm: no.npy can't be read: No such file or directory\n"
    assert denied.returncode == missing.returncode == 3


@pytest.mark.parametrize("command", ["normalize", "check", "inspect"])
def test_a_file_in_a_folder_that_may_not_be_entered(folder: Path, command: str) -> None:
    done = _l2norm(folder, command, "locked/x.npy")
    assert (done.returncode, done.stderr) == (3, f"l2norm: locked/x.npy {DENIED}\n")


def test_a_folder_that_may_not_be_read(folder: Path) -> None:
    done = _l2norm(folder, "check", "locked")
    assert done.returncode == 3
    assert f"l2norm: locked {DENIED}\n" in done.stderr
    done = _l2norm(folder, "normalize", "locked", "-o", "out")
    assert done.returncode in (3, 4)
    assert f"l2norm: locked {DENIED}\n" in done.stderr


def test_others_are_read_all_the_same(folder: Path) -> None:
    done = _l2norm(folder, "inspect", "bad.npy", "good.npy")
    assert (done.returncode, done.stderr) == (3, f"l2norm: bad.npy {DENIED}\n")
    assert "2 × 3" in done.stdout
    done = _l2norm(folder, "normalize", "store", "--dry-run")
    assert done.returncode == 4
    assert f"2.npy {DENIED}" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["normalize", "good.npy", "-o", "locked/y.npy"],
        ["normalize", "good.npy", "--norms", "locked/y.npy"],
        ["check", "good.npy", "--report", "locked/y.html"],
        ["export", "locked/y.keras", "--dim", "3"],
    ],
    ids=" ".join,
)
def test_a_destination_that_may_not_be_written(folder: Path, arguments: list[Any]) -> None:
    done = _l2norm(folder, *arguments)
    assert done.returncode == 3
    assert f": no permission to write in {os.path.realpath(folder)}/locked\n" in done.stderr
    assert done.stderr.count("\n") == 1
