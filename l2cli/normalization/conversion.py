"""A destination of another format than the source.

A conversion from table to table, which both hold the same things, writes the table anew
(:func:`transcoded`), and the job normalizes that like any other. Another :class:`Conversion` reads
arrays and writes arrays: those that are normalized, and those beside them that the destination can
hold. Used by :mod:`l2cli.normalization.job`; it knows no destinations.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from l2cli.arrays import ArraySpec, rows_per_batch
from l2cli.errors import DestinationError, SelectionError
from l2cli.filesystem.atomic import temporary_errors, temporary_file
from l2cli.formats.create import UNNAMED
from l2cli.formats.registry import new_file_writer
from l2cli.io.refusals import selector
from l2cli.io.selection import select
from l2cli.io.source import named_errors, open_source
from l2cli.normalization.rewrite import Rewrite
from l2cli.text import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from l2cli.arrays import Batch
    from l2cli.formats.base import Reader, Writer
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions

_MOST_DROPPED = 30
"""How many names of what is dropped are listed: as many as one can read in a minute."""


class Conversion(Rewrite):
    """A new container of another format.

    Parameters
    ----------
    reader : Reader
    chosen : sequence of (ArraySpec, ArraySpec)
        As for :class:`~l2cli.normalization.rewrite.Rewrite`.
    file_format : Format
        What is written.

    Raises
    ------
    SelectionError
        Where several arrays are chosen and the format holds one.
    DestinationError
        Where the format can't hold a chosen array.
    """

    def __init__(
        self,
        reader: Reader,
        chosen: Sequence[tuple[ArraySpec, ArraySpec]],
        file_format: Format,
    ) -> None:
        super().__init__(reader, chosen)
        self._writer = new_file_writer(file_format)
        self._check()
        if self._writer.holds_several:
            beside = [array for array in reader.arrays() if self._fits_beside(array)]
            self.arrays += beside
            self.outputs |= {array.name: array for array in beside}
        self.notes += _dropped_notes(reader.dropped(self.outputs), file_format)
        for name, output in self.outputs.items():
            self.outputs[name] = replace(output, name=output.name or UNNAMED)

    def batches(self, batch_size: int | None) -> Iterator[Batch]:
        """Read everything that is to be written, in the order in which it is."""
        if not self._writer.side_by_side:
            for array in self.arrays:
                yield from self.reader.batches([array], batch_size)
            return
        batch_rows = min(rows_per_batch(array, batch_size) for array in self.arrays)
        columns = [self.reader.batches([array], batch_rows) for array in self.arrays]
        for batches in zip(*columns, strict=True):
            yield from batches

    def writer(self, path: Path) -> Writer:
        """Open a writer for the file ``path``."""
        return self._writer(path, self.outputs)

    def stream_writer(self, stream: IO[bytes]) -> Writer | None:
        """Open a writer front to back, or return ``None`` where that can't be."""
        return self._writer(stream, self.outputs) if self._writer.streams else None

    def _check(self) -> None:
        name = self._writer.format_name
        if len(self.arrays) > 1 and not self._writer.holds_several:
            choices = " or ".join(map(selector, self.arrays[:4]))
            raise SelectionError(
                f"{self.reader.path}: {name} holds one array, and {len(self.arrays)} are chosen; "
                f"choose with {choices}"
            )
        for output in self.outputs.values():
            if refusal := self._writer.refusal(output):
                raise DestinationError(f"{self.reader.path}: {output.label}: {refusal}")
        lengths = {array.num_rows for array in self.arrays}
        if self._writer.side_by_side and len(lengths) > 1:
            raise DestinationError(
                f"{self.reader.path}: {name} holds columns of one length, and those chosen have "
                f"{', '.join(f'{length:,}' for length in sorted(lengths))} rows; "
                "choose with `select`"
            )

    def _fits_beside(self, array: ArraySpec) -> bool:
        if array.name in self.outputs or array.refusal or self._writer.refusal(array):
            return False
        return not self._writer.side_by_side or array.num_rows == self.arrays[0].num_rows


def _dropped_notes(names: list[str], file_format: Format) -> list[str]:
    if not names:
        return []
    return [f"left out, as {file_format.title} has no place for it: {brief(names, _MOST_DROPPED)}"]


@contextlib.contextmanager
def transcoded(
    reader: Reader,
    chosen: Sequence[tuple[ArraySpec, ArraySpec]],
    file_format: Format,
    options: NormalizeOptions,
    *,
    to_stream: bool,
) -> Iterator[Rewrite]:
    """Write a table in another format to a temporary file, and yield how to rewrite that.

    Parameters
    ----------
    reader : Reader
    chosen : sequence of (ArraySpec, ArraySpec)
        As for :class:`~l2cli.normalization.rewrite.Rewrite`.
    file_format : Format
        What is written.
    options : NormalizeOptions
        What the arrays become.
    to_stream : bool
        Whether the result goes to a pipe; some formats look different there.
    """
    # Imported only where it is needed: it loads pyarrow.
    from l2cli.formats.tabular.table import NewTableWriter, TableReader, transcode

    writer = new_file_writer(file_format)
    if not (isinstance(reader, TableReader) and issubclass(writer, NewTableWriter)):
        raise TypeError(f"{reader.path} and {file_format.title} aren't both tables")
    with temporary_file() as path:
        table = reader.table()
        target = path.open("wb") if to_stream and writer.streams else path
        with temporary_errors():
            dropped = [f"'{name}'" for name in transcode(table, writer, target)]
        with (
            named_errors(str(reader.path), str(path)),
            open_source(path, file_format, options.opening) as written,
        ):
            arrays = [_same_array(written, array) for array, _ in chosen]
            rewrite = Rewrite(written, [(array, options.output(array)) for array in arrays])
            rewrite.notes += _dropped_notes(dropped, file_format)
            yield rewrite


def _same_array(reader: Reader, array: ArraySpec) -> ArraySpec:
    """Return what ``array`` of the source is called in the table that was made of it."""
    usable = (column for column in reader.arrays() if not column.refusal)
    by_name = {column.name: column for column in usable}
    return by_name.get(array.name) or select(reader, (array.name,)).arrays[0]
