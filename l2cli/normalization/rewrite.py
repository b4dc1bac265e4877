"""The source again, but for the rows of the arrays that are normalized.

A :class:`Rewrite` says to a job what is read, in which order, and which writer takes it. It knows
no destinations and computes nothing.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.base import Reader, Writer


class Rewrite:
    """Reads arrays and writes them back, with the source as the template of what is around them.

    Parameters
    ----------
    reader : Reader
        Of the source.
    chosen : sequence of (ArraySpec, ArraySpec)
        Each array to normalize, and what it becomes.

    Attributes
    ----------
    reader : Reader
        As the parameter.
    arrays : list of ArraySpec
        What is to be written, the arrays that aren't normalized too.
    normalized : set of str
        The names of those that are.
    outputs : dict
        What each array becomes, by its name.
    notes : list of str
        What the user should know of what is written.
    """

    def __init__(self, reader: Reader, chosen: Sequence[tuple[ArraySpec, ArraySpec]]) -> None:
        self.reader = reader
        self.arrays = [array for array, _ in chosen]
        self.normalized = {array.name for array in self.arrays}
        self.outputs = {array.name: output for array, output in chosen}
        self.notes: list[str] = []

    @property
    def needs_graph(self) -> bool:
        """Whether an array to normalize may hold a component."""
        return any(0 not in self.outputs[name].shape for name in self.normalized)

    def batches(self, batch_size: int | None) -> Iterator[Batch]:
        """Read everything that is to be written, in the order in which it is."""
        return self.reader.batches(self.arrays, batch_size)

    def writer(self, path: Path) -> Writer:
        """Open a writer for the file ``path``."""
        return self.reader.writer(path, self.outputs)

    def stream_writer(self, stream: IO[bytes]) -> Writer | None:
        """Open a writer front to back, or return ``None`` where that can't be."""
        return self.reader.stream_writer(stream, self.outputs)
