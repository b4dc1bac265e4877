"""Damaged files: each is refused by name, or normalized as its own library reads it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.report import ArrayReport, Report
from tests.fuzz import oracle
from tests.fuzz.raw import Rows, Unreadable
from tests.fuzz.runner import Outcome, Table, try_mutants
from tests.fuzz.seeds import seeds
from tests.fuzz.trial import Mutant, Trial, mutant

if TYPE_CHECKING:
    from tests.fuzz.raw import Parts


def test_a_few_hundred_mutants() -> None:
    """As ``python -m tests.fuzz --seed 2 --count 200``."""
    table = Table(list(try_mutants(2, range(200))))
    _assert_good(2, table)
    assert {entry.outcome for entry in table.outcomes} >= {"unit", "refused"}


@pytest.mark.slow
def test_an_hour_of_mutants() -> None:
    """A batch of each seed, until the time is up."""
    started, seed = time.monotonic(), 11
    while time.monotonic() - started < 3600:
        _assert_good(seed, Table(list(try_mutants(seed, range(2000), jobs=2))))
        seed += 1


def _assert_good(seed: int, table: Table) -> None:
    lines = [
        f"python -m tests.fuzz --seed {seed} --mutant {entry.index}: "
        f"{entry.outcome}: {entry.message}"
        for entry in table.offending
    ]
    assert not lines, "\n".join([*lines, str(table)])


def test_good_files_are_normalized(tmp_path: Path) -> None:
    """Else their mutants would tell nothing."""
    outcomes = {
        seed.name: Trial(_unharmed(seed), tmp_path, lambda stage: None).outcome()
        for seed in seeds()
    }
    assert not {name: result for name, result in outcomes.items() if result[0] != "unit"}


def _unharmed(seed: Any) -> Mutant:
    return Mutant(seed, seed.content, "file", "error")


def test_a_mutant_is_the_same_in_every_process() -> None:
    code = (
        "import hashlib; from tests.fuzz.trial import mutant\n"
        "for each in (mutant(3, index) for index in range(80)):\n"
        "    print(hashlib.md5(each.content).hexdigest(), each.way, each.nonfinite)"
    )
    root = Path(__file__).parents[2]
    run = [sys.executable, "-c", code]
    told = [subprocess.run(run, cwd=root, capture_output=True, check=True).stdout for _ in "ab"]
    assert told[0] == told[1]
    assert len(set(told[0].splitlines())) == 80
    assert mutant(3, 0).content != mutant(4, 0).content


def _parts(rows: list[Any], ids: Any = (1, 2)) -> Parts:
    vectors = [None if row is None else np.array(row, "f4") for row in rows]
    return {"embedding": Rows(vectors, np.dtype("f4")), "ids": np.array(ids)}


def _report() -> Report:
    return Report("a", "b", "npz", [ArrayReport("embedding", (2, 2), (2, 2), "float32", "float32")])


@pytest.mark.parametrize(
    ("before", "after", "policy", "expected"),
    [
        (_parts([[3, 4], [0, 0]]), _parts([[0.6, 0.8], [0, 0]]), "error", ""),
        (_parts([None, [0, 2]]), _parts([None, [0, 1]]), "error", ""),
        (_parts([[3, np.nan], [0, 2]]), _parts([[3, np.nan], [0, 1]]), "keep", ""),
        (_parts([[3, np.inf], [0, 2]]), _parts([[0, 0], [0, 1]]), "zero", ""),
        (_parts([[3, np.inf], [0, 2]]), _parts([[3, np.inf], [0, 1]]), "error", "is not finite"),
        (_parts([[3, 4], [0, 2]]), _parts([[3, 4], [0, 1]]), "error", "is off by"),
        (_parts([[3, 4], [0, 2]]), _parts([[0.6, 0.8]]), "error", "has 1 rows, expected 2"),
        (_parts([[3, 4], [0, 2]]), _parts([[0.6, 0.8], [1]]), "error", "has shape"),
        (_parts([[3, 4], [0, 2]]), _parts([[0.6, 0.8], None]), "error", "null on one side"),
        (_parts([[3, 4]]), _parts([[0.6, 0.8]], (1, 3)), "error", "'ids' was changed"),
        (_parts([[3, 4]]), _parts([[0.6, 0.8]], (1.0, 2.0)), "error", "'ids' was changed"),
        ({"embedding": Unreadable()}, {"embedding": Unreadable()}, "error", "can't read it"),
        (_parts([[3, 4]]), {}, "error", "holds , expected 'embedding', 'ids'"),
        ({"vectors": np.ones(2)}, {"vectors": np.ones(2)}, "error", "not what the library finds"),
    ],
)
def test_the_oracle_sees_what_is_wrong(
    before: Parts, after: Parts, policy: str, expected: str
) -> None:
    result = oracle.problem(before, after, _report(), policy)
    assert expected in result
    assert bool(expected) is bool(result)


def test_the_table_counts_by_format() -> None:
    table = Table([Outcome(index, "npy", "npy f2", "unit", "") for index in range(3)])
    table.outcomes.append(Outcome(3, "HDF5", "HDF5 lzf", "unexpected", "IndexError"))
    assert str(table).splitlines() == [
        "      unit  unexpected  all",
        " npy     3           0    3",
        "HDF5     0           1    1",
    ]
    assert [entry.index for entry in table.offending] == [3]
