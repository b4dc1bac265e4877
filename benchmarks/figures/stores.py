"""Figures of whole stores: ``python -m benchmarks.figures.stores FOLDER [NAME...]``.

Makes stores of ``.npy`` shards in FOLDER, one after the other, normalizes each with the whole
command, and prints a line for each figure. FOLDER wants 3 GB; ``/dev/shm`` is quick. The names
are ``small``, ``kill`` and ``many``; all of them is a matter of minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.support.stores import contents

if TYPE_CHECKING:
    from collections.abc import Callable

DIM = 128
PROGRAM = [sys.executable, "-c", "from l2cli.cli import main; main()", "normalize"]
PLAN = """
import resource, sys, time
from pathlib import Path
from l2cli.options import NormalizeOptions
from l2cli.options import StoreOptions
from l2cli.store.plan import make_plan
started = time.perf_counter()
plan = make_plan([Path(sys.argv[1])], None, NormalizeOptions(), StoreOptions())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(f"{len(plan.tasks):,} tasks: {time.perf_counter() - started:.1f} s, {peak:.0f} MB")
"""


def make_store(folder: Path, num_shards: int, num_bytes: int) -> Path:
    """Make a store of shards of ``num_bytes`` each, in folders of 1,000."""
    rows = max(1, num_bytes // (4 * DIM))
    block = np.random.default_rng(0).standard_normal((rows, DIM)).astype("f4")
    for index in range(num_shards):
        path = folder / f"{index // 1000}" / f"shard_{index}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        block[0] = index + 1
        np.save(path, block)
    return folder


def run(*arguments: str | Path) -> tuple[float, float]:
    """Return the seconds that one command took, and its largest process's peak in MB."""
    started = time.perf_counter()
    process = subprocess.Popen([*PROGRAM, "-q", *map(str, arguments)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1000


def _best(action: Callable[[], object], target: Path, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        shutil.rmtree(target, ignore_errors=True)
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    shutil.rmtree(target, ignore_errors=True)
    return min(times)


def _small(parent: Path) -> None:
    one = make_store(parent / "one", 1, 100_000)
    store = make_store(parent / "small", 2000, 100_000)
    target = parent / "out"
    for jobs in ((), ("--jobs", "1"), ("--jobs", "2")):
        start = _best(lambda: run(one, "-o", target), target)
        whole = _best(lambda jobs=jobs: run(store, "-o", target, *jobs), target, 3)  # type: ignore[misc]
        print(
            f"2,000 × 100 KB, {' '.join(jobs) or 'default'}: {whole:.2f} s, one shard "
            f"{start:.2f} s, {(whole - start) / 2:.2f} ms a shard",
            flush=True,
        )


def _kill(parent: Path, repeats: int = 50) -> None:
    store = make_store(parent / "store", 120, 400_000)
    quiet, target = parent / "quiet", parent / "out"
    lasts = run(store, "-o", quiet, "--jobs", "2")[0]
    expected, wrong, unfinished = contents(quiet), 0, 0
    for seed in range(repeats):
        shutil.rmtree(target, ignore_errors=True)
        process = subprocess.Popen(
            [*PROGRAM, "-q", str(store), "-o", str(target), "--jobs", "2"],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(random.Random(seed).uniform(0.3, 1.1) * lasts)
        process.send_signal(signal.SIGKILL)
        unfinished += process.wait() != 0
        run(store, "-o", target, "--jobs", "2")
        wrong += contents(target) != expected
    print(f"kill -9: {repeats} runs, {unfinished} cut off, {wrong} with other bytes or files")


def _many(parent: Path) -> None:
    store = make_store(parent / "many", 100_000, 1000)
    done = subprocess.run(
        [sys.executable, "-c", PLAN, store], check=True, capture_output=True, text=True
    )
    print(f"planning {done.stdout.strip()}", flush=True)
    target = parent / "out"
    for name in ("first run", "second run"):
        seconds, peak = run(store, "-o", target)
        print(f"100,000 tiny shards, {name}: {seconds:.1f} s, {peak:.0f} MB", flush=True)


MEASUREMENTS = {"small": _small, "kill": _kill, "many": _many}


def main(parent: str, *names: str) -> None:
    """Print the figures."""
    for name in names or MEASUREMENTS:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            MEASUREMENTS[name](Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
