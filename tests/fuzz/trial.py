"""One mutant: made, given to the library as the command would give it, and judged."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from l2cli.checking.check import check
from l2cli.errors import L2NormError
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file
from l2cli.options import CheckOptions, NormalizeOptions
from tests.fuzz import oracle, raw
from tests.fuzz.mutators import mutate
from tests.fuzz.seeds import Seed, generator, seeds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.report import Report

GOOD = ("unit", "refused")
_SUFFIXES = (".npy", ".npz", ".h5", ".parquet", ".arrow")


@dataclass(frozen=True)
class Mutant:
    """A damaged file, and how it is to be normalized.

    Attributes
    ----------
    way
        ``file``, ``stream`` for a source that is read once, or the suffix to convert to.
    """

    seed: Seed
    content: bytes
    way: str
    nonfinite: Literal["error", "keep", "zero"]

    @property
    def format(self) -> str:
        """The format of the good file."""
        return self.seed.name.partition(" ")[0]


def mutant(seed: int, index: int) -> Mutant:
    """Return mutant ``index`` of ``seed``."""
    rng = generator(seed, index)
    good = seeds()[index % len(seeds())]
    content = mutate(rng, good.content, rng.choice(seeds()).content)
    way = rng.choices(("file", "stream", rng.choice(_SUFFIXES)), (70, 15, 15))[0]
    policies: list[Literal["error", "keep", "zero"]] = ["error", "keep", "zero"]
    nonfinite = rng.choices(policies, (5, 3, 2))[0]
    return Mutant(good, content, way, nonfinite)


class Trial:
    """The judgement of one mutant in a folder of its own.

    Parameters
    ----------
    folder
        Empty, and empty again in the end.
    stage
        Called with what is about to be done, in case that the process doesn't survive it.
    """

    def __init__(self, tested: Mutant, folder: Path, stage: Callable[[str], None]) -> None:
        self._mutant = tested
        self._folder = folder
        self._stage = stage
        self._source = folder / f"mutant{tested.seed.suffix}"
        suffix = tested.way if tested.way.startswith(".") else tested.seed.suffix
        self._destination = folder / f"result{suffix}"

    def outcome(self) -> tuple[str, str]:
        """Return what became of it, and the message or what is wrong."""
        self._source.write_bytes(self._mutant.content)
        try:
            return self._judged()
        finally:
            for path in self._folder.iterdir():
                path.unlink()

    def _judged(self) -> tuple[str, str]:
        self._stage("normalize")
        report, outcome = self._attempt(self._normalize, self._label)
        left = sorted(path.name for path in self._folder.iterdir())
        expected = {self._source.name} | ({self._destination.name} if report else set())
        if set(left) != expected:
            return "left behind", f"{left} after: {outcome[1]}"
        if self._source.read_bytes() != self._mutant.content:
            return "source changed", outcome[1]
        if report is not None:
            outcome = self._compared(report)
        for name, work in self._others(report):
            if outcome[0] in GOOD:
                self._stage(name)
                _, actual = self._attempt(work, str(self._source))
                outcome = (
                    outcome if actual[0] in ("", *GOOD) else (actual[0], f"{name}: {actual[1]}")
                )
        return outcome

    @property
    def _label(self) -> str:
        return "standard input" if self._mutant.way == "stream" else str(self._source)

    def _normalize(self) -> Report:
        options = NormalizeOptions(nonfinite=self._mutant.nonfinite, **self._mutant.seed.options)
        with contextlib.ExitStack() as stack:
            source: Any = self._source
            if self._mutant.way == "stream":
                source = stack.enter_context(self._source.open("rb", buffering=0))
            return normalize_file(source, self._destination, options)

    def _others(self, report: Report | None) -> list[tuple[str, Callable[[], Any]]]:
        others: list[tuple[str, Callable[[], Any]]] = [
            ("inspect", lambda: inspect_file(self._source)),
            ("check", lambda: check([self._source], self._check_options())),
        ]
        if report is not None:
            others[1] = ("check result", lambda: self._check_result(report))
        return others

    def _check_options(self) -> CheckOptions:
        return CheckOptions(select=self._mutant.seed.options.get("select", ()))

    def _check_result(self, report: Report) -> None:
        """Check what was written, which is unit unless the report says otherwise."""
        names = () if self._mutant.way.startswith(".") else self._check_options().select
        actual = check([self._destination], CheckOptions(select=names))
        is_unit = not any(entry.counts.floored or entry.counts.nonfinite for entry in report.arrays)
        if is_unit and actual.exit_code:
            raise AssertionError(f"check says of the result: {actual.verdict}")

    def _attempt(self, work: Callable[[], Any], label: str) -> tuple[Any, tuple[str, str]]:
        """Return what ``work`` returns, and the outcome if it raises."""
        try:
            return work(), ("", "")
        except L2NormError as exc:
            return None, self._refusal(str(exc), label)
        except BaseException as exc:
            return None, ("unexpected", f"{type(exc).__name__}: {exc}")

    def _refusal(self, message: str, label: str) -> tuple[str, str]:
        named = label in message or str(self._destination) in message
        if "unexpected" in message:
            return "unexpected", message
        if not named:
            return "unnamed", message
        if "\n" in message and "\n  " not in message:  # A choice lists arrays, one a line.
            return "several lines", message
        if "can't be written" in message or "can't write" in message:
            return "destination blamed", message
        return "refused", message

    def _compared(self, report: Report) -> tuple[str, str]:
        self._stage("oracle")
        try:
            before = raw.read(self._source)
        except Exception as exc:
            return "suspect", f"normalized, and its library says {type(exc).__name__}: {exc}"
        try:
            after = raw.read(self._destination)
        except Exception as exc:
            return "wrong", f"the result can't be read: {type(exc).__name__}: {exc}"
        nonfinite = self._mutant.nonfinite
        if self._mutant.way.startswith(".") and self._destination.suffix != self._source.suffix:
            wrong = oracle.conversion_problem(before, after, report, nonfinite)
        else:
            wrong = oracle.problem(before, after, report, nonfinite)
        return ("wrong", wrong) if wrong else ("unit", "")


def folder_for(parent: Path) -> Path:
    """Return an empty folder for the trials of this process."""
    folder = parent / str(os.getpid())
    folder.mkdir()
    return folder
