"""How fast a machine is in a folder: each format, dtype and backend, against a plain copy."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import ArraySpec, Batch, rows_per_batch, windows
from l2cli.dtypes import DTYPES as TABLE
from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import BackendError, DestinationError, L2NormError, OptionError, reason
from l2cli.filesystem.atomic import replacing
from l2cli.filesystem.siblings import remove_abandoned, temporary_folder
from l2cli.formats.create import UNNAMED
from l2cli.formats.registry import NAMES, by_name, new_file_writer
from l2cli.graph.backends.load import choose_backend
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.runtime.backends import BACKENDS
from l2cli.runtime.processors import num_processors
from l2cli.store.runners.local import LocalWorkers
from l2cli.store.task import ShardTask

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from l2cli.formats.registry import Format
    from l2cli.report import Report

    Reports = Generator[Report, None, None]
    Progress = Callable[[int, int], None]

DIM = 768
COPY = "copy"
FORMATS = tuple(map(by_name, NAMES))
DTYPES = tuple(name for name in FLOAT_DTYPES if TABLE[name].is_in_numpy)
_MIN_RUNS, _MAX_RUNS = 2, 6
"""Of each file on each backend; the first compiles, and doesn't count."""
_SECONDS = 30.0
"""When these are over, each file that is left gets the least number of runs."""
_FILES_AT_ONCE = 2
_SCRATCH = "bench-"


@dataclass(frozen=True, slots=True)
class Speed:
    """How long a file of one format and dtype took; the seconds are medians.

    Attributes
    ----------
    num_bytes : int
        Bytes of the file.
    num_runs : int
        How many times it was copied, and normalized on each backend.
    seconds : dict of str to float
        Of a plain copy, as ``copy``, and of its normalization by each backend.
    """

    format: str
    dtype: str
    num_bytes: int
    num_runs: int
    seconds: dict[str, float]


@dataclass
class BenchReport:
    """How fast a machine is in a folder.

    Attributes
    ----------
    num_bytes : int
        Bytes of the vectors in each file.
    auto, reason : str
        The backend that ``auto`` takes, and why.
    devices : dict of str to str
        Where each backend ran.
    start_seconds : dict of str to float
        What each backend took from the start of its process to the end of a file of one row.
    missing : dict of str to str
        Why each of the other backends did not run.
    """

    folder: str
    num_bytes: int
    auto: str
    reason: str
    dim: int = DIM
    num_processors: int = field(default_factory=num_processors)
    devices: dict[str, str] = field(default_factory=dict)
    start_seconds: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    speeds: list[Speed] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        titles = [f"{name} ({device})" for name, device in self.devices.items()]
        starts = [f"{seconds:10.1f} s" for seconds in self.start_seconds.values()]
        lines = [
            f"{self.folder}: files of {self.num_bytes / 1e6:,.0f} MB, rows of {self.dim}, "
            f"processors: {self.num_processors}",
            "",
            f"{'':18}{'copy':>8}" + "".join(f"{title:>20}" for title in titles),
            f"{'format':9}{'dtype':9}{'MB/s':>8}" + f"{'MB/s':>12}{'× copy':>8}" * len(titles),
            *map(_describe, self.speeds),
            f"{'start':26}" + (" " * 8).join(starts),
            "",
            "× copy: the time against that of a plain copy; both are flushed to disk",
            "start: until the first file, of one row, is done; once in a command",
            *self.missing.values(),
            f"auto takes {self.auto}: {self.reason}",
            *self._comparisons(),
        ]
        return "\n".join(lines)

    def _comparisons(self) -> Iterator[str]:
        """Say how the backend that ``auto`` takes did against the others, where it ran."""
        for backend in self.devices if self.auto in self.devices else ():
            if backend != self.auto:
                ratios = [
                    speed.seconds[self.auto] / speed.seconds[backend] for speed in self.speeds
                ]
                yield (
                    f"here {self.auto} took {statistics.median(ratios):.2f} × the time of "
                    f"{backend} (median), start not counted"
                )


