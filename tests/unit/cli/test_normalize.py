"""The command as a user meets it: output, exit codes, and what is left on disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli import __version__
from l2cli.filesystem.siblings import owner_of
from tests.support.commands import PROGRAM, SAMPLES, l2norm, l2norm_anew, start
from tests.support.reference import worst_ulp


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).standard_normal((200, 20)).astype("f4"))
    return path


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_the_sample_npy_is_normalized_in_silence_but_for_one_line(
    tmp_path: Path, backend: str
) -> None:
    source = shutil.copy(SAMPLES / "glove-50d.npy", tmp_path)
    done = l2norm_anew("normalize", "glove-50d.npy", "--backend", backend, cwd=tmp_path)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("glove-50d.npy → glove-50d.normalized.npy: 2,000 × 50 float32; "), (
        done.err
    )
    assert done.err.endswith(f"on {backend} (cpu)\n")
    assert done.err.count("\n") == 1
    assert worst_ulp(np.load(tmp_path / "glove-50d.normalized.npy"), np.load(source)) <= 0.501


def test_the_sample_parquet_keeps_its_words(tmp_path: Path) -> None:
    done = l2norm("normalize", SAMPLES / "glove-50d.parquet", "-o", tmp_path / "x.parquet")
    assert done.code == 0, done.err
    before, after = (
        pq.read_table(SAMPLES / "glove-50d.parquet"),
        pq.read_table(tmp_path / "x.parquet"),
    )
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.drop(["embedding"]).equals(before.drop(["embedding"]))
    result, rows = (np.stack(table["embedding"].to_numpy()) for table in (after, before))
    assert worst_ulp(result, rows) <= 0.501


def test_the_sample_hdf5_keeps_its_neighbors_and_warns(tmp_path: Path) -> None:
    done = l2norm("normalize", SAMPLES / "glove-50d-angular.hdf5", "-o", tmp_path / "x.hdf5")
    assert done.code == 0, done.err
    assert "note: 'distances' was computed from the vectors as they were" in done.err
    with (
        h5py.File(SAMPLES / "glove-50d-angular.hdf5") as before,
        h5py.File(tmp_path / "x.hdf5") as after,
    ):
        for name in ("train", "test"):
            assert worst_ulp(after[name][:], before[name][:]) <= 0.501
        for name in ("neighbors", "distances"):
            np.testing.assert_array_equal(after[name][:], before[name][:])
        scores = after["test"][:].astype(float) @ after["train"][:].astype(float).T
        np.testing.assert_array_equal(np.argmax(scores, axis=1), before["neighbors"][:, 0])


def test_json_is_for_scripts(source: Path) -> None:
    done = l2norm("normalize", source, "--json")
    assert done.err == ""
    report = json.loads(done.out)
    assert report["destination"] == str(source.with_name("x.normalized.npy"))
    assert report["arrays"][0]["counts"]["num_rows"] == 200
    assert (report["backend"], report["device"]) == ("jax", "cpu")


def test_an_error_is_json_too(source: Path) -> None:
    for command in ("normalize", "inspect"):
        done = l2norm(command, "no.npy", "--json", cwd=source.parent)
        message = "no.npy can't be read: No such file or directory"
        assert json.loads(done.out) == {"error": message}
        assert (done.code, done.err) == (3, f"l2norm: {message}\n")
    done = l2norm("inspect", "no.npy", "x.npy", "--json", cwd=source.parent)
    error, inspection = map(json.loads, done.out.splitlines())
    assert (error["source"], error["error"]) == ("no.npy", message)
    assert (inspection["source"], done.code) == ("x.npy", 3)


def test_truncation_is_in_the_summary(source: Path) -> None:
    done = l2norm("normalize", source, "--truncate-dim", "5", "--dtype", "float16")
    assert ": 200 × 20 → 5 float32 → float16; " in done.err
    shutil.copy(SAMPLES / "glove-50d.parquet", source.parent)
    done = l2norm("normalize", "glove-50d.parquet", "--truncate-dim", "5", cwd=source.parent)
    assert ": embedding 2,000 × 50 → 5 float32; " in done.err


def test_quiet_is_quiet(source: Path) -> None:
    done = l2norm("normalize", source, "-q")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_counts_are_in_the_summary(source: Path) -> None:
    rows = np.load(source)
    rows[3:5] = 0
    rows[7] = np.nan
    rows[9] = 1e-30
    np.save(source, rows)
    done = l2norm("normalize", source, "--nonfinite", "keep")
    assert "(2 zero, 1 non-finite, 1 too short to become unit)" in done.err
    assert "note: 1 row is shorter than 1e-6 and did not become unit; --epsilon 0" in done.err


def test_a_dry_run_writes_nothing(source: Path) -> None:
    done = l2norm("normalize", source, "--dry-run", "--dtype", "float16")
    assert done.code == 0
    assert "would normalize 200 × 20 float32 → float16" in done.err
    done = l2norm("normalize", source, "--dry-run", "--json")
    assert json.loads(done.out)["arrays"][0]["counts"] is None
    assert _names(source.parent) == ["x.npy"]


def test_in_place_replaces_the_file_behind_a_link(source: Path) -> None:
    rows = np.load(source)
    source.chmod(0o600)
    link = source.with_name("link.npy")
    link.symlink_to(source)
    assert l2norm("normalize", link, "--in-place").code == 0
    assert link.is_symlink()
    assert source.stat().st_mode & 0o777 == 0o600
    assert worst_ulp(np.load(source), rows) <= 0.501
    assert _names(source.parent) == ["link.npy", "x.npy"]


def test_a_destination_is_overwritten_only_on_request(source: Path) -> None:
    destination = source.with_name("y.npy")
    destination.write_text("precious")
    done = l2norm("normalize", source, "-o", destination)
    assert (done.code, destination.read_text()) == (3, "precious")
    assert "exists; replace it with --overwrite" in done.err
    assert l2norm("normalize", source, "-o", destination, "--overwrite").code == 0
    assert np.load(destination).shape == (200, 20)


def test_a_misleading_suffix_converts_nothing(source: Path) -> None:
    source = source.rename(source.with_suffix(".parquet"))
    done = l2norm("normalize", source)
    assert done.code == 2
    assert "x.parquet is npy inside, but named like Parquet; name the result: -o " in done.err
    assert l2norm("normalize", source, "--to", "npy").code == 0
    assert np.load(source.with_name("x.normalized.npy")).shape == (200, 20)


def test_empty_arrays_need_no_backend(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.empty((0, 5), "f4"))
    done = l2norm("normalize", tmp_path / "x.npy", "--json")
    assert json.loads(done.out)["backend"] == ""
    assert np.load(tmp_path / "x.normalized.npy").shape == (0, 5)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["normalize", "no.npy"], 3, "no.npy can't be read: No such file"),
        (["normalize", "x.npy", "-o", "x.npy"], 2, "is the source itself; to replace it, say --in"),
        (["normalize", "x.npy", "-o", "y.h5", "--to", "npz"], 2, "named like HDF5, but npz is to"),
        (["normalize", "x.npy", "-o", "-", "--to", "hdf5"], 2, "name a file with -o FILE.h5"),
        (["normalize", "x.npy", "-o", "-", "--to", "npz"], 2, "npz can't be written to a pipe"),
        (["normalize", "x.npy", "-o", "y.csv"], 2, "y.csv is named like text, which is not"),
        (["normalize", "x.npy", "-o", "-", "--json"], 2, "--json prints where the vectors go"),
        (["normalize", "x.npy", "-o", "."], 2, "is the source itself"),
        (["normalize", "x.npy", "-o", "no/x.npy"], 3, "there is no folder"),
        (["normalize", "x.npy", "--in-place", "-o", "y.npy"], 2, "it takes no -o"),
        (["normalize", "x.npy", "--to", "csv"], 2, "'csv' is not one of"),
        (["normalize", "x.npy", "--from", "npz"], 3, "x.npy is a damaged zip archive"),
        (["normalize", "x.npy", "--in-place", "--to", "npz"], 2, "x.npy is npy, but npz is to be"),
        (["normalize", "x.npy", "--include", "x"], 2, "--include chooses from a folder"),
        (["normalize", "x.npy", "--axis", "2"], 3, "has rank 2, so axis 2 is out of range"),
        (["normalize", "x.npy", "--axis", "a"], 2, "'a' is not INT"),
        (["normalize", "x.npy", "--epsilon", "-1"], 2, "epsilon is -1.0, expected"),
        (["normalize", "x.npy", "--truncate-dim", "21"], 3, "has only 20 components"),
        (["normalize", "x.npy", "--truncate-dim", "2", "--axis", "0"], 3, "along the last axis"),
        (["normalize", "x.npy", "-s", "emb"], 3, "holds no array 'emb'"),
        (["normalize", "x.npy", "--device", "gpu"], 2, "jax sees no GPU"),
        (["normalize", "x.npy", "--device", "tpu"], 2, "device is 'tpu', expected auto, cpu, gpu"),
        (["normalize", "x.npy", "--backend", "torch"], 2, "'torch' is not one of"),
        (["normalize", "x.npy", "--bacth-size", "1"], 2, "--batch-size"),
        (["nromalize", "x.npy"], 2, "No such command 'nromalize'"),
        (["x.npy"], 2, "'x.npy' is no command; did you mean l2norm normalize x.npy? See"),
        (["normalize", "i.npy"], 3, "array is int64, and unit vectors need a float type"),
        (["inspect", "no.npy"], 3, "no.npy can't be read: No such file"),
        (["inspect"], 2, "Missing argument 'SOURCE...'"),
        (["bench", "--size", "0"], 2, "0 is not in the range x>=1"),
        (["bench", "no"], 3, "no can't be written to: No such file or directory"),
        (["bench", "x.npy"], 3, "x.npy can't be written to: Not a directory"),
    ],
)
def test_bad_input_gets_one_line(
    source: Path, arguments: list[str], code: int, message: str
) -> None:
    np.save(source.with_name("i.npy"), np.ones((2, 2), "i8"))
    done = l2norm(*arguments, cwd=source.parent)
    assert message in done.err
    assert done.err.startswith("l2norm: ")
    assert done.err.count("\n") == 1
    assert (done.code, done.out) == (code, "")
    assert _names(source.parent) == ["i.npy", "x.npy"]


def test_a_bad_row_leaves_nothing_behind(source: Path) -> None:
    rows = np.load(source)
    rows[150, 3] = np.inf
    np.save(source, rows)
    before = source.read_bytes()
    for arguments in ([], ["--in-place"], ["--batch-size", "7"]):
        done = l2norm("normalize", source, *arguments)
        assert done.code == 3
        assert f"{source}: row 150 holds NaN or Inf" in done.err
    assert _names(source.parent) == ["x.npy"]
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("keras_backend", "code", "words"),
    [
        ("tensorflow", 0, "on tensorflow (cpu)"),
        ("jax", 0, "on jax (cpu)"),
        ("torch", 2, "KERAS_BACKEND is 'torch', but l2norm runs on jax or"),
    ],
)
def test_keras_backend_is_honoured(source: Path, keras_backend: str, code: int, words: str) -> None:
    done = l2norm_anew("normalize", source, KERAS_BACKEND=keras_backend)
    assert (done.code, words in done.err) == (code, True), done.err
    options = ("--backend", "jax", "--overwrite")
    named = l2norm_anew("normalize", source, *options, KERAS_BACKEND=keras_backend)
    assert "on jax (cpu)" in named.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, suffix: str, number: signal.Signals
) -> None:
    source = tmp_path / f"x{suffix}"
    rows = np.zeros((20_000, 16), "f4")
    if suffix == ".npy":
        np.save(source, rows)
    else:
        with h5py.File(source, "w") as file:
            file["emb"] = rows
    process = start("normalize", source, "--batch-size", "1")
    _wait_for_sibling(tmp_path, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "l2norm: interrupted; nothing was left behind\n"
    assert _names(tmp_path) == [source.name]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux who listens")
@pytest.mark.parametrize("seconds", [0, 0.1, 0.3, 0.6, 1.0, 1.5])
def test_an_interrupt_at_any_time_is_no_error(source: Path, seconds: float) -> None:
    np.save(source, np.ones((200_000, 50), "f4"))
    process = start("normalize", source, "--batch-size", "10")
    while not _listens(process.pid):
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "l2norm: interrupted; nothing was left behind\n")
    assert _names(source.parent) == ["x.npy"]


def _listens(pid: int) -> bool:
    """Whether a process catches SIGTERM, which Python alone does not."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def _wait_for_sibling(folder: Path, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not list(folder.glob(".l2norm-*")):
        time.sleep(0.01)
    assert process.poll() is None


