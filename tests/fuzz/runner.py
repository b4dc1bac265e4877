"""Many mutants, in processes that may die of them."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.trial import GOOD, mutant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.fuzz.trial import Mutant

_ROOT = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")
_COMMANDS = {"inspect": ["inspect"], "check": ["check"]}
_SECONDS = 300
"""The longest that a command is waited for; a worker's processor time ends long before."""


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant."""

    index: int
    format: str
    seed_name: str
    outcome: str
    message: str

    @property
    def is_good(self) -> bool:
        """Whether that is how it should be."""
        return self.outcome in (*GOOD, "guarded")


@dataclass
class Table:
    """How often each came out, by format."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def offending(self) -> list[Outcome]:
        """What should not be."""
        return [entry for entry in self.outcomes if not entry.is_good]

    def __str__(self) -> str:
        counts = Counter((entry.format, entry.outcome) for entry in self.outcomes)
        columns = sorted({entry.outcome for entry in self.outcomes}, key=_order)
        formats = list(dict.fromkeys(entry.format for entry in self.outcomes))
        rows = [["", *columns, "all"]]
        for name in formats:
            numbers = [counts[name, column] for column in columns]
            rows.append([name, *(f"{number:,}" for number in (*numbers, sum(numbers)))])
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )


def try_mutants(seed: int, indices: Iterable[int], *, jobs: int = 1) -> Iterator[Outcome]:
    """Yield what became of each mutant, in no order."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in indices:
        waiting.put(index)
    done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    parent = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=parent) as folder:
        threads = [
            threading.Thread(target=_work, args=(seed, Path(folder), waiting, done), daemon=True)
            for _ in range(jobs)
        ]
        for thread in threads:
            thread.start()
        running = jobs
        while running:
            outcome = done.get()
            if outcome is None:
                running -= 1
            else:
                yield outcome


def _work(
    seed: int,
    folder: Path,
    waiting: queue.SimpleQueue[int],
    done: queue.SimpleQueue[Outcome | None],
) -> None:
    worker: _Worker | None = None
    try:
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            worker = worker or _Worker(seed, folder)
            result, message = worker.outcome_of(index)
            if worker.is_gone:
                worker.close()
                worker = None
            tested = mutant(seed, index)
            done.put(Outcome(index, tested.format, tested.seed.name, result, message))
    finally:
        if worker is not None:
            worker.close()
        done.put(None)


class _Worker:
    """A worker process."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(seed), str(folder)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.is_gone = False

    def outcome_of(self, index: int) -> tuple[str, str]:
        """Have mutant ``index`` tried."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{index}\n")
        self._process.stdin.flush()
        watch = threading.Timer(_SECONDS, self._process.kill)
        watch.start()
        stage = "start"
        for line in self._process.stdout:
            words = json.loads(line)
            if "outcome" in words:
                watch.cancel()
                return words["outcome"], words["message"]
            stage = words["stage"]
        watch.cancel()
        self.is_gone = True
        return _ended(self._process.wait(), stage, mutant(self._seed, index), self._folder)

    def close(self) -> None:
        """Let it end."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


def _ended(code: int, stage: str, tested: Mutant, folder: Path) -> tuple[str, str]:
    """Return the outcome of a mutant that ended the process: the command has to say so."""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if name in ("SIGXCPU", "SIGKILL"):
        return "timeout", f"{stage} took too long"
    if stage == "oracle":
        return "suspect", f"normalized, and its library crashes ({name})"
    source = folder / f"crash{tested.seed.suffix}"
    source.write_bytes(tested.content)
    command = _COMMANDS.get(stage, ["normalize", "--overwrite", "-o", str(source) + ".out"])
    done = subprocess.run(
        [sys.executable, "-m", "l2cli", *command, str(source)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    left = [path.name for path in folder.glob("crash*") if path != source]
    source.unlink()
    line = done.stderr.strip()
    is_told = done.returncode == 3 and len(line.splitlines()) == 1 and str(source) in line
    is_told = is_told and not left and "unexpected" not in line
    return ("guarded" if is_told else "crash"), f"{stage}: {name}; the command says: {line}"


def _order(outcome: str) -> tuple[bool, str]:
    return outcome not in (*GOOD, "guarded"), outcome
