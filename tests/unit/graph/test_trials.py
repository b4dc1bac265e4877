"""Executables that end the process that runs them: removed, and the work done without them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from l2cli.graph.cache import EXECUTABLE, load_graph, save_graph
from l2cli.graph.trials import begin_trial, end_trial, remove_crashed
from l2cli.runtime.processes import host_name, own_start_time, start_time

if TYPE_CHECKING:
    from pathlib import Path

_CRASHING = """
import signal
from l2cli.graph.backends import executable

def crash(*arrays):
    signal.raise_signal(signal.SIGSEGV)  # In this very thread, as a fault of code is.

executable.Runtime.load = lambda self, content, spec: crash
from l2cli.cli import main
main()
"""
_CRASHING_LATER = """
import signal, sys
from l2cli.normalization.execution import Execution

def crash(self, report):
    with open(sys.argv[2] + ".runs", "a") as file:
        file.write("run\\n")
    signal.raise_signal(signal.SIGSEGV)

Execution._fill_in = crash
from l2cli.cli import main
main()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return path


def _mark(folder: Path, process: int, started: int, host: str = "") -> None:
    (folder / "key.trial").write_text(f"{process} {started} {host or host_name()}")


def _ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_what_comes_back_stays(folder: Path) -> None:
    save_graph("key", b"content", EXECUTABLE)
    for _ in range(2):
        assert begin_trial("key")
        assert not remove_crashed()
        end_trial("key")
    assert load_graph("key", EXECUTABLE) == b"content"
    assert [path.name for path in folder.iterdir()] == ["key.executable"]


def test_what_ended_its_process_is_removed(folder: Path) -> None:
    for ask in (remove_crashed, lambda: not begin_trial("key")):
        save_graph("key", b"content", EXECUTABLE)
        _mark(folder, _ended_process(), 0)
        assert ask()
        assert not list(folder.iterdir())
        assert not remove_crashed()


@pytest.mark.skipif(not own_start_time(), reason="asks Linux when processes were started")
def test_another_process_of_the_same_number_is_not_the_one_that_was_at_it(folder: Path) -> None:
    save_graph("key", b"content", EXECUTABLE)
    _mark(folder, os.getpid(), own_start_time() - 1)
    assert not begin_trial("key")
    assert load_graph("key", EXECUTABLE) is None


def test_a_mark_that_was_cut_off_stands_for_a_crash(folder: Path) -> None:
    save_graph("key", b"content", EXECUTABLE)
    (folder / "key.trial").write_text("12")
    assert remove_crashed()
    assert not list(folder.iterdir())


def test_others_that_are_at_it_are_left_alone(folder: Path) -> None:
    save_graph("key", b"content", EXECUTABLE)
    for host in ("", "another-machine"):
        _mark(folder, os.getppid(), start_time(os.getppid()), host)
        assert not remove_crashed()
        assert begin_trial("key")
    _mark(folder, os.getppid(), 1, "another-machine")
    long_ago = time.time() - 3600
    os.utime(folder / "key.trial", (long_ago, long_ago))
    assert remove_crashed()


def test_a_folder_that_cannot_be_used_is_no_error(folder: Path) -> None:
    assert not remove_crashed()
    folder.write_text("a file, where a folder is wanted")
    assert begin_trial("key")
    end_trial("key")
    assert not remove_crashed()


def _run(program: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *program, *arguments]
    return subprocess.run(line, capture_output=True, text=True, errors="replace", check=False)


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "store" / "rows.npy"
    path.parent.mkdir()
    np.save(path, np.random.default_rng(6).standard_normal((10, 8)).astype("f4"))
    return str(path)


@pytest.mark.parametrize("command", ["normalize", "check"])
def test_the_command_repeats_what_an_executable_crashed(
    folder: Path, tmp_path: Path, source: str, command: str
) -> None:
    target = tmp_path / "unit.npy"
    output = ["-o", str(target), "--overwrite"] if command == "normalize" else []
    results = []
    for program in (["-m", "l2cli"], ["-c", _CRASHING]):
        done = _run(program, command, source, *output)
        content = target.read_bytes() if output else b""
        results.append((done.returncode, done.stderr.count("\n"), content))
        assert sorted(path.suffix for path in folder.iterdir()) == [".executable", ".stablehlo"]
    assert results[0] == results[1]


def test_what_cannot_be_repeated_works_the_next_time(
    folder: Path, tmp_path: Path, source: str
) -> None:
    store, unit = os.path.dirname(source), str(tmp_path / "unit")
    assert _run(["-m", "l2cli"], "normalize", source, "-o", str(tmp_path / "x.npy")).returncode == 0
    for arguments, code in ((["normalize", source, "-o", "-"], 3), (["normalize", store], -11)):
        destination = [] if "-o" in arguments else ["-o", unit]
        crashed = _run(["-c", _CRASHING], *arguments, *destination)
        assert crashed.returncode == code
        assert _run(["-c", _CRASHING], *arguments, *destination).returncode == 0
        assert sorted(path.suffix for path in folder.iterdir()) == [".executable", ".stablehlo"]
    assert (tmp_path / "unit" / "rows.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()


def test_what_crashes_by_itself_is_done_once(folder: Path, tmp_path: Path, source: str) -> None:
    target = str(tmp_path / "x.npy")
    assert _run(["-m", "l2cli"], "normalize", source, "-o", target).returncode == 0
    kept = sorted(folder.iterdir())
    crashed = _run(["-c", _CRASHING_LATER], "normalize", source, "-o", target, "--overwrite")
    assert crashed.returncode == 3
    assert "a library crashed (SIGSEGV) on it" in crashed.stderr
    with open(f"{source}.runs") as file:
        assert file.read() == "run\n"
    assert sorted(folder.iterdir()) == kept
