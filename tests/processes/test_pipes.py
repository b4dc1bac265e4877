"""Standard input and standard output, as a shell uses them."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.filesystem.siblings import Owner, host_label, name_prefix
from tests.support import tables
from tests.support.commands import PROGRAM, SAMPLES, children, l2norm_piped
from tests.support.reference import worst_ulp

Rows = np.ndarray[Any, Any]
ROWS = np.random.default_rng(0).standard_normal((60, 8)).astype("f4")
DEAD = name_prefix(Owner(host_label(), 999999999, 0))
LOUD = "was kept in a temporary file"


def piped(content: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return l2norm_piped(content, "normalize", *arguments)


def npy(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def table(rows: Rows = ROWS) -> Any:
    return tables.table(pa.array(list(rows)))


def arrow(rows: Rows = ROWS, batch_rows: int = 20) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table(rows), max_chunksize=batch_rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table(), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def hdf5(folder: Path) -> bytes:
    with h5py.File(folder / "x.h5", "w") as file:
        file["emb"] = ROWS
    return (folder / "x.h5").read_bytes()


def stacked(column: Any) -> Rows:
    return np.stack(column.to_numpy())


@pytest.mark.parametrize("arguments", [[], ["-"], ["-", "-o", "-"], ["--from", "npy"]])
def test_npy_through_a_pipe(arguments: list[str]) -> None:
    done = piped(npy(ROWS), *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(b"standard input \xe2\x86\x92 standard output: 60")
    assert done.stderr.count(b"\n") == 1
    assert worst_ulp(np.load(io.BytesIO(done.stdout)), ROWS) <= 0.501


@pytest.mark.parametrize("change", [np.asfortranarray, lambda rows: rows.astype(">f4")])
def test_order_and_byte_order_pass_through_a_pipe(change: Any) -> None:
    rows = change(ROWS)
    done = piped(npy(rows), "--batch-size", "7")
    result = np.load(io.BytesIO(done.stdout))
    assert (result.dtype, result.flags.fnc) == (rows.dtype, rows.flags.fnc)
    assert worst_ulp(result.astype("f4"), ROWS) <= 0.501
    assert done.stderr.decode().count(LOUD) == rows.flags.fnc


def test_what_follows_the_array_passes_too() -> None:
    done = piped(npy(ROWS) + b"more")
    assert done.stdout.endswith(b"more")
    assert b"note: 4 bytes after the array stay as they are" in done.stderr


def test_axis_0_takes_two_passes() -> None:
    done = piped(npy(ROWS), "--axis", "0", "--batch-size", "7")
    assert LOUD in done.stderr.decode()
    norms = np.linalg.norm(np.load(io.BytesIO(done.stdout)).astype("f8"), axis=0)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)


def test_parquet_is_laid_down_on_its_way() -> None:
    done = piped(parquet())
    assert done.stderr.decode().count(LOUD) == 1
    result = pq.read_table(io.BytesIO(done.stdout))
    assert result["id"].equals(table()["id"])
    assert worst_ulp(stacked(result["emb"]), ROWS) <= 0.501


@pytest.mark.parametrize("to", ["npy", "arrow"])
def test_parquet_leaves_as_another_format(to: str) -> None:
    done = piped(parquet(), "--to", to)
    assert done.returncode == 0, done.stderr
    if to == "npy":
        result = np.load(io.BytesIO(done.stdout))
        assert b"left out, as npy has no place for it: 'id'" in done.stderr
    else:
        actual = pa.ipc.open_stream(done.stdout).read_all()
        assert actual["id"].to_pylist() == list(range(60))
        result = stacked(actual["emb"])
    assert worst_ulp(result, ROWS) <= 0.501


def test_hdf5_comes_in_and_goes_to_a_file(tmp_path: Path) -> None:
    done = piped(hdf5(tmp_path), "-o", tmp_path / "y.h5")
    assert done.returncode == 0, done.stderr
    assert LOUD in done.stderr.decode()
    with h5py.File(tmp_path / "y.h5") as file:
        assert worst_ulp(file["emb"][:], ROWS) <= 0.501
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "y.h5").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("arguments", [[], ["--to", "npz"]])
def test_what_no_pipe_can_take_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = piped(hdf5(tmp_path), *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"can't be written to a pipe" in done.stderr
    assert b"-o FILE." in done.stderr


def _first_bytes_before_the_last(content: bytes, cut: int, expected: int) -> bytes:
    """Send ``content`` up to ``cut``, wait for ``expected`` bytes, and only then send the rest."""
    process = subprocess.Popen(
        [*PROGRAM, "normalize", "-q", "--batch-size", "10"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(content[:cut])
    process.stdin.flush()
    start = b""
    while len(start) < expected:
        content_read = os.read(process.stdout.fileno(), expected)
        assert content_read, "the command ended early"
        start += content_read
    rest, _ = process.communicate(content[cut:], timeout=120)
    assert process.returncode == 0
    return start + rest


def test_npy_leaves_before_all_of_it_came() -> None:
    content = npy(ROWS)
    half = 128 + ROWS.nbytes // 2
    result = np.load(io.BytesIO(_first_bytes_before_the_last(content, half, half)))
    assert worst_ulp(result, ROWS) <= 0.501


def test_arrow_leaves_before_all_of_it_came() -> None:
    content = arrow(batch_rows=20)
    half = len(content) * 3 // 4
    result = _first_bytes_before_the_last(content, half, len(content) // 2)
    actual = pa.ipc.open_stream(result).read_all()
    assert actual["id"].to_pylist() == list(range(60))
    assert worst_ulp(stacked(actual["emb"]), ROWS) <= 0.501


@pytest.mark.parametrize("make", [lambda: npy(ROWS), arrow, parquet])
def test_a_source_that_is_cut_off_is_an_error(make: Any) -> None:
    content = make()
    done = piped(content[: len(content) * 2 // 3], "--batch-size", "10")
    assert done.returncode == 3
    assert len(done.stdout) < len(content)
    assert done.stderr.startswith(b"l2norm: standard input")
    assert done.stderr.count(b"\n") == 1


def test_an_arrow_stream_without_its_end_is_cut_off() -> None:
    done = piped(arrow()[:-8])
    assert done.returncode == 3
    assert b"ends without the mark of the stream's end" in done.stderr


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY"])
def test_what_is_no_vectors_is_named(content: bytes) -> None:
    done = piped(content)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"l2norm: standard input is ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("suffix", ["npy", "arrow"])
def test_a_reader_that_goes_ends_it_quietly(tmp_path: Path, suffix: str) -> None:
    rows = np.ones((50_000, 8), "f4")
    source = tmp_path / f"x.{suffix}"
    source.write_bytes(npy(rows) if suffix == "npy" else arrow(rows, 1000))
    program = " ".join(f"'{part}'" for part in PROGRAM)
    line = f"{program} normalize -q < {source} | head -c 100 | wc -c; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["100", "141"]
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for the child")
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGSEGV, 3, "standard input: a library crashed (SIGSEGV) on it"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_what_was_cut_off_in_the_pipe_is_called_incomplete(
    number: int, code: int, words: str
) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "normalize", "--batch-size", "10"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(npy(ROWS)[:1000])
    process.stdin.flush()
    os.read(process.stdout.fileno(), 1)
    (child,) = children(process.pid)
    os.kill(child if number == signal.SIGSEGV else process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert err.decode().startswith(f"l2norm: {words}")
    assert "; what was written is incomplete" in err.decode()
    assert err.count(b"\n") == 1


def test_a_terminal_gets_no_binary(tmp_path: Path) -> None:
    source = tmp_path / "x.npy"
    np.save(source, ROWS)
    leader, follower = pty.openpty()
    try:
        for arguments in ([source, "-o", "-"], []):
            with source.open("rb") as file:
                done = subprocess.run(
                    [*PROGRAM, "normalize", *map(str, arguments)],
                    stdin=file,
                    stdout=follower,
                    stderr=subprocess.PIPE,
                    check=False,
                )
            assert done.returncode == 2
            assert b"standard output is a terminal" in done.stderr
        done = subprocess.run(
            [*PROGRAM, "normalize"], stdin=follower, capture_output=True, check=False
        )
        assert done.returncode == 2
        assert b"name a SOURCE, or pipe one in" in done.stderr
    finally:
        os.close(leader)
        os.close(follower)


def test_the_next_program_reads_what_comes(tmp_path: Path) -> None:
    program = "import io, sys, numpy\nprint(numpy.load(io.BytesIO(sys.stdin.buffer.read())).shape)"
    source = tmp_path / "x.npy"
    np.save(source, ROWS)
    first = " ".join(f"'{part}'" for part in PROGRAM)
    line = f"cat {source} | {first} normalize -q | '{sys.executable}' -c '{program}'"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(60, 8)\n", "")


def test_a_dry_run_of_a_pipe_writes_nothing() -> None:
    done = piped(npy(ROWS), "--dry-run")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"would normalize 60" in done.stderr


def test_no_room_for_a_temporary_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(parquet())
    command = [*PROGRAM, "normalize", "-o", str(tmp_path / "y.npy")]
    with (tmp_path / "x.parquet").open("rb") as source:
        done = subprocess.run(
            ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command],
            stdin=source,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.startswith(b"l2norm: a temporary file can't be written in ")
    assert done.stderr.endswith(b": File too large; name a folder with more room in TMPDIR\n")


def test_nothing_stays_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    for content in (parquet(), hdf5(tmp_path), hdf5(tmp_path)[:3000], parquet()[:-1]):
        piped(content, "-o", tmp_path / "y.npy", "--overwrite")
    assert not list(folder.iterdir())


def test_what_a_killed_run_kept_in_the_temporary_folder_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    (folder / f"{DEAD}abc").mkdir(parents=True)
    (folder / f"{DEAD}abc" / "file").write_text("half")
    (folder / f"{DEAD}0.tmp").write_text("half")
    (folder / "notes").write_text("precious")
    monkeypatch.setenv("TMPDIR", str(folder))
    done = piped(parquet(), "-o", tmp_path / "y.npy")
    assert (done.returncode, [path.name for path in folder.iterdir()]) == (0, ["notes"])


def test_what_a_file_held_stays_before_a_stream_that_is_appended(tmp_path: Path) -> None:
    sample, target = SAMPLES / "glove-50d.npy", tmp_path / "both"
    target.write_bytes(b"before")
    with target.open("ab") as end:
        subprocess.run([*PROGRAM, "normalize", sample, "-o", "-"], stdout=end, check=True)
    assert target.read_bytes()[:6] == b"before"
    rows = np.load(io.BytesIO(target.read_bytes()[6:]))
    assert target.stat().st_size == 6 + sample.stat().st_size
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
