"""What was done: counts, in words and as JSON.

The normalization of a file and the run of a store fill it in; users of the library and the command
read it. It knows nothing of files or options, and its texts name parameters.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from l2cli.text import shape_text

if TYPE_CHECKING:
    from l2cli.text import Shape


@dataclass
class Counts:
    """The rows of one array, by what was found in them. Each row has one norm.

    Those that are ``floored`` are shorter than the square root of ``epsilon``, and not zero: the
    formula leaves them shorter than 1.
    """

    num_rows: int = 0
    zero: int = 0
    nonfinite: int = 0
    floored: int = 0
    null: int = 0

    def __add__(self, added: Counts) -> Counts:
        return Counts(
            *(getattr(self, name) + getattr(added, name) for name in Counts.__dataclass_fields__)
        )

    def multiply_since(self, before: Counts, factor: int) -> None:
        """Count what was added since ``before`` so many times."""
        for name in Counts.__dataclass_fields__:
            old = getattr(before, name)
            setattr(self, name, old + factor * (getattr(self, name) - old))

    def __str__(self) -> str:
        counts = {
            "zero": self.zero,
            "non-finite": self.nonfinite,
            "too short to become unit": self.floored,
            "null": self.null,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


@dataclass
class ArrayReport:
    """What became of one array: its shape and dtype before and after, and what was found.

    A length is ``None`` that isn't known, or that differs from row to row.
    """

    name: str
    source_shape: Shape
    shape: Shape
    dtype: str
    output_dtype: str
    counts: Counts = field(default_factory=Counts)

    def add(self, counts: Counts, source_row_shape: Shape, row_shape: Shape) -> None:
        """Take in what was found; of a stream, how many rows came is known only now."""
        self.counts = counts
        num_rows = self.shape[0]
        num_rows = counts.num_rows + counts.null if num_rows is None else num_rows
        self.source_shape = (num_rows, *source_row_shape)
        self.shape = (num_rows, *row_shape)


@dataclass
class Report:
    """What became of one source.

    Parameters
    ----------
    source, destination : str
        What messages call them: a path, or the name of a stream.
    format : str
        The source's format.
    arrays : list of ArrayReport
        What became of each array that was normalized.
    notes : list of str
        What the user should know; the warnings are among them.
    warnings : list of str
        Those of the notes that say what did not become unit.
    backend, device : str
        What computed; empty if nothing had to be computed, or on a dry run.
    route : str
        By which way it got there, where the backend has several, and why.
    num_bytes : int
        Bytes of the arrays as they were read, once.
    seconds : float
        Wall time of the whole call.
    dry_run : bool
        Whether nothing was written or counted.
    already_unit : {'', 'copied', 'left'}
        What was done with the file, if every row was a unit row before and nothing had to be
        normalized.
    norms : str
        The file that holds the norms that the rows had, if one was asked for.
    verified : bool
        Whether the destination was read back and checked.

    Examples
    --------
    >>> import numpy as np
    >>> import l2cli
    >>> np.save("vectors.npy", np.array([[3.0, 4.0], [0.0, 0.0]]))
    >>> report = l2cli.normalize_file("vectors.npy", files=l2cli.FileOptions(overwrite=True))
    >>> report.destination, report.arrays[0].counts.zero
    ('vectors.normalized.npy', 1)
    """

    source: str
    destination: str
    format: str
    arrays: list[ArrayReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    backend: str = ""
    device: str = ""
    route: str = ""
    num_bytes: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    already_unit: str = ""
    norms: str = ""
    verified: bool = False

    @property
    def num_short(self) -> int:
        """Rows of all arrays that are too short to become unit."""
        return sum(array.counts.floored for array in self.arrays)

    def warn_of_short_rows(self, epsilon: float) -> None:
        """Add a warning for each array with rows that ``epsilon`` kept from becoming unit."""
        for array in self.arrays:
            if array.counts.floored:
                name = f"{array.name}: " if len(self.arrays) > 1 else ""
                self.warnings.append(name + short_rows(array.counts.floored, epsilon))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it. On a dry run nothing is counted."""
        report = asdict(self)
        if self.dry_run:
            for array in report["arrays"]:
                array["counts"] = None
        return report

    def __str__(self) -> str:
        arrays = _describe_all(self.arrays)
        if self.dry_run:
            return f"{self.source} → {self.destination}: would normalize {arrays}"
        if self.already_unit:
            what = f"{arrays}, unit already, {self.already_unit} as it was"
            return f"{self.source} → {self.destination}: {what}"
        where = f" on {self.backend} ({self.device})" if self.backend else ""
        verified = "; verified" if self.verified else ""
        verified += f", {self.num_short:,} not unit" if verified and self.num_short else ""
        seconds = f"{self.seconds:.1f} s"
        return f"{self.source} → {self.destination}: {arrays}{verified}; {seconds}{where}"


def short_rows(number: int, epsilon: float) -> str:
    """Return what to say of rows that ``epsilon`` kept from becoming unit."""
    rows, pronoun = ("1 row is", "it") if number == 1 else (f"{number:,} rows are", "them")
    shortest = f"{math.sqrt(epsilon):g}".replace("e-0", "e-")
    return (
        f"{rows} shorter than {shortest} and did not become unit; `epsilon=0` makes {pronoun} unit"
    )


def _describe_all(arrays: list[ArrayReport], most: int = 6) -> str:
    """Return what became of the arrays: of many, the first few and what was found in the rest."""
    if len(arrays) <= most:
        return "; ".join(map(_describe, arrays))
    first, rest = arrays[: most // 2], arrays[most // 2 :]
    counts = str(sum((array.counts for array in rest), Counts()))
    more = f"and {len(rest):,} more arrays" + (f" ({counts})" if counts else "")
    return "; ".join([*map(_describe, first), more])


def _describe(array: ArrayReport) -> str:
    name = f"{array.name} " if array.name else ""
    dtype = array.dtype
    if array.output_dtype != dtype:
        dtype = f"{dtype} → {array.output_dtype}"
    shape = shape_text(array.source_shape)
    if array.source_shape != array.shape:
        shape = f"{shape} → {shape_text(array.shape[-1:])}"
    counts = str(array.counts)
    return f"{name}{shape} {dtype}" + (f" ({counts})" if counts else "")
