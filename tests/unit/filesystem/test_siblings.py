"""What killed processes left is removed, and nothing else, on a disk of several machines too."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from l2cli.filesystem import siblings
from l2cli.filesystem.atomic import replacing, temporary_file
from l2cli.filesystem.siblings import (
    Owner,
    host_label,
    is_abandoned,
    name_prefix,
    owner_of,
    remove_abandoned,
    remove_siblings,
    sibling_path,
)
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.runtime.processes import is_running, own_start_time, start_time
from l2cli.store.shard import run_shard
from l2cli.store.task import ShardReport, ShardTask

DEAD = name_prefix(Owner(host_label(), 999999999, 0))
HIDDEN = name_prefix(Owner(host_label(), 999999998, 0))
ALIVE = name_prefix(Owner(host_label(), 1, 0))
FOREIGN = name_prefix(Owner("node_b", 999999999, 0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system keeps temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_temporary_folders_of_the_killed_are_removed(folder: Path) -> None:
    dead, elsewhere, alive = (folder / f"{prefix}x" for prefix in (DEAD, HIDDEN, ALIVE))
    for path in (dead, elsewhere, alive):
        path.mkdir()
        (path / "file").touch()
    (folder / f"{DEAD}link").symlink_to(alive)
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
    names = [f"{DEAD}0.tmp", f"{DEAD}12.tmp", f"{HIDDEN}0.staged"]
    for name in names:
        (folder / name).write_text("half")
    with temporary_file():
        assert not [path for path in folder.iterdir() if path.name in names]


@pytest.mark.parametrize(
    "name",
    [
        f"{ALIVE}0.tmp",  # its process is alive, and belongs to root
        f"{FOREIGN}0.tmp",  # of another machine, and young
        ".l2norm-notes.txt",
        ".l2norm-999999999",
        f"{DEAD}0.tmp".replace("999-", "99x-"),
        ".l2norm.jsonl",
        f"{DEAD}0.tmp"[1:],
        f"x{DEAD}0.tmp",
    ],
)
def test_what_is_not_known_to_be_abandoned_stays(folder: Path, name: str) -> None:
    (folder / name).write_text("precious")
    with temporary_file(named=True):
        pass
    assert (folder / name).read_text() == "precious"


def test_what_another_user_owns_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / f"{DEAD}0.tmp"
    path.touch()
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    remove_abandoned(folder)
    assert path.exists()


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="Linux tells who writes to a file")
def test_a_sibling_of_another_container_stays(folder: Path) -> None:
    """Its process can't be seen, but that somebody writes to it can."""
    with replacing(folder / "x.npy", like=None, overwrite=False) as sibling:
        _sweep_from_another_process(
            folder,
            "import l2cli.filesystem.siblings as s\ns.is_running = lambda pid, started: False\n",
        )
        sibling.write_text("whole")
    assert (folder / "x.npy").read_text() == "whole"


def test_what_can_not_be_removed_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    (folder / f"{DEAD}0.tmp").touch()
    monkeypatch.setattr(os, "unlink", refuse)
    remove_abandoned(folder)
    remove_abandoned(folder / "no")


def _sweep_from_another_process(folder: Path, before: str = "") -> None:
    code = (
        f"{before}from l2cli.filesystem.atomic import temporary_file\n"
        "with temporary_file(named=True): pass"
    )
    environ = {**os.environ, "TMPDIR": str(folder)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)


def test_the_siblings_of_a_dead_process_can_be_removed(folder: Path) -> None:
    first, second = (name_prefix(Owner(host_label(), pid, 5)) for pid in (77, 777))
    foreign = name_prefix(Owner("node_b", 77, 5))
    for prefix in (first, second, foreign):
        (folder / f"{prefix}0.tmp").touch()
    (folder / f"{first}folder").mkdir()
    remove_siblings(folder, 77)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([f"{second}0.tmp", f"{foreign}0.tmp"])


