"""What is printed gets there, or the command fails and says so."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import PROGRAM, Done, l2norm

FULL = Path("/dev/full")
NO_ROOM = "l2norm: standard output can't be written: No space left on device\n"
CLOSED = "l2norm: standard output can't be written: Bad file descriptor\n"

PRINTING = [
    [],
    ["--help"],
    ["--version"],
    ["normalize", "--help"],
    ["normalize", "x.npy", "--json"],
    ["normalize", "x.npy", "--json", "--dry-run"],
    ["normalize", "store", "--json", "--no-progress", "-j", "2"],
    ["normalize", "store", "--json", "--no-progress", "--dry-run"],
    ["check", "--help"],
    ["check", "x.npy"],
    ["check", "x.npy", "--json"],
    ["check", "store"],
    ["check", "x.npy", "--against", "y.npy"],
    ["inspect", "--help"],
    ["inspect", "x.npy"],
    ["inspect", "x.npy", "y.npy"],
    ["inspect", "x.npy", "--json"],
    ["export", "--help"],
    ["export", "x.keras", "--dim", "3", "--summary"],
    ["bench", "--help"],
    ["bench"],
    ["bench", "--json"],
]
"""A command line for every command and option that prints to standard output."""

QUICK_BENCH = """
import sys, types

class Report:
    as_dict = dict

sys.modules["l2cli.bench"] = types.SimpleNamespace(run_bench=lambda *_, **__: Report())
"""
"""What spares these tests the half a minute that a benchmark takes."""

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="writes to a device that is full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).standard_normal((20, 3)).astype("f4")
    (tmp_path / "store").mkdir()
    for name in ("x.npy", "y.npy", "store/1.npy", "store/2.npy"):
        np.save(tmp_path / name, rows)
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(QUICK_BENCH)
    return tmp_path


def _environ(folder: Path) -> dict[str, str]:
    path = [str(folder / "python"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _redirected(folder: Path, arguments: list[str], redirect: str) -> Done:
    """Run ``l2norm`` with a stream redirected; by a shell if that closes standard output."""
    streams = {">/dev/full": {1: str(FULL)}, "2>/dev/full": {2: str(FULL)}, "2>&-": {2: ""}}
    if redirect in streams and arguments[:1] != ["bench"]:
        return l2norm(*arguments, cwd=folder, streams=streams[redirect])
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirect}', "bash", *PROGRAM, *arguments],
        cwd=folder,
        env=_environ(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_standard_output_is_an_error(folder: Path, arguments: list[str]) -> None:
    done = _redirected(folder, arguments, ">/dev/full")
    assert (done.code, done.err) == (3, NO_ROOM)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["normalize", "x.npy", "--json"], ["check", "x.npy"], ["inspect", "x.npy"]],
    ids=" ".join,
)
def test_a_closed_standard_output_is_an_error(folder: Path, arguments: list[str]) -> None:
    done = _redirected(folder, arguments, ">&-")
    assert (done.code, done.err) == (3, CLOSED)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["normalize", "store", "--json", "--no-progress"],
        ["check", "x.npy", "--json"],
        ["inspect", "x.npy"],
        ["bench"],
    ],
    ids=" ".join,
)
def test_a_pipe_that_nobody_reads_ends_in_silence(folder: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=_environ(folder),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_vectors_that_find_no_room_are_an_error(folder: Path) -> None:
    done = _redirected(folder, ["normalize", "x.npy", "-o", "-"], ">/dev/full")
    assert done.code == 3
    assert done.err == f"{NO_ROOM.rstrip()}; what it got is incomplete\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "no.npy", "--json"], 3, "no.npy can't be read: No such file or directory"),
        (["normalize", "x.npy", "--epsilon", "-1", "--json"], 2, "--epsilon is -1.0, expected a"),
    ],
)
def test_the_first_error_keeps_its_exit_code(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    done = _redirected(folder, arguments, ">/dev/full")
    first, second = done.err.splitlines(keepends=True)
    assert (done.code, second) == (code, NO_ROOM)
    assert first.startswith(f"l2norm: {message}")


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["normalize", "x.npy", "--progress"], 0),
        (["check", "x.npy"], 1),
        (["normalize", "x.npy", "--no-such-option"], 2),
        (["check", "no.npy", "--json"], 3),
        (["inspect", "no.npy", "--debug"], 3),
        (["inspect", "no.npy", "x.npy"], 3),
        (["normalize", "store"], 4),
        (["normalize", "store", "--progress"], 4),
    ],
)
def test_standard_error_that_nobody_reads_changes_no_exit_code(
    folder: Path, arguments: list[str], code: int, redirect: str
) -> None:
    (folder / "store" / "3.npy").write_bytes(b"\x93NUMPY\x01\x00damaged")
    done = _redirected(folder, arguments, redirect)
    assert done.code == code
    assert done.err == ""


def test_json_is_whole_where_standard_error_is_full(folder: Path) -> None:
    done = _redirected(folder, ["normalize", "store", "--json"], "2>/dev/full")
    assert [json.loads(line).get("status") for line in done.out.splitlines()] == [
        "done",
        "done",
        None,
    ]


def test_a_store_that_can_not_print_stops_and_goes_on_later(folder: Path) -> None:
    done = _redirected(folder, ["normalize", "store", "--json"], ">/dev/full")
    assert done.code == 3
    done = l2norm("normalize", "store", cwd=folder)
    assert done.code == 0
    assert len(list((folder / "store.normalized").glob("[0-9].npy"))) == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_an_encoding_that_lacks_a_character_is_no_error(folder: Path, encoding: str) -> None:
    os.rename(folder / "x.npy", folder / "→.npy")
    command = [*PROGRAM, "inspect", "→.npy"]
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b".npy: npy" in done.stdout


def test_a_stream_that_does_not_wait_gets_everything(folder: Path) -> None:
    """The other end made the pipe so, as some terminals and shells do."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sources = ["x.npy"] * 800
    process = subprocess.Popen([*PROGRAM, "check", *sources, "--json"], cwd=folder, stdout=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        report = json.load(stream)
    assert (len(report["files"]), process.wait()) == (800, 1)
