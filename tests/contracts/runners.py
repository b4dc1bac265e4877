"""What every runner of a store's tasks has to do, whatever it runs them on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.filesystem.siblings import owner_of
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.run import normalize_store
from l2cli.store.task import ShardTask
from tests.support.stores import contents
from tests.support.workers import Here

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.store.runners.base import Runner


class _Deadly(NormalizeOptions):
    """Options that abort the process in which they are unpickled."""

    def __reduce__(self) -> Any:
        return os.abort, ()


class RunnerContract:
    """Subclass it as ``TestX``, and say how to make the runner."""

    crashes_apart = True
    """Whether the runner survives a task that crashes its process."""

    def runner(self) -> Runner:
        """Return the runner under test."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        root = tmp_path / "store"
        (root / "deep").mkdir(parents=True)
        rng = np.random.default_rng(0)
        for index in range(4):
            np.save(root / "deep" / f"{index}.npy", rng.standard_normal((500, 16)).astype("f4"))
        with h5py.File(root / "x.h5", "w") as file:
            file["emb"] = rng.standard_normal((50, 16))
        (root / "notes.txt").write_text("notes")
        return root

    def tasks(self, store: Path) -> list[ShardTask]:
        """Return a task for each shard of ``store``."""
        target = store.with_name("target")
        target.mkdir()
        paths = sorted(path for path in store.rglob("*") if path.suffix in (".npy", ".h5"))
        return [
            ShardTask(
                path.name,
                str(path),
                str(target / path.name),
                "normalize",
                (path.stat().st_size, path.stat().st_mtime_ns),
                NormalizeOptions(),
                StoreOptions(),
            )
            for path in paths
        ]

    def test_bytes_are_those_of_one_process(self, store: Path, tmp_path: Path) -> None:
        normalize_store([store], tmp_path / "a", runner=Here())
        report = normalize_store([store], tmp_path / "b", runner=self.runner())
        assert (report.shards["done"], report.shards["not read"]) == (5, 1)
        assert contents(tmp_path / "a") == contents(tmp_path / "b")

    def test_a_shard_that_fails_is_reported_and_costs_itself_alone(self, store: Path) -> None:
        (store / "deep" / "1.npy").write_text("bad")
        reports = {
            task.name: report
            for task, report in self.runner().run(self.tasks(store), lambda *progress: None)
        }
        assert sum(report.status == "done" for report in reports.values()) == 4
        assert reports["1.npy"].status == "failed"
        assert str(store / "deep" / "1.npy") in reports["1.npy"].error

    def test_a_crash_costs_its_shard_alone(self, store: Path) -> None:
        if not self.crashes_apart:
            pytest.skip("it is for tests, and runs all in the process of the tests")
        tasks = [
            dataclasses.replace(task, options=_Deadly()) if task.name == "x.h5" else task
            for task in self.tasks(store)
        ]
        reports = {
            task.name: report for task, report in self.runner().run(tasks, lambda *progress: None)
        }
        assert sum(report.status == "done" for report in reports.values()) == 4
        assert "a library crashed (SIGABRT)" in reports["x.h5"].error
        self._assert_nothing_temporary(store.parent)

    def test_an_interruption_cleans_up(self, store: Path) -> None:
        results = self.runner().run(self.tasks(store), lambda *progress: None)
        with contextlib.closing(results):
            next(results)
        self._assert_nothing_temporary(store.parent)
        assert not list(results)

    def test_progress_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        np.save(tmp_path / "store" / "x.npy", np.ones((600_000, 64), "f4"))
        seen = []
        tasks = self.tasks(tmp_path / "store")
        for _ in self.runner().run(tasks, lambda *progress: seen.append(progress)):
            pass
        assert seen
        assert {task.name for task, _, _ in seen} == {"x.npy"}
        counts = [done for _, done, _ in seen]
        assert counts == sorted(counts)
        assert all(0 < done <= total for _, done, total in seen)

    def test_a_run_that_was_cut_off_is_resumed(self, store: Path, tmp_path: Path) -> None:
        bad = store / "deep" / "1.npy"
        whole = bad.read_bytes()
        bad.write_text("bad")
        files = StoreOptions()
        first = normalize_store([store], tmp_path / "a", None, files, runner=self.runner())
        assert (first.shards["done"], first.shards["failed"]) == (4, 1)
        bad.write_bytes(whole)
        second = normalize_store([store], tmp_path / "a", None, files, runner=self.runner())
        assert (second.shards["done"], second.shards["skipped"]) == (1, 5)

    def _assert_nothing_temporary(self, folder: Path) -> None:
        assert not [path for path in folder.rglob("*") if owner_of(path.name)]
