"""npy through a pipe against a copy, and its memory: ``python -m tests.figures.pipes FOLDER``.

FOLDER wants 5 GB; ``/dev/shm`` is quick. The time is marginal: that of a file of ten rows is taken
off. Each of the runs is paired with a copy beside it, for a machine has good and bad minutes.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.figures.memory import SIZES, fill_npy

RUNS = 5
_PROGRAM = shlex.join(
    [sys.executable, "-c", "from l2cli.cli import main; main()", "normalize", "-q"]
)


def seconds(line: str, folder: Path) -> float:
    """Return how long a line of shell takes that writes ``y.npy``."""
    (folder / "y.npy").unlink(missing_ok=True)
    started = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=folder, check=True)
    return time.perf_counter() - started


def peak_megabytes(folder: Path) -> float:
    """Return the largest resident size, in MB, of ``l2norm`` at the end of a pipe."""
    (folder / "y.npy").unlink(missing_ok=True)
    with subprocess.Popen(["cat", "x.npy"], cwd=folder, stdout=subprocess.PIPE) as cat:
        with (folder / "y.npy").open("wb") as result:
            process = subprocess.Popen(shlex.split(_PROGRAM), stdin=cat.stdout, stdout=result)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("normalizing the pipe failed")
    return usage.ru_maxrss / 1000


def main(parent: str) -> None:
    """Print both figures."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        fill_npy(folder / "x.npy", SIZES[0])
        fill_npy(folder / "small.npy", 10)
        ratios = []
        for _ in range(RUNS):
            copy = seconds("cat x.npy | cat > y.npy", folder)
            whole = seconds(f"cat x.npy | {_PROGRAM} > y.npy", folder)
            start = seconds(f"cat small.npy | {_PROGRAM} > y.npy", folder)
            ratios.append((whole - start) / copy)
            print(f"copy {copy:.2f} s, l2norm {whole:.2f} - {start:.2f} s: {ratios[-1]:.2f}")
        print(f"median of {RUNS}: {statistics.median(ratios):.2f}")
        peaks = []
        for num_rows in SIZES:
            fill_npy(folder / "x.npy", num_rows)
            peaks.append(peak_megabytes(folder))
        print(f"peak memory {peaks[0]:.0f} MB, {peaks[1]:.0f} MB: {peaks[1] - peaks[0]:+.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1])
