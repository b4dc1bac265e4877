"""The runners of a store's tasks, each by the one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from l2cli.errors import OptionError
from l2cli.store.runners import RUNNERS, find_runner
from l2cli.store.runners.local import LocalRunner
from tests.contracts.runners import RunnerContract
from tests.support.workers import Here

if TYPE_CHECKING:
    from l2cli.store.runners.base import Runner


class TestLocalInProcess(RunnerContract):
    def runner(self) -> Runner:
        return LocalRunner(jobs=1)


class TestLocalWorkers(RunnerContract):
    def runner(self) -> Runner:
        return LocalRunner(jobs=2)


class TestHere(RunnerContract):
    crashes_apart = False

    def runner(self) -> Runner:
        return Here()


@pytest.mark.parametrize("name", RUNNERS)
def test_each_row_of_the_table_makes_a_runner(name: str) -> None:
    assert callable(find_runner(name, jobs=1).run)


def test_an_unknown_runner_is_refused() -> None:
    with pytest.raises(OptionError, match="`runner='grid'`, expected local"):
        find_runner("grid")
