"""The bench: what it makes and counts, what it says, and what it leaves, which is nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli import bench
from l2cli.bench import BenchReport, Speed, run_bench
from l2cli.errors import BackendError, DestinationError, L2NormError, OptionError
from l2cli.filesystem.siblings import Owner, host_label, name_prefix
from l2cli.formats.registry import NAMES, by_name
from l2cli.graph.backends.load import choose_backend
from l2cli.report import Report
from l2cli.runtime.backends import BackendInfo
from l2cli.store.task import ShardReport
from tests.support.commands import PROGRAM, l2norm_anew, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.store.task import ShardTask

FORMATS = [by_name(name).title for name in NAMES]
DTYPES = ["float16", "float32", "float64"]
COMBINATIONS = [(name, dtype) for name in FORMATS for dtype in DTYPES]
MEGABYTE = 10**6


class FakeWorkers:
    """Takes ever more seconds for a file, on paper; TensorFlow ten times as many."""

    seen: list[Any]
    errors: dict[str, Exception | str]

    def __init__(self, jobs: int) -> None:
        assert jobs == 1

    def run(
        self, tasks: Sequence[ShardTask], on_progress: object
    ) -> Iterator[tuple[ShardTask, ShardReport]]:
        for number, task in enumerate(tasks):
            name = task.options.backend
            error = self.errors.get(name)
            if isinstance(error, Exception):
                raise error
            if error:
                yield task, ShardReport(task.name, "failed", 0, error=error)
            self.seen.append((name, task.options.device, Path(task.source)))
            shutil.copy(task.source, task.destination)
            seconds = number * (1.0 if name == "jax" else 10.0)
            report = Report(task.source, task.destination, "", seconds=seconds, device="cpu")
            yield task, ShardReport(task.name, "done", 0, report=report)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorkers]:
    FakeWorkers.seen, FakeWorkers.errors = [], {}
    monkeypatch.setattr(bench, "LocalWorkers", FakeWorkers)
    monkeypatch.setattr(bench, "_SECONDS", float("inf"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delitem(sys.modules, "keras", raising=False)  # Of other tests in this process.
    return FakeWorkers


def _read(path: Path, combination: str) -> np.ndarray[Any, Any]:
    """Read the one array of a file with the library that its format is of."""
    if combination in ("npy", "npz"):
        loaded = np.load(path)
        return np.asarray(loaded if combination == "npy" else loaded["embedding"])
    if combination == "HDF5":
        with h5py.File(path) as file:
            return np.asarray(file["embedding"][:])
    if combination == "Parquet":
        table = pq.read_table(path)
    else:
        with pa.ipc.open_file(path) as file:
            table = file.read_all()
    return np.stack(table["embedding"].to_numpy())


def test_each_combination_is_a_file_of_random_rows_that_every_backend_gets(
    tmp_path: Path, workers: type[FakeWorkers], monkeypatch: pytest.MonkeyPatch
) -> None:
    normalized: list[tuple[str, str]] = []
    copies = bench._copies

    def look(source: Path) -> Iterator[float]:
        for seconds in copies(source):
            combination = COMBINATIONS[len(normalized) // 2]
            rows = _read(source, combination[0])
            assert (rows.dtype, rows.shape[1]) == (combination[1], 768)
            assert MEGABYTE - rows[0].nbytes < rows.nbytes <= MEGABYTE
            assert 0.9 < rows.astype("f8").std() < 1.1
            normalized.append(combination)
            yield seconds

    monkeypatch.setattr(bench, "_copies", look)
    monkeypatch.setattr(bench, "_MAX_RUNS", 2)
    report = run_bench(tmp_path, MEGABYTE, device="cpu")
    assert normalized == [combination for combination in COMBINATIONS for _ in range(2)]
    assert [(speed.format, speed.dtype) for speed in report.speeds] == COMBINATIONS
    names = [(name, device) for name, device, _ in workers.seen]
    assert names == [("jax", "cpu"), ("tensorflow", "cpu")] * (len(normalized) + 1)
    assert list(tmp_path.iterdir()) == []


def test_seconds_are_medians_of_all_runs_but_the_first(
    tmp_path: Path, workers: type[FakeWorkers]
) -> None:
    report = run_bench(tmp_path, MEGABYTE)
    medians = [(4.0, 40.0), (10.0, 100.0)]
    for speed, (jax, tensorflow) in zip(report.speeds, medians, strict=False):
        assert speed.num_runs == 5
        assert speed.seconds == {**speed.seconds, "jax": jax, "tensorflow": tensorflow}
        assert speed.seconds["copy"] > 0
    assert report.devices == {"jax": "cpu", "tensorflow": "cpu"}
    assert "here jax took 0.10 × the time of tensorflow" in str(report)


def test_when_time_is_up_each_combination_still_has_its_turn(
    tmp_path: Path, workers: type[FakeWorkers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_SECONDS", 0.0)
    told: list[tuple[int, int]] = []
    report = run_bench(tmp_path, MEGABYTE, progress=lambda *count: told.append(count))
    assert [speed.num_runs for speed in report.speeds] == [1] * 15
    assert told[:5] == [(0, 90), (0, 90), (1, 90), (2, 90), (7, 90)]
    assert told == sorted(told)


def test_a_backend_that_is_not_there_is_said(
    tmp_path: Path, workers: type[FakeWorkers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BackendInfo, "is_installed", property(lambda self: self.name == "jax"))
    report = run_bench(tmp_path, MEGABYTE)
    assert list(report.devices) == ["jax"]
    assert list(report.speeds[0].seconds) == ["copy", "jax"]
    assert "\ntensorflow is not installed\n" in str(report)
    assert "here jax took" not in str(report)
    workers.errors = {"jax": BackendError("jax finds no device")}
    with pytest.raises(BackendError, match=r"^jax finds no device; tensorflow is not installed$"):
        run_bench(tmp_path, MEGABYTE)
    assert list(tmp_path.iterdir()) == []


def test_what_a_backend_lacks_stops_that_backend_alone(
    tmp_path: Path, workers: type[FakeWorkers]
) -> None:
    workers.errors = {"jax": BackendError("jax sees no GPU")}
    report = run_bench(tmp_path, MEGABYTE)
    assert (report.auto, report.missing) == ("jax", {"jax": "jax sees no GPU"})
    assert set(report.devices) == {"tensorflow"}
    assert str(report).endswith(
        "\njax sees no GPU\nauto takes jax: the first of jax, tensorflow that is installed"
    )


def test_what_all_backends_report_is_raised_once(
    tmp_path: Path, workers: type[FakeWorkers]
) -> None:
    workers.errors = dict.fromkeys(("jax", "tensorflow"), BackendError("device is 'x'"))
    with pytest.raises(BackendError, match=r"^device is 'x'$"):
        run_bench(tmp_path, MEGABYTE)


def test_a_run_that_fails_ends_it(tmp_path: Path, workers: type[FakeWorkers]) -> None:
    workers.errors = {"tensorflow": "result can't be written: No space left on device"}
    with pytest.raises(L2NormError, match="No space left on device"):
        run_bench(tmp_path, MEGABYTE)
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_said_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(63 * MEGABYTE))
    with pytest.raises(DestinationError, match=r"room for 63\.0 MB, and this takes 64\.0; choose"):
        run_bench(tmp_path, 32 * MEGABYTE)
    assert list(tmp_path.iterdir()) == []


def test_a_size_of_less_than_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="num_bytes is 6143, expected 6144 or more"):
        run_bench(tmp_path, 6143)


def test_what_a_killed_run_left_goes_and_what_a_living_one_has_stays(
    tmp_path: Path, workers: type[FakeWorkers]
) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], **_CAPTURED)
    names = [
        f"{name_prefix(Owner(host_label(), pid, 0))}bench-x"
        for pid in (int(gone.stdout), os.getppid())
    ]
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "source").write_text("rows")
    run_bench(tmp_path, MEGABYTE)
    assert [path.name for path in tmp_path.iterdir()] == [
        f"{name_prefix(Owner(host_label(), os.getppid(), 0))}bench-x"
    ]


_CAPTURED: Any = {"capture_output": True, "check": True}


@pytest.mark.parametrize(
    ("loaded", "backend", "name", "reason"),
    [
        ("tensorflow", "jax", "tensorflow", "Keras already runs on tensorflow in this process"),
        (None, "tensorflow", "tensorflow", "KERAS_BACKEND is 'tensorflow'"),
        (None, "", "jax", "the first of jax, tensorflow that is installed"),
    ],
)
def test_the_choice_of_a_backend_is_explained(
    monkeypatch: pytest.MonkeyPatch, loaded: str | None, backend: str, name: str, reason: str
) -> None:
    keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: loaded))
    if loaded:
        monkeypatch.setitem(sys.modules, "keras", keras)
    else:
        monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    assert choose_backend() == (name, reason)


def test_a_backend_of_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "torch"))
    monkeypatch.setitem(sys.modules, "keras", keras)
    with pytest.raises(BackendError, match="Keras already runs on torch in this process, but"):
        choose_backend()


def _seconds(*seconds: float) -> dict[str, float]:
    return dict(zip(("copy", "jax", "tensorflow"), seconds, strict=True))


def test_the_table_is_aligned_in_80_columns() -> None:
    report = BenchReport(
        "/data",
        32 * MEGABYTE,
        "jax",
        "KERAS_BACKEND is 'jax'",
        num_processors=2,
        devices={"jax": "gpu:0", "tensorflow": "cpu"},
        start_seconds={"jax": 1.23, "tensorflow": 12.3},
        speeds=[
            Speed("npy", "float16", 32 * MEGABYTE, 5, _seconds(0.01, 0.02, 0.04)),
            Speed("Parquet", "float64", 30 * MEGABYTE, 5, _seconds(0.1, 0.3, 1.3)),
        ],
    )
    assert str(report).splitlines() == [
        "/data: files of 32 MB, rows of 768, processors: 2",
        "",
        "                      copy         jax (gpu:0)    tensorflow (cpu)",
        "format   dtype        MB/s        MB/s  × copy        MB/s  × copy",
        "npy      float16     3,200       1,600    2.00         800    4.00",
        "Parquet  float64       300         100    3.00          23   13.00",
        "start                            1.2 s              12.3 s",
        "",
        "× copy: the time against that of a plain copy; both are flushed to disk",
        "start: until the first file, of one row, is done; once in a command",
        "auto takes jax: KERAS_BACKEND is 'jax'",
        "here jax took 0.37 × the time of tensorflow (median), start not counted",
    ]


def test_the_command_runs_all_and_prints_json(tmp_path: Path) -> None:
    done = l2norm_anew("bench", "--size", "1", "--json", "--progress", cwd=tmp_path)
    assert done.code == 0, done.err
    assert " 0/90 [" in done.err
    assert list(tmp_path.iterdir()) == []
    report = json.loads(done.out)
    assert [(speed["format"], speed["dtype"]) for speed in report["speeds"]] == COMBINATIONS
    for speed in report["speeds"]:
        assert set(speed) == {"format", "dtype", "num_bytes", "num_runs", "seconds"}
        assert set(speed["seconds"]) == {"copy", "jax", "tensorflow"}
        assert min(*speed["seconds"].values(), speed["num_runs"]) > 0
        assert 0.9 * MEGABYTE < speed["num_bytes"] < 1.1 * MEGABYTE
    assert set(report["devices"]) == set(report["start_seconds"]) == {"jax", "tensorflow"}
    del report["speeds"], report["devices"], report["start_seconds"]
    assert report.pop("num_processors") > 0
    assert report == {
        "folder": str(tmp_path),
        "num_bytes": MEGABYTE,
        "auto": "jax",
        "reason": "the first of jax, tensorflow that is installed",
        "dim": 768,
        "missing": {},
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = start("bench", tmp_path)
    while process.poll() is None and not list(tmp_path.glob(".l2norm-*/source")):
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == ("", "l2norm: interrupted; nothing was left behind\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_nothing_stays(tmp_path: Path) -> None:
    program = [*PROGRAM, "bench", str(tmp_path)]
    script = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *program]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"l2norm: {tmp_path} can't be written to: File too large\n"
    assert list(tmp_path.iterdir()) == []
