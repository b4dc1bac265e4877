"""Paths that stand for streams: named pipes, ``/dev/stdin``, ``<(…)``, ``/dev/fd/3``."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from l2cli.checking.check import check
from l2cli.errors import DestinationError, FormatError, OptionError, SourceError
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file
from l2cli.options import FileOptions
from tests.support.commands import PROGRAM
from tests.support.reference import worst_ulp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = np.random.default_rng(0).standard_normal((60, 8)).astype("f4")


def _npy(rows: Any = ROWS) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def _beside(work: Callable[[], Any]) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


def _shell(line: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    program = " ".join(f"'{part}'" for part in PROGRAM)
    line = line.replace("l2norm", program)
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, check=False
    )


def test_a_named_pipe_is_a_source(tmp_path: Path, fifo: Path) -> None:
    _beside(lambda: fifo.write_bytes(_npy()))
    report = normalize_file(fifo, tmp_path / "y.npy")
    assert report.source == str(fifo)
    assert worst_ulp(np.load(tmp_path / "y.npy"), ROWS) <= 0.501


def test_a_named_pipe_is_a_destination(tmp_path: Path, fifo: Path) -> None:
    np.save(tmp_path / "x.npy", ROWS)
    result: list[bytes] = []
    reading = _beside(lambda: result.append(fifo.read_bytes()))
    normalize_file(tmp_path / "x.npy", fifo)
    reading.join()
    assert worst_ulp(np.load(io.BytesIO(result[0])), ROWS) <= 0.501
    assert fifo.is_fifo()


def test_the_suffix_of_a_named_pipe_converts(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ROWS)
    target = tmp_path / "y.parquet"
    os.mkfifo(target)
    result: list[bytes] = []
    reading = _beside(lambda: result.append(target.read_bytes()))
    normalize_file(tmp_path / "x.npy", target)
    reading.join()
    after = pq.read_table(io.BytesIO(result[0]))
    assert worst_ulp(np.stack(after["embedding"].to_numpy()), ROWS) <= 0.501


def test_what_no_pipe_can_take_is_refused(tmp_path: Path, fifo: Path) -> None:
    np.savez(tmp_path / "x.npz", emb=ROWS)
    with pytest.raises(OptionError, match="npz can't be written to a pipe"):
        normalize_file(tmp_path / "x.npz", fifo)


def test_check_and_inspect_read_named_pipes(tmp_path: Path, fifo: Path) -> None:
    _beside(lambda: fifo.write_bytes(_npy()))
    assert check([fifo]).exit_code == 1
    second = tmp_path / "second"  # The first may still be held by a thread that read it.
    os.mkfifo(second)
    _beside(lambda: second.write_bytes(_npy()))
    (array,) = inspect_file(second).arrays
    assert (array.shape, array.chosen) == ((60, 8), True)


def test_a_stream_is_not_replaced_and_not_waited_for(fifo: Path) -> None:
    for in_place in (True, False):
        with pytest.raises(OptionError, match="a stream can't be replaced and has no name"):
            normalize_file(fifo, files=FileOptions(in_place=in_place))


def test_devices_and_descriptors_that_are_not_open(tmp_path: Path) -> None:
    from pathlib import Path

    np.save(tmp_path / "x.npy", ROWS)
    report = normalize_file(tmp_path / "x.npy", Path("/dev/null"))
    assert report.destination == "/dev/null"
    with pytest.raises(FormatError, match="/dev/null is empty"):
        normalize_file(Path("/dev/null"), tmp_path / "y.npy")
    with pytest.raises(SourceError, match="/dev/fd/977 can't be read: Bad file descriptor"):
        normalize_file(Path("/dev/fd/977"), tmp_path / "y.npy")
    with pytest.raises(DestinationError, match="/dev/fd/977 can't be written: Bad file desc"):
        normalize_file(tmp_path / "x.npy", Path("/dev/fd/977"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(
    "line",
    [
        "l2norm normalize <(gzip -dc x.npy.gz) > y.npy",
        "l2norm normalize <(gzip -dc x.npy.gz) -o y.npy",
        "gzip -dc x.npy.gz | l2norm normalize /dev/stdin > y.npy",
        "gzip -dc x.npy.gz | l2norm normalize -o /dev/stdout > y.npy",
        "gzip -dc x.npy.gz | l2norm normalize -o /dev/fd/3 3> y.npy",
        "l2norm normalize x.npy -o /dev/stdout | cat > y.npy",
        "l2norm normalize /dev/fd/4 -o >(cat > y.npy) 4< x.npy; sleep 0.5",
    ],
)
def test_what_a_shell_makes_of_streams(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.npy").write_bytes(_npy())
    (tmp_path / "x.npy.gz").write_bytes(gzip.compress(_npy()))
    done = _shell(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert worst_ulp(np.load(tmp_path / "y.npy"), ROWS) <= 0.501
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", "x.npy.gz", "y.npy"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("l2norm normalize <(cat x.npy) <(cat x.npy) -o y", b"a pipe carries one file"),
        ("l2norm normalize <(cat x.npy) -o y/", b"-o y/ is a folder; name a file for /dev/fd/"),
        ("l2norm normalize x.npy --json -o /dev/stdout", b"--json prints where the vectors go"),
        ("l2norm normalize <(cat x.npy) --in-place", b"a stream can't be replaced"),
    ],
)
def test_what_a_shell_can_not_ask_of_streams(tmp_path: Path, line: str, message: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(_npy())
    done = _shell(line, tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_a_pipe_that_ends_early_is_said_to_be_incomplete(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(_npy())
    done = _shell("l2norm normalize <(head -c 1000 x.npy) -o y.npy", tmp_path)
    assert done.returncode == 3
    assert b"/dev/fd/63 is cut off: its header promises 1,920 bytes" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