def test_names_show_who_made_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "host_name", lambda: "node-a/7.example.org")
    paths = {sibling_path(tmp_path / "x.npy", "staged") for _ in range(100)}
    assert len(paths) == 100
    for path in paths:
        assert path.parent == tmp_path
        assert owner_of(path.name) == ("node_a_7.example.org", os.getpid(), own_start_time())
    assert owner_of("x.npy") is None


def test_a_process_of_the_same_id_that_was_started_later_is_another() -> None:
    pid, started = os.getpid(), start_time(os.getpid())
    assert is_running(pid)
    assert is_running(pid, started)
    if started:
        assert not is_running(pid, started - 1)


def test_a_sibling_of_another_machine_is_abandoned_when_its_lease_has_run_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, made = folder / f"{FOREIGN}0.tmp", folder / f"{FOREIGN}folder"
    file.touch()
    os.utime(file, (0, 0))  # As a copy has the time of its source.
    made.mkdir()
    now = file.lstat().st_ctime
    monkeypatch.setattr("time.time", lambda: now + siblings.LEASE_SECONDS - 60)
    remove_abandoned(folder, is_exclusive=True)
    assert (file.exists(), made.exists()) == (True, True)
    monkeypatch.setattr("time.time", lambda: now + siblings.LEASE_SECONDS + 60)
    (made / "source").touch()
    monkeypatch.setattr(siblings, "_last_change", lambda path: now + 120 * (path == made))
    assert (is_abandoned(file), is_abandoned(made)) == (True, False)
    remove_abandoned(folder, is_exclusive=True)
    assert (file.exists(), made.exists()) == (False, True)


def test_what_is_written_into_a_folder_renews_its_lease(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / f"{FOREIGN}folder" / "deep"
    inner.mkdir(parents=True)
    (inner / "source").write_text("rows")
    written = (inner / "source").lstat().st_ctime
    monkeypatch.setattr("time.time", lambda: written + siblings.LEASE_SECONDS)
    assert not is_abandoned(folder / f"{FOREIGN}folder")


@pytest.mark.parametrize("action", ["normalize", "link"])
def test_two_hosts_with_one_process_id_write_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The second does its shard, and sweeps, while the first is in the midst of its own."""
    rows = {name: np.random.default_rng(seed).random((5, 4)) for seed, name in enumerate("ab")}
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rows[name])
    target = tmp_path / "target"
    target.mkdir()
    first, second = (_staged_task(tmp_path, target, name, action) for name in "ab")
    reports: dict[str, ShardReport] = {}
    begun = []

    def do_the_second() -> None:
        begun.append("b")
        monkeypatch.setattr(siblings, "host_name", lambda: "node-b")
        monkeypatch.setattr(siblings, "is_running", lambda pid, started: False)
        remove_abandoned(target, is_exclusive=True)
        reports["b"] = run_shard(second)
        monkeypatch.setattr(siblings, "host_name", lambda: "node-a")

    monkeypatch.setattr(siblings, "host_name", lambda: "node-a")
    replace = Path.replace

    def replace_late(path: Path, goal: Path) -> Path:
        if not begun and owner_of(path.name):
            do_the_second()
        return replace(path, goal)

    monkeypatch.setattr(Path, "replace", replace_late)
    reports["a"] = run_shard(first)
    assert {name: reports[name].error for name in "ab"} == {"a": "", "b": ""}
    for name, task in (("a", first), ("b", second)):
        if action == "link":
            assert os.readlink(task.destination) == task.link
        else:
            expected = rows[name] / np.linalg.norm(rows[name], axis=1, keepdims=True)
            np.testing.assert_allclose(np.load(reports[name].staged), expected, rtol=1e-15)
    num_staged = 0 if action == "link" else 2
    assert sum(owner_of(path.name) is not None for path in target.iterdir()) == num_staged


def _staged_task(source: Path, target: Path, name: str, action: str) -> ShardTask:
    path = source / f"{name}.npy"
    return ShardTask(
        path.name,
        str(path),
        str(target / path.name),
        action,  # type: ignore[arg-type]
        (path.stat().st_size, path.stat().st_mtime_ns),
        NormalizeOptions(),
        StoreOptions(in_place=action == "normalize"),
        link=f"{name}.target",
    )
