"""What is read and written, and in which order: a file like the source, or of another format.

A conversion from table to table, which both hold the same things, writes the table anew and
normalizes that like any other. Another conversion reads arrays and writes arrays: those that
are normalized, and those beside them that the destination can hold.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from l2cli.arrays import ArraySpec, rows_per_batch
from l2cli.errors import DestinationError, SelectionError
from l2cli.filesystem.atomic import temporary_errors, temporary_file
from l2cli.formats.create import UNNAMED
from l2cli.formats.registry import new_file_writer
from l2cli.io.source import named_errors, open_source
from l2cli.report import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from l2cli.arrays import Batch
    from l2cli.formats.base import Reader, Writer
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions

    Chosen = Sequence[tuple[ArraySpec, ArraySpec]]


class Plan(ABC):
    """How the arrays of a reader get into a writer.

    Parameters
    ----------
    chosen
        Each array to normalize, and what it becomes.

    Attributes
    ----------
    arrays
        What is to be written, the arrays that aren't normalized too.
    normalized
        The names of those that are.
    outputs
        What each becomes.
    """

    def __init__(self, reader: Reader, chosen: Chosen) -> None:
        self.reader = reader
        self.normalized = {array.name for array, _ in chosen}
        self.outputs = {array.name: output for array, output in chosen}
        self.arrays = [array for array, _ in chosen]

    @abstractmethod
    def batches(self, batch_size: int | None) -> Iterator[Batch]:
        """Read everything that is to be written, in the order in which it is."""

    @abstractmethod
    def writer(self, path: Path) -> Writer:
        """Open a writer for the file ``path``."""

    @abstractmethod
    def stream_writer(self, stream: IO[bytes]) -> Writer | None:
        """Open a writer front to back, or return ``None`` where that can't be."""


class RewritePlan(Plan):
    """The source again, but for the rows of the chosen arrays."""

    def batches(self, batch_size: int | None) -> Iterator[Batch]:
        return self.reader.batches(self.arrays, batch_size)

    def writer(self, path: Path) -> Writer:
        return self.reader.writer(path, self.outputs)

    def stream_writer(self, stream: IO[bytes]) -> Writer | None:
        return self.reader.stream_writer(stream, self.outputs)


class NewFilePlan(Plan):
    """A new container of another format.

    Raises
    ------
    SelectionError
        Where several arrays are chosen and the format holds one.
    DestinationError
        Where the format can't hold a chosen array.
    """

    def __init__(self, reader: Reader, kind: Format, chosen: Chosen) -> None:
        super().__init__(reader, chosen)
        self._writer = new_file_writer(kind)
        self._check()
        if self._writer.holds_several:
            beside = [array for array in reader.arrays() if self._can_carry(array)]
            self.arrays += beside
            self.outputs |= {array.name: array for array in beside}
        left_out = reader.dropped(self.outputs)
        if left_out:
            reader.notes.append(
                f"left out, as {kind.title} has no place for it: {_named(left_out)}"
            )
        for name, output in self.outputs.items():
            self.outputs[name] = replace(output, name=output.name or UNNAMED)

    def batches(self, batch_size: int | None) -> Iterator[Batch]:
        if not self._writer.side_by_side:
            for array in self.arrays:
                yield from self.reader.batches([array], batch_size)
            return
        batch_rows = min(rows_per_batch(array, batch_size) for array in self.arrays)
        columns = [self.reader.batches([array], batch_rows) for array in self.arrays]
        for batches in zip(*columns, strict=True):
            yield from batches

    def writer(self, path: Path) -> Writer:
        return self._writer(path, self.outputs)

    def stream_writer(self, stream: IO[bytes]) -> Writer | None:
        return self._writer(stream, self.outputs) if self._writer.streams else None

    def _check(self) -> None:
        name = self._writer.format_name
        if len(self.arrays) > 1 and not self._writer.holds_several:
            choices = " or ".join(f"-s '{array.name}'" for array in self.arrays[:4])
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
                f"{', '.join(f'{length:,}' for length in sorted(lengths))} rows; choose with -s"
            )

    def _can_carry(self, array: ArraySpec) -> bool:
        if array.name in self.outputs or array.refusal or self._writer.refusal(array):
            return False
        return not self._writer.side_by_side or array.num_rows == self.arrays[0].num_rows


def _named(lost: list[str]) -> str:
    """Return what is lost in a conversion: all names that one can read in a minute."""
    return brief(lost, 30)


@contextlib.contextmanager
def transcoded(
    reader: Reader, kind: Format, options: NormalizeOptions, *, to_stream: bool
) -> Iterator[Reader]:
    """Yield a reader of the same table in the format ``kind``.

    Parameters
    ----------
    to_stream
        Whether the result goes to a pipe; some formats look different there.
    """
    # Known only where it is needed: it loads pyarrow.
    from l2cli.formats.tabular.table import NewTableWriter, TableReader, transcode

    writer = new_file_writer(kind)
    if not (isinstance(reader, TableReader) and issubclass(writer, NewTableWriter)):
        raise TypeError(f"{reader.path} and {kind.title} aren't both tables")
    with temporary_file() as path:
        table = reader.table()
        target = path.open("wb") if to_stream and writer.streams else path
        with temporary_errors():
            dropped = [f"'{name}'" for name in transcode(table, writer, target)]
        with named_errors(str(reader.path), str(path)), open_source(path, kind, options) as other:
            other.notes += reader.notes
            if dropped:
                other.notes.append(
                    f"left out, as {kind.title} has no place for it: {_named(dropped)}"
                )
            yield other
