"""Stores where the process is the point: workers, signals, the lock, what is printed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.errors import BackendError
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.runners.local import InProcess, LocalWorkers, useful_jobs
from l2cli.store.shard import run_shard
from l2cli.store.task import ShardReport, ShardTask
from tests.support.commands import SAMPLES, children, l2norm, start
from tests.support.stores import contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import Popen


@pytest.fixture
def store(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    (root / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(30):
        np.save(root / "deep" / f"{index}.npy", rng.standard_normal((4000, 16)).astype("f4"))
    (root / "notes.txt").write_text("notes")
    return root


def _task(path: Path, **options: Any) -> ShardTask:
    destination = path.with_name(f"out-{path.name}")
    return ShardTask(
        path.name,
        str(path),
        str(destination),
        "normalize",
        (1, 1),
        NormalizeOptions(**options),
        StoreOptions(),
    )


def _ignore(task: ShardTask, done: int, total: int) -> None:
    pass


def _wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _strays(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".l2norm-*")]


def test_workers_do_what_one_process_does(store: Path, tmp_path: Path) -> None:
    (store / "good.parquet").write_bytes((SAMPLES / "glove-50d.parquet").read_bytes())
    for jobs in ("1", "2"):
        done = l2norm("normalize", store, "-o", tmp_path / jobs, "--jobs", jobs, "--no-progress")
        assert (done.code, done.out) == (0, "")
        assert ": 31 done, 1 file not read: 1 .txt; 122,000 rows; " in done.err
        assert done.err.count("\n") == 1
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_killed_worker_costs_its_shard_a_retry(tmp_path: Path) -> None:
    """The worker is halted while it gets its task, and dies before it can begin."""
    deadly, sound = tmp_path / "deadly.npy", tmp_path / "sound.npy"
    np.save(deadly, np.ones((3, 4), "f4"))
    np.save(sound, np.ones((3, 4), "f4"))
    tries = 0

    class Killing(LocalWorkers):
        def _employ(self, workers: Any, pending: Any) -> None:
            nonlocal tries
            halted = list(workers)
            for worker in halted:
                worker._child.process.send_signal(signal.SIGSTOP)
            super()._employ(workers, pending)
            for worker in halted:
                if worker.task is not None and worker.task.name == "deadly.npy":
                    tries += 1
                    worker._child.process.send_signal(
                        signal.SIGSEGV if tries == 1 else signal.SIGKILL
                    )
                worker._child.process.send_signal(signal.SIGCONT)

    results = dict(
        (task.name, report)
        for task, report in Killing(1).run([_task(deadly), _task(sound)], _ignore)
    )
    assert results["sound.npy"].status == "done"
    assert results["deadly.npy"].status == "failed"
    assert "the system killed the process that read it" in results["deadly.npy"].error
    assert tries == 2
    assert not _strays(tmp_path)


def test_what_might_crash_is_done_in_a_worker_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = []

    def note(task: ShardTask, progress: Any) -> ShardReport:
        here.append(task.name)
        return run_shard(task, progress)

    monkeypatch.setattr("l2cli.store.runners.local.run_shard", note)
    hidden, open_, bad = (tmp_path / name for name in ("hidden.bin", "open.npy", "bad.npy"))
    with h5py.File(hidden, "w") as file:
        file["emb"] = np.ones((3, 4), "f4")
    np.save(open_, np.ones((3, 4), "f4"))
    bad.write_text("bad")
    tasks = [_task(path) for path in (hidden, open_, bad)]
    result = {task.name: report.status for task, report in InProcess().run(tasks, _ignore)}
    assert result == {"hidden.bin": "done", "open.npy": "done", "bad.npy": "failed"}
    assert here == ["open.npy", "bad.npy"]
    with h5py.File(tmp_path / "out-hidden.bin") as file:
        np.testing.assert_array_equal(file["emb"][:], np.full((3, 4), 0.5))


def test_a_missing_device_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((3, 4), "f4"))
    with pytest.raises(BackendError, match="jax sees no GPU"):
        list(LocalWorkers(1).run([_task(path, device="gpu")], _ignore))


def test_few_small_shards_get_few_workers() -> None:
    assert useful_jobs(3, 10**6) == 1
    assert useful_jobs(2, 10**12) == 2
    assert useful_jobs(10**5, 10**12) > 100


def test_a_bad_shard_is_one_line_and_exit_4(store: Path) -> None:
    (store / "bad.npy").write_text("bad")
    with h5py.File(store / "good.h5", "w") as file:
        file["emb"] = np.ones((2, 2), "f4")
    done = l2norm("normalize", store, "--json", "--no-progress", "--include", "*d.*")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 4
    assert [record.get("status") for record in records] == ["failed", "done", None]
    assert records[-1]["summary"]["shards"]["failed"] == 1
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"l2norm: {store}/bad.npy is named like npy, but")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_at_once_and_cleanly(
    store: Path, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "out"
    process = start("normalize", store, "-o", out, "--jobs", "2", "--no-progress")
    _wait_until(lambda: len(list(out.rglob("*.npy"))) > 2)
    workers = children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "l2norm: interrupted; run the same again to go on from here\n"
    assert not any(map(_alive, workers))
    assert not _strays(out)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kill_and_resume(store: Path, tmp_path: Path, repeats: int) -> None:
    quiet, out = tmp_path / "quiet", tmp_path / "out"
    assert l2norm("normalize", store, "-o", quiet, "--jobs", "2").code == 0
    expected = contents(quiet)
    for seed in range(repeats):
        shutil.rmtree(out, ignore_errors=True)
        process = start("normalize", store, "-o", out, "--jobs", "2")
        _wait_for_a_random_instant(process, out, seed)
        workers = children(process.pid)
        process.kill()
        process.communicate()
        done = l2norm("normalize", store, "-o", out, "--jobs", "1")
        assert done.code == 0, done.err
        assert contents(out) == expected
        assert not any(map(_alive, workers))


def _wait_for_a_random_instant(process: Popen[str], out: Path, seed: int) -> None:
    instant = random.Random(seed)
    count = instant.randrange(30)
    _wait_until(lambda: process.poll() is not None or len(list(out.rglob("*.npy"))) >= count)
    time.sleep(instant.uniform(0, 0.01))


def test_kill_9_then_run_again_gives_the_same_bytes(store: Path, tmp_path: Path) -> None:
    _kill_and_resume(store, tmp_path, 2)


@pytest.mark.slow
def test_kill_9_at_fifty_instants(store: Path, tmp_path: Path) -> None:
    _kill_and_resume(store, tmp_path, 50)


@pytest.mark.parametrize("num_done", [1, 10, 30])
def test_an_interrupt_ends_a_run_in_one_process_cleanly(tmp_path: Path, num_done: int) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for index in range(60):
        np.save(store / f"{index}.npy", np.ones((3000, 128), "f4"))
    process = start("normalize", store, "--jobs", "1", "--no-progress")
    out = tmp_path / "store.normalized"
    _wait_until(lambda: len(list(out.glob("*.npy"))) >= num_done)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130  # Never SIGABRT, as at Python's own end.
    assert err == "l2norm: interrupted; run the same again to go on from here\n"
    assert not _strays(out)
    for path in out.glob("*.npy"):
        np.testing.assert_allclose(np.load(path), 128**-0.5, rtol=1e-6)


def test_two_runs_at_once_are_refused(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".l2norm.jsonl").open("w") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        done = l2norm("normalize", store, "-o", out)
    assert done.code == 3
    assert done.err == (f"l2norm: {out}: another l2norm is at work in it; wait until it is done\n")


def test_a_folder_as_destination_takes_a_file_by_its_name(store: Path, tmp_path: Path) -> None:
    source = store / "deep" / "0.npy"
    done = l2norm("normalize", source, "-o", tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "0.npy").exists()


def test_a_run_that_is_no_terminal_shows_no_bar(store: Path) -> None:
    done = l2norm("normalize", store, "--dry-run", "--include", "deep/1?.npy")
    assert done.err.startswith("l2norm: 0 of 10 files, ")
    assert done.err.count("\n") == 12
    assert "15.npy: would normalize 4,000 × 16 float32; 256,128 bytes\n" in done.err
    as_json = l2norm("normalize", store, "--dry-run", "--json", "--include", "deep/1?.npy")
    *shards, last = map(json.loads, as_json.out.splitlines())
    assert all(shard["arrays"][0]["counts"] is None for shard in shards)
    assert last["summary"]["counts"] is None
    shown = l2norm("normalize", store, "--dry-run", "--progress", "--include", "deep/1?.npy")
    assert "/2.56M" in shown.err
