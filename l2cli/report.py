"""What was done: counts, in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

Shape = tuple[int | None, ...]


@dataclass
class Counts:
    """The rows of one array, by what was found in them. Each row has one norm."""

    num_rows: int = 0
    zero: int = 0
    nonfinite: int = 0
    floored: int = 0
    null: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            *(getattr(self, name) + getattr(other, name) for name in Counts.__dataclass_fields__)
        )

    def multiply_since(self, before: Counts, factor: int) -> None:
        """Count what was added since ``before`` so many times."""
        for name in Counts.__dataclass_fields__:
            old = getattr(before, name)
            setattr(self, name, old + factor * (getattr(self, name) - old))

    def __str__(self) -> str:
        found = {
            "zero": self.zero,
            "non-finite": self.nonfinite,
            "under the epsilon floor": self.floored,
            "null": self.null,
        }
        return ", ".join(f"{count:,} {what}" for what, count in found.items() if count)


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

    Attributes
    ----------
    backend, device
        What computed; empty where nothing had to be computed, or on a dry run.
    seconds
        Wall time of the whole call.
    num_bytes
        Bytes of the arrays as they were read, once.
    already_unit
        ``copied`` or ``left`` as it was where every row was a unit row before and nothing had to
        be done; else empty.
    norms
        The file that holds the norms that the rows had, if one was asked for.
    verified
        Whether the destination was read back and checked.
    """

    source: str
    destination: str
    format: str
    arrays: list[ArrayReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    backend: str = ""
    device: str = ""
    num_bytes: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    already_unit: str = ""
    norms: str = ""
    verified: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it. On a dry run nothing is counted."""
        held = asdict(self)
        if self.dry_run:
            for array in held["arrays"]:
                array["counts"] = None
        return held

    def __str__(self) -> str:
        arrays = "; ".join(map(_describe, self.arrays))
        if self.dry_run:
            return f"{self.source} → {self.destination}: would normalize {arrays}"
        if self.already_unit:
            what = f"{arrays}, unit already, {self.already_unit} as it was"
            return f"{self.source} → {self.destination}: {what}"
        where = f" on {self.backend} ({self.device})" if self.backend else ""
        verified = "; verified" if self.verified else ""
        seconds = f"{self.seconds:.1f} s"
        return f"{self.source} → {self.destination}: {arrays}{verified}; {seconds}{where}"


def printable(text: str) -> str:
    """Return ``text`` with control characters spelt out: a file's names are not to be trusted."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def shape_text(shape: Shape) -> str:
    """Return a shape for people: ``10,000 × 50``; ``?`` where a length differs by row."""
    return " × ".join("?" if length is None else f"{length:,}" for length in shape) or "scalar"


def brief(names: list[str], most: int = 3) -> str:
    """Return names for people: the first few, ``most`` of them, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


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