def run_bench(
    folder: Path,
    num_bytes: int,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> BenchReport:
    """Time every backend and a plain copy in ``folder``, which is left as it was.

    Parameters
    ----------
    num_bytes : int
        Bytes of the vectors in each file.
    device : str
        As for :func:`l2cli.graph.backends.load.load_backend`.
    progress : callable or None
        Called with how many runs are done, and how many there may be in all; with 0 done
        before the backends start, and after.

    Raises
    ------
    OptionError
        Where ``num_bytes`` holds no row, or there is no backend.
    DestinationError
        Where ``folder`` can't be written to, or has too little room.
    """
    if num_bytes < DIM * 8:
        raise OptionError(f"num_bytes is {num_bytes}, expected {DIM * 8} or more: one row")
    report = BenchReport(str(folder.absolute()), num_bytes, *choose_backend())
    combinations = list(itertools.product(FORMATS, DTYPES))

    def report_progress(done: int) -> None:
        if progress is not None:
            progress(done, len(combinations) * _MAX_RUNS)

    with _scratch(folder) as scratch, contextlib.ExitStack() as stack:
        _check_room(folder, num_bytes)
        source, deadline = scratch / "source", time.monotonic() + _SECONDS
        report_progress(0)
        _make_file(source, FORMATS[0], "float32", 1)
        runs = {COPY: _copies(source), **_start(source, device, report, stack)}
        report_progress(0)  # What is to come is no guess from how long a start took.
        for index, (file_format, dtype) in enumerate(combinations):
            now = time.monotonic()
            until = now + (deadline - now) / (len(combinations) - index)
            _make_file(source, file_format, dtype, num_bytes)
            rounds: list[dict[str, float]] = []
            # By turns: machines have good and bad moments, and so each gets its share of both.
            while len(rounds) < _MIN_RUNS or (len(rounds) < _MAX_RUNS and time.monotonic() < until):
                rounds.append({name: next(seconds) for name, seconds in runs.items()})
                report_progress(index * _MAX_RUNS + len(rounds))
            medians = {
                name: statistics.median(seconds_of[name] for seconds_of in rounds[1:])
                for name in runs
            }
            size = source.stat().st_size
            report.speeds.append(Speed(file_format.title, dtype, size, len(rounds) - 1, medians))
    return report


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a folder in ``folder`` that is gone at the end; one of a run that was killed goes now.

    An error of the system in the block is one of ``folder``.
    """
    try:
        remove_abandoned(folder)
        with temporary_folder(folder, _SCRATCH) as scratch:
            yield scratch
    except OSError as exc:
        raise DestinationError(f"{folder} can't be written to: {reason(exc)}") from exc


def _check_room(folder: Path, num_bytes: int) -> None:
    free, needed = shutil.disk_usage(folder).free, _FILES_AT_ONCE * num_bytes
    if free < needed:
        raise DestinationError(
            f"{folder} has room for {free / 1e6:,.1f} MB, and this takes {needed / 1e6:,.1f}; "
            "choose a smaller `num_bytes` or another folder"
        )


def _make_file(path: Path, file_format: Format, dtype: str, num_bytes: int) -> None:
    """Write random rows, about ``num_bytes`` of them, at least one."""
    row_bytes = DIM * np.dtype(dtype).itemsize
    array = ArraySpec(UNNAMED, (max(1, num_bytes // row_bytes), DIM), dtype)
    generator = np.random.default_rng(0)
    with (
        replacing(path, like=None, overwrite=True) as sibling,
        new_file_writer(file_format)(sibling, {array.name: array}) as writer,
    ):
        for start, stop in windows(array.num_rows, rows_per_batch(array, None)):
            rows = generator.standard_normal((stop - start, DIM)).astype(dtype)
            writer.write(Batch(array, rows, start))
        writer.finish()


def _start(
    source: Path, device: str, report: BenchReport, stack: contextlib.ExitStack
) -> dict[str, Iterator[float]]:
    """Start each backend on ``source``; return the seconds of more runs of those that did it."""
    started: dict[str, Iterator[float]] = {}
    for name, info in BACKENDS.items():
        if not info.is_installed:
            report.missing[name] = f"{name} is not installed"
            continue
        run = stack.enter_context(contextlib.closing(_runs(source, name, device)))
        before = time.perf_counter()
        try:
            first = next(run)
        except BackendError as exc:
            report.missing[name] = str(exc)
            continue
        report.start_seconds[name] = time.perf_counter() - before
        report.devices[name] = first.device
        started[name] = (report_of_run.seconds for report_of_run in run)
    if not started:
        raise BackendError("; ".join(dict.fromkeys(report.missing.values())))
    return started


def _runs(source: Path, backend: str, device: str) -> Reports:
    """Normalize ``source`` each time that a report is asked for, always in the same process."""
    result = source.with_name("result")
    task = ShardTask(
        source.name,
        str(source),
        str(result),
        "normalize",
        (0, 0),  # Old, by this, so that no hash of it is made.
        NormalizeOptions(backend=backend, device=device),
        StoreOptions(),
        required=True,
    )
    tasks = [task] * (_MAX_RUNS * len(FORMATS) * len(DTYPES) + 1)
    with contextlib.closing(LocalWorkers(1).run(tasks, lambda *progress: None)) as results:
        for _, outcome in results:
            if outcome.report is None:
                raise L2NormError(outcome.error)
            result.unlink()
            yield outcome.report


def _copies(source: Path) -> Iterator[float]:
    """Copy ``source`` each time that the seconds of a copy are asked for."""
    result = source.with_name("result")
    while True:
        before = time.perf_counter()
        with replacing(result, like=source, overwrite=False) as sibling:
            shutil.copyfile(source, sibling)
        seconds = time.perf_counter() - before
        result.unlink()
        yield seconds


def _describe(speed: Speed) -> str:
    megabytes, copy = speed.num_bytes / 1e6, speed.seconds[COPY]
    cells = [
        f"{megabytes / seconds:12,.0f}{seconds / copy:8.2f}"
        for name, seconds in speed.seconds.items()
        if name != COPY
    ]
    return f"{speed.format:9}{speed.dtype:9}{megabytes / copy:8,.0f}{''.join(cells)}"
