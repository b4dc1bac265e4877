"""The loop of a job: read, compute and write, and what has to be done before the result appears.

Used by :class:`~l2cli.normalization.job.Job`, which has decided all there is to decide. It knows
formats only by their readers and writers.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from l2cli.engine.backend import LazyBackend
from l2cli.engine.normalizer import make_normalizer
from l2cli.engine.pipeline import computed_ahead, read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.base import Writer
    from l2cli.io.resolve import Resolution
    from l2cli.normalization.kept_norms import KeptNorms
    from l2cli.normalization.rewrite import Rewrite
    from l2cli.options import NormalizeOptions
    from l2cli.report import Report

    Progress = Callable[[int, int], None]


class Execution:
    """Writes one destination: its normalizers, and how far it is.

    Parameters
    ----------
    resolution : Resolution
        What is read and written.
    options : NormalizeOptions
        How to normalize.
    rewrite : Rewrite
        How arrays get from a reader into a writer.
    progress : callable or None
        As for :meth:`~l2cli.normalization.job.Job.execute`.
    """

    def __init__(
        self,
        resolution: Resolution,
        options: NormalizeOptions,
        rewrite: Rewrite,
        progress: Progress | None,
    ) -> None:
        self._resolution, self._options, self._rewrite = resolution, options, rewrite
        self._keeps_norms = bool(options.norms_name or resolution.norms)
        self._backend = LazyBackend(options.backend, options.device)
        self._normalizers = {
            array.name: make_normalizer(
                array,
                rewrite.outputs[array.name],
                options,
                self._backend,
                keep_norms=self._keeps_norms,
            )
            for array in rewrite.arrays
            if array.name in rewrite.normalized
        }
        self._progress = progress or (lambda done, total: None)
        self._done = 0
        self._total = sum(self._num_passes(array) * array.num_bytes for array in rewrite.arrays)

    def write(self, report: Report) -> None:
        """Write the destination, and put into ``report`` what was counted on the way."""
        resolution, rewrite = self._resolution, self._rewrite
        if rewrite.needs_graph:
            self._backend.begin_loading()  # While files are opened.
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(resolution.destination.opened(resolution.source.path))
            writer = rewrite.stream_writer(output.stream) if output.stream else None
            path = None
            if writer is None:
                path = stack.enter_context(output.file())
                writer = rewrite.writer(path)
            stack.enter_context(writer)
            kept_norms = self._opened_norms(stack)
            self._write_rows(writer, kept_norms)
            self._fill_in(report)
            norms = kept_norms.finish(report) if kept_norms else {}
            if path is not None:
                self._complete(path, norms, report)
            resolution.source.check_unchanged()
            if resolution.norms is not None:  # Last: they are of no use without the vectors.
                (file,) = norms.values()
                resolution.norms.copy(file, None)
                report.norms = resolution.norms.label

    def _write_rows(self, writer: Writer, kept_norms: KeptNorms | None) -> None:
        """Read, compute and write every batch: the loop that all the rest is for."""
        reader, arrays = self._rewrite.reader, self._rewrite.arrays
        for array in arrays:
            if array.name in self._normalizers:
                read = partial(self._measured_batches, array, writer)
                self._normalizers[array.name].measure(read)
        with computed_ahead(
            self._rewrite.batches(self._options.batch_size),
            self._compute,
            may_wait=reader.may_wait,
            is_quick=reader.is_quick(arrays),
        ) as computed:
            self._reserve(writer, lambda: computed.is_ready)
            for num_bytes, batch in computed:
                writer.write(batch)
                if kept_norms is not None:
                    kept_norms.add(batch)
                self._advance(num_bytes)
        writer.finish()
        self._advance(0)

    def _measured_batches(self, array: ArraySpec, writer: Writer) -> Iterator[Batch]:
        """Read one array, as a pass before the rows are written."""
        reader = self._rewrite.reader
        batches = reader.batches([array], self._options.batch_size)
        with read_ahead(batches, may_wait=reader.may_wait) as ready:
            self._reserve(writer, lambda: not self._backend.is_loading)
            for batch in ready:
                yield batch
                self._advance(batch.rows.nbytes)

    def _compute(self, batch: Batch) -> Batch:
        normalizer = self._normalizers.get(batch.array.name)
        return batch if normalizer is None else normalizer.normalize(batch)

    def _reserve(self, writer: Writer, is_ready: Callable[[], bool]) -> None:
        """Let the file system find room for what will be written, while there is time."""
        if not self._resolution.destination.is_stream:
            while not is_ready() and writer.reserve():
                pass

    def _advance(self, num_bytes: int) -> None:
        self._done += num_bytes
        self._progress(self._done, self._total)

    def _num_passes(self, array: ArraySpec) -> int:
        normalizer = self._normalizers.get(array.name)
        return 1 if normalizer is None else normalizer.num_passes

    def _opened_norms(self, stack: contextlib.ExitStack) -> KeptNorms | None:
        if not self._keeps_norms:
            return None
        from l2cli.normalization.kept_norms import KeptNorms

        return stack.enter_context(KeptNorms(self._rewrite.arrays, self._normalizers))

    def _fill_in(self, report: Report) -> None:
        for array in report.arrays:
            normalizer = self._normalizers[array.name]
            vectors = normalizer.vectors
            array.add(normalizer.counts, vectors.source_shape.common, vectors.shape.common)
        report.warn_of_short_rows(self._options.epsilon)
        report.backend, report.device = self._backend.name, self._backend.device
        report.route = self._backend.route

    def _complete(self, path: Path, norms: dict[str, Path], report: Report) -> None:
        """Add norms to the file that was written, and verify it, as the options say."""
        options, outputs = self._options, self._rewrite.outputs
        file_format, destination = self._resolution.file_format, self._resolution.destination
        if options.norms_name:
            from l2cli.normalization.kept_norms import add_norms

            named = {outputs[name].name: file for name, file in norms.items()}
            add_norms(path, file_format, named, options.norms_name)
        if options.verify:
            from l2cli.normalization.verification import verify

            written = [(outputs[array.name], array.counts) for array in report.arrays]
            verify(path, file_format, destination.label, written, options)
            report.verified = True
