"""What killed processes left is removed, and nothing else."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from l2cli.filesystem.atomic import replacing, temporary_file
from l2cli.filesystem.siblings import remove_abandoned, remove_siblings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system keeps temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_temporary_folders_of_the_killed_are_removed(folder: Path) -> None:
    dead, elsewhere, alive = (folder / f".l2norm-{pid}-x" for pid in (999999999, 999999998, 1))
    for each in (dead, elsewhere, alive):
        each.mkdir()
        (each / "file").touch()
    (folder / ".l2norm-999999997-link").symlink_to(alive)
    descriptor = os.open(elsewhere, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with temporary_file(named=True) as path:
        _sweep_from_another_process(folder)
        assert path.exists()
    os.close(descriptor)
    assert not dead.exists()
    assert (elsewhere / "file").exists()
    assert (alive / "file").exists()


def test_files_of_the_killed_are_removed(folder: Path) -> None:
    """Those of a destination that was to stand where temporary files do."""
    names = [".l2norm-999999999-0.tmp", ".l2norm-999999999-12.tmp", ".l2norm-999999998-staged"]
    for name in names:
        (folder / name).write_text("half")
    with temporary_file():
        assert not [path for path in folder.iterdir() if path.name in names]


@pytest.mark.parametrize(
    "name",
    [
        ".l2norm-1-0.tmp",  # its process lives, and belongs to root
        ".l2norm-notes.txt",
        ".l2norm-999999999",
        ".l2norm-99999x-0.tmp",
        ".l2norm.jsonl",
        "l2norm-999999999-0.tmp",
        "x.l2norm-999999999-0.tmp",
    ],
)
def test_what_is_not_known_to_be_abandoned_stays(folder: Path, name: str) -> None:
    (folder / name).write_text("precious")
    with temporary_file(named=True):
        pass
    assert (folder / name).read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="asks whose a file is")
def test_what_another_user_owns_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = folder / ".l2norm-999999999-0.tmp"
    left.touch()
    owner = left.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    remove_abandoned(str(folder))
    assert left.exists()


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="Linux tells who writes to a file")
def test_a_sibling_of_another_container_stays(folder: Path) -> None:
    """Its process can't be seen, but that somebody writes to it can."""
    with replacing(folder / "x.npy", like=None, overwrite=False) as sibling:
        _sweep_from_another_process(
            folder, "import l2cli.filesystem.siblings as s\ns.is_running = lambda pid: False\n"
        )
        sibling.write_text("whole")
    assert (folder / "x.npy").read_text() == "whole"


def test_what_can_not_be_removed_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    (folder / ".l2norm-999999999-0.tmp").touch()
    monkeypatch.setattr(os, "unlink", refuse)
    remove_abandoned(str(folder))
    remove_abandoned(str(folder / "no"))


def _sweep_from_another_process(folder: Path, before: str = "") -> None:
    code = (
        f"{before}from l2cli.filesystem.atomic import temporary_file\n"
        "with temporary_file(named=True): pass"
    )
    environ = {**os.environ, "TMPDIR": str(folder)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)


def test_the_siblings_of_a_dead_process_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / ".l2norm-77-0.tmp").touch()
    (tmp_path / ".l2norm-777-0.tmp").touch()
    remove_siblings(tmp_path, 77)
    assert [p.name for p in tmp_path.iterdir()] == [".l2norm-777-0.tmp"]
