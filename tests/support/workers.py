"""Who works in tests: on an array, a process for each backend; on a store, this process."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from l2cli.engine.array import normalize_array
from l2cli.graph.backends.importing import import_keras
from l2cli.options import NormalizeOptions
from l2cli.store.shard import run_shard
from tests.support.coverage import measure_this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from l2cli.report import Counts
    from l2cli.store.runners.base import OnProgress, Results
    from l2cli.store.task import ShardTask

T = TypeVar("T")
Array = np.ndarray[Any, Any]


class BackendProcess:
    """A process of its own in which Keras runs on one backend."""

    def __init__(self, name: str) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, measure_this_process)

    def run(self, array: Array, **options: Any) -> tuple[Array, Counts]:
        """Return ``array`` normalized under ``options``, and the counts."""
        checked = NormalizeOptions(backend=self.name, device="cpu", **options)
        return self._pool.submit(normalize_array, array, checked).result()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, called where Keras runs on the backend."""
        return self._pool.submit(_call, self.name, function, arguments).result()

    def close(self) -> None:
        self._pool.shutdown()


class KeptGraphsProcess(BackendProcess):
    """Two processes on JAX: one makes graphs and keeps them, one finds them and never imports it.

    What one of them returns is compared with what the other returns.
    """

    def __init__(self) -> None:
        self.name = "jax"
        context = multiprocessing.get_context("spawn")
        self._maker, self._finder = (
            ProcessPoolExecutor(1, context, measure_this_process) for _ in range(2)
        )

    def run(self, array: Array, **options: Any) -> tuple[Array, Counts]:
        checked = NormalizeOptions(backend=self.name, device="cpu", **options)
        return self.call(normalize_array, array, checked)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        made = self._maker.submit(function, *arguments).result()
        result = self.find(function, *arguments)
        assert pickle.dumps(result) == pickle.dumps(made)
        return result

    def find(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, all of whose graphs were made before."""
        result, modules = self._finder.submit(_call_noting_modules, function, arguments).result()
        assert "jax" not in modules
        return result

    def find_anew(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, called in a process that may import JAX."""
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(function, *arguments).result()

    def close(self) -> None:
        self._maker.shutdown()
        self._finder.shutdown()


class Here:
    """Runs the tasks of a store in this process, even those that might crash it."""

    def run(self, tasks: Iterable[ShardTask], on_progress: OnProgress) -> Results:
        for task in tasks:
            yield task, run_shard(task, functools.partial(on_progress, task))


def _call_noting_modules(
    function: Callable[..., T], arguments: tuple[Any, ...]
) -> tuple[T, set[str]]:
    return function(*arguments), set(sys.modules)


def _call(backend: str, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    import_keras(backend)
    return function(*arguments)
