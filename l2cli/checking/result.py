"""What a check found: figures, in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from l2cli.text import shape_text, suffixes_text

if TYPE_CHECKING:
    from l2cli.checking.histogram import Picture


@dataclass(frozen=True)
class Offender:
    """A vector that is not unit.

    Attributes
    ----------
    position
        Its row number; of an array of higher rank, its indexes along the axes that it doesn't
        lie along.
    kind
        ``not unit``, ``zero``, ``non-finite``, ``null``, or ``turned`` where it is unit but
        points elsewhere than what it was made of.
    norm
        ``None`` where there is none.
    turn
        By which angle, in radians, where that is too much.
    """

    position: tuple[int, ...]
    kind: str
    norm: float | None = None
    turn: float | None = None

    def __str__(self) -> str:
        where = ", ".join(f"{index:,}" for index in self.position)
        place = {0: "0", 1: where}.get(len(self.position), f"[{where}]")
        what = self.kind if self.norm is None else f"norm {norm_text(self.norm)}"
        turned = "" if self.turn is None else f", turned by {self.turn:.3g}"
        return f"{place} ({what}{turned})"


@dataclass(frozen=True)
class Span:
    """The ends and the middle of some norms.

    Attributes
    ----------
    median
        Its logarithm is off by 0.1 % at most.
    farthest
        The largest ``abs(norm - 1)``.
    """

    smallest: float
    median: float
    largest: float
    farthest: float

    def __str__(self) -> str:
        smallest, median, largest = map(norm_text, (self.smallest, self.median, self.largest))
        return f"{smallest} smallest, {median} median, {largest} largest"


@dataclass(frozen=True)
class Figures:
    """What was found among some rows.

    Attributes
    ----------
    num_rows
        All rows but null rows.
    unit, zero, nonfinite, null
        How many there are of each kind.
    offending
        How many rows are not unit or were turned, those zero and null rows included that may not
        be there.
    norms
        Of the rows that are neither zero nor non-finite; ``None`` where there are none.
    picture
        The same norms as bars.
    before
        The norms of the rows that these were made of, where they were compared.
    largest_turn
        The largest angle between a row and what it was made of, in radians, if compared.
    zero_allowed
        Whether zero and null rows may be there.
    """

    num_rows: int
    unit: int
    zero: int
    nonfinite: int
    null: int
    offending: int
    norms: Span | None
    picture: Picture
    before: Span | None = None
    largest_turn: float | None = None
    zero_allowed: bool = True

    def __str__(self) -> str:
        without = {"zero": self.zero, "null": self.null}
        bad = {"non-finite": self.nonfinite} | ({} if self.zero_allowed else without)
        parts = [f"{self.unit:,} unit"]
        if self.offending:
            turned = "" if self.largest_turn is None else ", or turned"
            named = f" ({_counted(bad)})" if any(bad.values()) else ""
            parts.append(f"{self.offending:,} not unit{turned}{named}")
        if self.zero_allowed and any(without.values()):
            parts.append(_counted(without))
        return f"{self.num_rows + self.null:,} rows: {', '.join(parts)}"


@dataclass(frozen=True)
class ArrayCheck:
    """What was found in one array."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    tolerance: float
    figures: Figures
    offenders: list[Offender]

    @property
    def title(self) -> str:
        """Its name, shape and dtype."""
        name = f"{self.name} " if self.name else ""
        return f"{name}{shape_text(self.shape)} {self.dtype}"

    def __str__(self) -> str:
        lines, figures = [str(self.figures)], self.figures
        if figures.before is not None:
            lines.append(f"norms before: {figures.before}")
        if figures.norms is not None:
            farthest = f"|norm - 1| {figures.norms.farthest:.2g} at most"
            lines.append(f"norms: {figures.norms}; {farthest}, {self.tolerance:g} allowed")
        if figures.largest_turn is not None:
            lines.append(
                f"directions: turned by {figures.largest_turn:.2g} rad at most, "
                f"{self.tolerance:g} allowed"
            )
        if self.offenders:
            rows = "rows" if figures.offending > 1 else "row"
            more = figures.offending - len(self.offenders)
            named = ", ".join(map(str, self.offenders)) + (f" and {more:,} more" if more else "")
            lines.append(f"not unit: {rows} {named}")
        return "\n".join(lines)


@dataclass
class FileCheck:
    """What was found in one file or stream.

    Attributes
    ----------
    named
        Whether the user named it, rather than the folder it is in.
    before
        What its rows were compared with, if with anything.
    error
        Why it could not be read: one line that names it.
    """

    source: str
    named: bool = True
    format: str = ""
    arrays: list[ArrayCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    before: str = ""
    error: str = ""


@dataclass
class CheckReport:
    """What was found in all sources.

    Attributes
    ----------
    figures
        Of all arrays together.
    unread
        How many files of folders were not read and may hold vectors, by suffix.
    unfinished
        Which folders are not what a whole store became, and why.
    """

    zero_rows: str
    files: list[FileCheck]
    figures: Figures
    notes: list[str]
    seconds: float
    unread: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    @property
    def is_unit(self) -> bool:
        """Whether every row of every file is a unit row, or allowed not to be."""
        return not (self.figures.offending or self._unread_text())

    @property
    def num_failed(self) -> int:
        """How many files could not be read."""
        return sum(bool(file.error) for file in self.files)

    @property
    def num_arrays(self) -> int:
        """How many arrays were checked."""
        return sum(len(file.arrays) for file in self.files)

    @property
    def verdict(self) -> str:
        """The answer, in one line."""
        figures = self.figures
        rows = figures.num_rows + figures.null
        where = f" in {self.num_arrays:,} arrays" if self.num_arrays > 1 else ""
        is_compared = figures.largest_turn is not None
        unread = self._unread_text()
        if figures.offending:
            are = "is" if figures.offending == 1 else "are"
            turned = ", or turned" if is_compared else ""
            also = f"; {unread}" if unread else ""
            return f"no: {figures.offending:,} of {rows:,} rows{where} {are} not unit{turned}{also}"
        if unread:
            read = f"all {rows:,} rows that were read are unit, but " if rows else ""
            return f"unknown: {read}{unread}"
        if not rows:
            return "yes: there are no rows"
        exempt = {"zero": figures.zero, "null": figures.null}
        allowed = " and ".join(f"{n:,} {kind}" for kind, n in exempt.items() if n)
        but = f", but for {allowed} rows (--zero-rows allow)" if allowed else ""
        lengths = "; only lengths changed" if is_compared else ""
        return f"yes: all {rows:,} rows{where} are unit{but}{lengths}"

    @property
    def exit_code(self) -> int:
        """3 where a file could not be read, else 1 where a row is not unit.

        Else 3 where a file was not read that may hold vectors, or a store is not finished; else 0.
        """
        if self.num_failed:
            return 3
        return 1 if self.figures.offending else 3 if self._unread_text() else 0

    def _unread_text(self) -> str:
        failed = f"{self.num_failed:,} of {len(self.files):,} files could not be read"
        count = sum(self.unread.values())
        files = "1 file that was" if count == 1 else f"{count:,} files that were"
        may = f"{files} not read may hold vectors: {suffixes_text(self.unread)}"
        told = [failed] * bool(self.num_failed) + [may] * bool(count) + self.unfinished
        return " and ".join(told)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {"is_unit": self.is_unit, **asdict(self)}


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)


def norm_text(norm: float) -> str:
    """Return a norm for people: 4 digits, and 10 where it is about 1."""
    return f"{norm:.10g}" if abs(norm - 1) < 0.01 else f"{norm:.4g}"