def test_a_library_that_crashes_ends_in_a_message(tmp_path: Path) -> None:
    source = tmp_path / "x.h5"
    with h5py.File(source, "w") as file:
        file["emb"] = np.ones((20_000, 16), "f4")
    process = start("normalize", source, "--batch-size", "1")
    while process.poll() is None:  # It may try again, without the executable of an earlier run.
        for owner in (owner_of(sibling.name) for sibling in tmp_path.glob(".l2norm-*")):
            if owner is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(owner.pid, signal.SIGSEGV)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert err == (
        f"l2norm: {source}: a library crashed (SIGSEGV) on it, most likely because it is damaged; "
        "nothing was written; --debug shows what the library said\n"
    )
    assert _names(tmp_path) == ["x.h5"]


def test_a_full_disk_is_said_and_nothing_stays(source: Path) -> None:
    np.save(source, np.ones((20_000, 50), "f4"))
    process = subprocess.run(
        ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", *_program("normalize", str(source))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 3
    assert "x.normalized.npy can't be written: File too large; nothing of it was left" in (
        process.stderr
    )
    assert _names(source.parent) == ["x.npy"]


def _program(*arguments: str) -> list[str]:
    import sys

    return [sys.executable, "-m", "l2cli", *arguments]


def test_a_closed_pipe_ends_quietly(source: Path) -> None:
    command = " ".join(f"'{part}'" for part in _program("inspect", *[str(source)] * 50))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 1"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.parametrize("redirect", ["2>&-", ">&-", "<&-", "2>/dev/full"])
def test_closed_or_full_streams_are_no_failure(source: Path, redirect: str) -> None:
    command = " ".join(f"'{part}'" for part in _program("normalize", str(source)))
    done = subprocess.run(["bash", "-c", f"{command} {redirect}"], capture_output=True, check=False)
    assert done.returncode == 0
    assert np.load(source.with_name("x.normalized.npy")).shape == (200, 20)


def test_vectors_that_have_nowhere_to_go_are_an_error(source: Path) -> None:
    command = " ".join(f"'{part}'" for part in _program("normalize", str(source), "-o", "-"))
    done = subprocess.run(
        ["bash", "-c", f"{command} >&-"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr == "l2norm: standard output is closed; name a file with -o FILE\n"


def test_a_note_is_told_once(source: Path) -> None:
    arrays: dict[str, Any] = {"emb": np.load(source), "other": np.load(source)}
    np.savez(source.with_suffix(".npz"), **arrays)
    done = l2norm("normalize", source.with_suffix(".npz"))
    assert done.err.count("'other' stayed as it was; -s takes it too") == 1
    np.savez(source.with_suffix(".npz"), **arrays, third=arrays["emb"])
    done = l2norm("normalize", source.with_suffix(".npz"), "--overwrite")
    assert done.err.count("'other', 'third' stayed as they were; -s takes them too") == 1


def test_a_backend_that_dies_is_said(source: Path) -> None:
    done = l2norm_anew("normalize", source, XLA_FLAGS="--xla_no_such_flag=1")
    assert done.code == 3
    assert "gave up with exit code 1; nothing was written; look at XLA_FLAGS" in done.err
    assert done.err.endswith("; --debug shows what it said\n")
    assert _names(source.parent) == ["x.npy"]
    done = l2norm_anew("normalize", source, JAX_PLATFORMS="bogus")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "jax finds no device to run on" in done.err


def _listening(script: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in a process that takes signals as the command does."""
    preamble = (
        "import os, signal, sys, time\n"
        "from l2cli.runtime import interruption\n"
        "interruption.listen()\n"
    )
    return subprocess.run(
        [PROGRAM[0], "-c", preamble + script], capture_output=True, text=True, check=False
    )


def test_an_interrupt_that_a_library_swallows_is_heard_later() -> None:
    done = _listening(
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept KeyboardInterrupt: pass\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "try:\n    interruption.check()\nexcept KeyboardInterrupt: print('heard')"
    )
    assert (done.returncode, done.stdout) == (0, "heard\n")


def test_an_interrupt_waits_until_the_import_system_has_put_its_lock_back() -> None:
    done = _listening(
        "locked = 'os.kill(os.getpid(), signal.SIGINT)\\nprint(\"put back\", flush=True)'\n"
        "try:\n"
        "    exec(compile(locked, '<frozen importlib._bootstrap>', 'exec'))\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt: print('heard')"
    )
    assert (done.returncode, done.stdout) == (0, "put back\nheard\n")


def test_an_interrupt_inside_exec_leaves_the_exit_code_alone() -> None:
    done = _listening(
        "try:\n    exec('os.kill(os.getpid(), signal.SIGINT)')\n"
        "except KeyboardInterrupt: sys.exit(130)"
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_names_can_not_drive_the_terminal(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{"r\x1b[31m\n": np.ones((2, 2))})  # type: ignore[arg-type]
    for command in ("inspect", "normalize"):
        done = l2norm(command, "x.npz", cwd=tmp_path)
        assert "\x1b" not in done.out + done.err
        assert "r\\x1b[31m\\n" in done.out + done.err


def test_progress_is_drawn_on_request(source: Path) -> None:
    done = l2norm("normalize", source, "--progress")
    assert "16.0k/16.0k" in done.err.replace("kB", "k")


def test_help_fits_80_columns_and_version_is_told() -> None:
    for name in ("", "normalize", "inspect", "bench"):
        arguments = [name, "--help"] if name else []
        done = l2norm(*arguments)
        assert done.code == 0
        assert done.out.startswith("Usage: l2norm")
        assert max(map(len, done.out.splitlines())) <= 80
    assert l2norm("--version").out == f"l2norm, version {__version__}\n"


def test_debug_adds_the_traceback(source: Path) -> None:
    done = l2norm("normalize", source.with_name("no.npy"), "--debug")
    assert "Traceback (most recent call last)" in done.err
    assert done.err.splitlines()[-1].startswith("l2norm: ")


def test_inspect_says_what_would_be_taken(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "ids": np.arange(3),
        "emb": np.ones((3, 2), "f4"),
        "other": np.ones((3, 2), "f8"),
    }
    np.savez(tmp_path / "x.npz", **arrays)
    done = l2norm("inspect", "x.npz", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "x.npz: npz\n"
        "  array  shape  dtype    layout\n"
        "  ids    3      int64    C order, stored  integers, unless named\n"
        "  emb    3 × 2  float32  C order, stored  chosen\n"
        "  other  3 × 2  float64  C order, stored  2 components a row, unless named\n"
    )
    as_json = json.loads(l2norm("inspect", "x.npz", "--json", cwd=tmp_path).out)
    assert [array["chosen"] for array in as_json["arrays"]] == [False, True, False]


def test_inspect_tells_the_way_out_once(tmp_path: Path) -> None:
    columns = {f"dim_{i}": np.ones(3, "f4") for i in range(4)}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    done = l2norm("inspect", "x.parquet", cwd=tmp_path)
    assert done.out.count("a scalar column") == 4
    assert done.out.count("select several as one array with a glob") == 1


def test_inspect_goes_on_after_a_bad_file(source: Path) -> None:
    done = l2norm("inspect", "no.npy", source, cwd=source.parent)
    assert done.code == 3
    assert done.err.startswith("l2norm: no.npy can't be read")
    assert "200 × 20" in done.out


def test_inspect_takes_folders(tmp_path: Path) -> None:
    (tmp_path / "emb").mkdir()
    for index in range(3):
        np.save(tmp_path / "emb" / f"{index}.npy", np.ones((4, 8), "f4"))
    np.save(tmp_path / "scores.npy", np.ones(4, "f4"))
    np.savez(tmp_path / "bad.npz", embedding=np.array(["a"]), bbox=np.ones((4, 4)))
    (tmp_path / "x.fvecs").write_bytes(b"1234")
    done = l2norm_anew("inspect", ".", cwd=tmp_path, COLUMNS="100")
    assert (done.code, done.err) == (0, "")
    why = "str32 is not a float type that l2norm normalizes"
    assert done.out.splitlines() == [
        ".: a folder",
        "  files            array        shape  dtype",
        f"  bad.npz     1 ×  embedding    1      str32    {why}",
        "                   bbox         4 × 4  float64  named like something else (bbox), "
        "unless named",
        "  emb/#.npy   3 ×  (the array)  4 × 8  float32  chosen",
        "  scores.npy  1 ×  (the array)  4      float32  named like something else (scores), "
        "unless named",
        "not taken: bad.npz: array 'embedding' (1 str32) is named like an embedding, and can't be "
        f"used: {why}",
        "not read: 1 .fvecs",
    ]
    report = json.loads(l2norm("inspect", "--json", ".", cwd=tmp_path).out)
    assert [family["num_files"] for family in report["families"]] == [1, 3, 1]


def test_many_arrays_are_summed_up(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "proteins.h5", "w") as file:
        for index in range(200):
            file[f"P{index:05}"] = np.arange(1.0, 9.0, dtype="f4") + index
    done = l2norm("normalize", "proteins.h5", "-s", "*", cwd=tmp_path)
    assert done.code == 0
    assert len(done.err) < 300
    assert "P00002 8 float32; and 197 more arrays" in done.err
    with h5py.File(tmp_path / "proteins.normalized.h5") as file:
        norms = [np.linalg.norm(file[name][()].astype("f8")) for name in file]
    assert np.abs(np.array(norms) - 1).max() < 1e-7
