"""``l2norm check`` against ``cat``, and one bad row among many.

Run it as ``python -m benchmarks.figures.check FOLDER``.
FOLDER wants 2 GB; ``/dev/shm`` is quick. The time is marginal: that of a file of ten rows is taken
off. Each of the runs is paired with a ``cat`` beside it, for a machine has good and bad minutes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RUNS = 7
DIM, NUM_ROWS = 768, 200_000
NARROW_DIM, NUM_NARROW_ROWS, BAD_ROW = 8, 100_000_000, 73_412_001
_BLOCK_ROWS = 1_000_000
_CHECK = [sys.executable, "-c", "from l2cli.cli import main; main()", "check"]


def seconds(*command: str) -> float:
    """Return how long a command takes that writes nothing but to nowhere."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


def compare_with_cat(folder: Path) -> None:
    """Print the marginal time of checking a file over that of ``cat``."""
    block = np.random.default_rng(0).standard_normal((10_000, DIM)).astype("f4")
    large, small = str(folder / "x.npy"), str(folder / "small.npy")
    np.save(small, block[:10])
    array = np.lib.format.open_memmap(large, "w+", "f4", (NUM_ROWS, DIM))
    for start in range(0, NUM_ROWS, len(block)):
        array[start : start + len(block)] = block
    del array
    ratios = []
    for _ in range(RUNS):
        cat = seconds("cat", large)
        whole, start_up = (seconds(*_CHECK, "-q", path) for path in (large, small))
        ratios.append((whole - start_up) / cat)
        print(f"cat {cat:.2f} s, check {whole:.2f} - {start_up:.2f} s: {ratios[-1]:.2f}")
    print(f"median of {RUNS}: {statistics.median(ratios):.2f}")
    Path(large).unlink()


def find_the_bad_row(folder: Path) -> None:
    """Print what is said of a file with one row in 100 million that is too long."""
    rows = np.random.default_rng(0).standard_normal((_BLOCK_ROWS, NARROW_DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    path = folder / "narrow.npy"
    array = np.lib.format.open_memmap(path, "w+", "f2", (NUM_NARROW_ROWS, NARROW_DIM))
    for start in range(0, NUM_NARROW_ROWS, _BLOCK_ROWS):
        array[start : start + _BLOCK_ROWS] = rows
    array[BAD_ROW] *= np.float16(1.02)
    del array
    started = time.perf_counter()
    subprocess.run([*_CHECK, path], check=False)
    print(f"{time.perf_counter() - started:.1f} s; the bad row is {BAD_ROW:,}")


def main(parent: str) -> None:
    """Print both figures."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        compare_with_cat(Path(name))
        find_the_bad_row(Path(name))


if __name__ == "__main__":
    main(sys.argv[1])
