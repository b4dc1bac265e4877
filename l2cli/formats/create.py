"""The base class of writers of new files, which have no source of their format as a template.

Each format that can be converted to implements one; ``normalization/`` and the benchmark use
them through the registry. Nothing here knows any one format.
"""

from __future__ import annotations

from dataclasses import replace
from typing import IO, TYPE_CHECKING, ClassVar

from l2cli.errors import RowError
from l2cli.formats.base import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch

UNNAMED = "embedding"
"""What a container calls the array of a file that has no names."""


class NewFileWriter(Writer):
    """A new container of arrays.

    Parameters
    ----------
    target : Path or binary stream
        Where to write: a file, or a stream where the format's class has ``streams``.
    outputs : mapping of str to ArraySpec
        From the name of each array that will come to what it becomes, name included.
    """

    format_name: ClassVar[str]
    streams: ClassVar[bool] = False
    """Whether it writes front to back."""
    holds_several: ClassVar[bool] = True
    holds_null: ClassVar[bool] = False
    """Whether it has null rows."""
    side_by_side: ClassVar[bool] = False
    """Whether batches come window by window, of equal rows each, or array after array."""

    def __init__(self, target: Path | IO[bytes], outputs: Mapping[str, ArraySpec]) -> None:
        self.outputs = dict(outputs)
        self._num_rows = dict.fromkeys(outputs, 0)
        self._row_shapes: dict[str, tuple[int, ...]] = {}

    @classmethod
    def refusal(cls, output: ArraySpec) -> str:
        """Return why the format can't hold an array; empty where it can."""
        return ""

    def check(self, batch: Batch) -> None:
        """Refuse rows of different lengths, and null rows where the format has none."""
        name, rows = batch.array.name, batch.rows
        label = f"'{name}', row" if name else "row"
        if batch.num_null and not self.holds_null:
            raise RowError(
                f"{label} {batch.first_null} is null or empty, and {self.format_name} can't hold "
                "that; fill or drop such rows first, or convert to a table, such as Parquet"
            )
        if not len(rows):
            self._num_rows[name] += batch.num_null
            return
        shape = self._row_shapes.setdefault(name, rows.shape[1:])
        odd = self._odd_row(batch) if rows.shape[1:] == shape else batch.start
        if odd is not None:
            raise RowError(
                f"{label} {odd} has another length than the rows before it, and "
                f"{self.format_name} holds rows of one length; convert to a table, such as Parquet"
            )
        self._num_rows[name] += len(rows) + batch.num_null

    def settled(self, name: str) -> ArraySpec:
        """Return what the array ``name`` became, the length of its rows included."""
        output = self.outputs[name]
        shape = self._row_shapes.get(name, tuple(length or 0 for length in output.shape[1:]))
        return replace(output, shape=(output.num_rows, *shape))

    def _odd_row(self, batch: Batch) -> int | None:
        """Return the first row that is missing in ``batch``, for it has another length."""
        expected = self._num_rows[batch.array.name]
        if batch.row_numbers is None or batch.num_null:
            return None if batch.start == expected else expected
        numbers = range(expected, expected + len(batch.rows))
        return next(n for i, n in enumerate(numbers) if batch.row_number(i) != n)
