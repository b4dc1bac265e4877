"""The passes over a source: the arrays that need it are measured, then all is normalized."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from l2cli.engine.backend import LazyBackend
from l2cli.engine.normalizer import make_normalizer
from l2cli.engine.pipeline import computed_ahead, read_ahead
from l2cli.normalization.kept_norms import KeptNorms

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from threading import Thread

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.base import Writer
    from l2cli.normalization.conversion import Plan
    from l2cli.options import NormalizeOptions
    from l2cli.report import Report

    Progress = Callable[[int, int], None]


class Run:
    """Normalizes the arrays of a plan into a writer.

    Parameters
    ----------
    progress
        Called after every batch with the bytes read so far and the bytes to read in all.
    may_reserve
        Whether the file system may be asked for room before there is something to write.
    """

    def __init__(
        self,
        plan: Plan,
        options: NormalizeOptions,
        writer: Writer,
        progress: Progress | None,
        *,
        may_reserve: bool,
    ) -> None:
        self._plan = plan
        self._options = options
        self._writer = writer
        self._progress = progress or (lambda done, total: None)
        self._may_reserve = may_reserve
        self._backend = LazyBackend(options.backend, options.device)
        self._normalizers = {
            array.name: make_normalizer(array, plan.outputs[array.name], options, self._backend)
            for array in plan.arrays
            if array.name in plan.normalized
        }
        self._done = 0
        self._total = sum(self._passes(array) * array.num_bytes for array in plan.arrays)

    def normalize(self, loading: Thread | None) -> None:
        """Read everything, and write it normalized.

        Parameters
        ----------
        loading
            Imports the backend.
        """
        plan, writer = self._plan, self._writer
        for array in plan.arrays:
            if array.name in self._normalizers:
                self._normalizers[array.name].measure(partial(self._measured, array, loading))
        batches = plan.batches(self._options.batch_size)
        is_quick, may_wait = plan.reader.is_quick(plan.arrays), plan.reader.may_wait
        with computed_ahead(
            batches, self._compute, may_wait=may_wait, is_quick=is_quick
        ) as computed:
            self._reserve(lambda: computed.is_ready)
            for num_bytes, batch in computed:
                writer.write(batch)
                if batch.norms is not None:
                    self._norms.add(batch)
                self._advance(num_bytes)
        writer.finish()
        self._advance(0)

    def keep_norms(self, stack: contextlib.ExitStack) -> None:
        """Keep the norms that the rows had until ``stack`` is closed."""
        axes = {name: each.vectors.axes for name, each in self._normalizers.items()}
        arrays = [
            (array, axes[array.name])
            for array in self._plan.arrays
            if 0 not in axes.get(array.name, (0,))
        ]
        self._norms = stack.enter_context(KeptNorms(arrays))
        for normalizer in self._normalizers.values():
            normalizer._keep_norms = True

    def norms(self, report: Report) -> dict[str, Path]:
        """Return the ``.npy`` with the norms of each array, by name.

        Parameters
        ----------
        report
            What :meth:`tell` told.
        """
        for name, normalizer in self._normalizers.items():
            if 0 in normalizer.vectors.axes:
                self._norms.put(name, normalizer.column_norms)
        return self._norms.finish({each.name: each.shape[0] or 0 for each in report.arrays})

    def tell(self, report: Report) -> None:
        """Put into ``report`` what was found."""
        for array_report in report.arrays:
            normalizer = self._normalizers[array_report.name]
            vectors = normalizer.vectors
            array_report.add(normalizer.counts, vectors.source_shape.common, vectors.shape.common)
        report.warn_of_short_rows(self._options.epsilon)
        report.backend, report.device = self._backend.name, self._backend.device

    def _passes(self, array: ArraySpec) -> int:
        normalizer = self._normalizers.get(array.name)
        return 1 if normalizer is None else normalizer.num_passes

    def _measured(self, array: ArraySpec, loading: Thread | None) -> Iterator[Batch]:
        reader = self._plan.reader
        batches = reader.batches([array], self._options.batch_size)
        with read_ahead(batches, may_wait=reader.may_wait) as ready:
            self._reserve(lambda: loading is None or not loading.is_alive())
            for batch in ready:
                yield batch
                self._advance(batch.rows.nbytes)

    def _compute(self, batch: Batch) -> Batch:
        normalizer = self._normalizers.get(batch.array.name)
        return batch if normalizer is None else normalizer.normalize(batch)

    def _reserve(self, is_ready: Callable[[], bool]) -> None:
        """Have room found for what will be written, until there is something else to do."""
        while self._may_reserve and not is_ready() and self._writer.reserve():
            pass

    def _advance(self, num_bytes: int) -> None:
        self._done += num_bytes
        self._progress(self._done, self._total)
