"""Normalizing arrays in memory, on any backend: Keras runs on one in a process."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import ArraySpec, Batch, windows
from l2cli.graph import load_backend
from l2cli.normalizer import make_normalizer
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    from l2cli.report import Counts

Array = np.ndarray[Any, Any]


class BackendProcess:
    """A process of its own in which Keras runs on one backend."""

    def __init__(self, name: str) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context)

    def run(self, array: Array, **options: Any) -> tuple[Array, Counts]:
        """Return ``array`` normalized under ``options``, and the counts."""
        wishes = NormalizeOptions(backend=self.name, **options)  # type: ignore[arg-type]
        return self._pool.submit(normalize_array, array, wishes).result()

    def close(self) -> None:
        self._pool.shutdown()


def normalize_array(array: Array, options: NormalizeOptions) -> tuple[Array, Counts]:
    """Take ``array`` through a Normalizer in batches, as a file's rows are taken."""
    spec = ArraySpec("", array.shape, array.dtype.name)
    size = options.batch_size or max(1, len(array))

    def read() -> Any:
        return (Batch(spec, array[i:j], i) for i, j in windows(len(array), size))

    normalizer = make_normalizer(
        spec, options.output(spec), options, lambda: load_backend(options.backend, "cpu")
    )
    normalizer.measure(read)
    parts = [normalizer.normalize(batch) for batch in read()]
    return np.concatenate(parts), normalizer.counts
