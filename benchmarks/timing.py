"""Whole commands, timed in turn with a peer: machines have good and bad minutes."""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = f"{shlex.quote(sys.executable)} -m l2cli normalize -q"
L2NORM = f"{PROGRAM} {{source}} -o {{target}}"
CHECK = f"{shlex.quote(sys.executable)} -m l2cli check -q {{source}} || [ $? = 1 ]"
"""Rows that are not unit are an answer too."""
PIPE = f"cat {{source}} | {PROGRAM} > {{target}}"


@dataclass(frozen=True)
class Time:
    """What one run took: seconds of the clock, and its largest process's peak in MB."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Command:
    """A line of shell.

    Attributes
    ----------
    line
        With ``{source}`` and ``{target}`` in it.
    source
        What it reads.
    small
        A source of the same kind that is next to nothing. What that takes is taken off, which
        leaves what the bytes cost; ``None`` to count the whole command.
    suffix
        Of what it writes.
    """

    line: str
    source: Path
    small: Path | None = None
    suffix: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, source: Path, folder: Path) -> Time:
        """Run it once, and remove what it wrote to ``folder``."""
        target = folder / f"target{self.suffix}"
        line = self.line.format(source=source, target=target)
        started = time.perf_counter()
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            env={**os.environ, **self.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{line}: ended with {process.returncode}")
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        return Time(seconds, usage.ru_maxrss / 1000)


@dataclass(frozen=True)
class Ratio:
    """What a comparison came to.

    Attributes
    ----------
    ratios
        Of our seconds to the peer's, run by run.
    ours, peers
        The median seconds of both.
    megabytes
        The largest peak of ours.
    """

    ratios: list[float]
    ours: float
    peers: float
    megabytes: float

    def __str__(self) -> str:
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        return (
            f"**{statistics.median(self.ratios):.2f}** | {spread} | {self.ours:.2f} s | "
            f"{self.peers:.2f} s | {self.megabytes:.0f} MB"
        )


def compare(ours: Command, peer: Command, folder: Path, num_runs: int) -> Ratio:
    """Time both in turn, ``num_runs`` times."""
    for command in (ours, peer):
        for source in filter(None, (command.small, command.source)):
            command.run(source, folder)  # Programs and graphs get cached.
    runs = [(_run(ours, folder), _run(peer, folder)) for _ in range(num_runs)]
    mine, theirs = (_costs([run[side] for run in runs]) for side in (0, 1))
    return Ratio(
        [our_cost / peer_cost for our_cost, peer_cost in zip(mine, theirs, strict=True)],
        statistics.median(mine),
        statistics.median(theirs),
        max(whole.megabytes for (whole, _), _ in runs),
    )


def _run(command: Command, folder: Path) -> tuple[Time, float]:
    """Return the time of the whole, and the seconds that are to be taken off."""
    whole = command.run(command.source, folder)
    start = command.run(command.small, folder).seconds if command.small else 0.0
    return whole, start


def _costs(times: list[tuple[Time, float]]) -> list[float]:
    # The median start, not each run's own: it varies as much as what the bytes cost.
    start = statistics.median(start for _, start in times)
    return [whole.seconds - start for whole, _ in times]
