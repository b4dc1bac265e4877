"""The result of a check: counts and ranges of norms, in words and as JSON.

:mod:`l2cli.checking` makes these objects; the command prints them and a program reads them. They
hold numbers and text only, so that a child process can send them to its parent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from l2cli.text import shape_text, suffixes_text

if TYPE_CHECKING:
    from l2cli.checking.bars import Bars


@dataclass(frozen=True)
class NonUnitRow:
    """A vector that is not unit.

    Attributes
    ----------
    position : tuple of int
        Its row number; of an array of higher rank, its indexes along the axes that it doesn't
        lie along.
    category : str
        ``not unit``, ``zero``, ``non-finite``, ``null``, or ``turned`` where it is unit but
        points elsewhere than what it was made of.
    norm : float or None
        ``None`` where there is none.
    angle : float or None
        Between it and what it was made of, in radians, where that is too much.
    """

    position: tuple[int, ...]
    category: str
    norm: float | None = None
    angle: float | None = None

    def __str__(self) -> str:
        where = ", ".join(f"{index:,}" for index in self.position)
        position = {0: "0", 1: where}.get(len(self.position), f"[{where}]")
        what = self.category if self.norm is None else f"norm {norm_text(self.norm)}"
        rotation = "" if self.angle is None else f", turned by {self.angle:.3g}"
        return f"{position} ({what}{rotation})"


@dataclass(frozen=True)
class NormRange:
    """The ends and the middle of some norms.

    Attributes
    ----------
    median : float
        Its logarithm is off by 0.1 % at most.
    farthest : float
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
class NormSummary:
    """Counts of some rows, and the range of their norms.

    Attributes
    ----------
    num_rows : int
        All rows but null rows.
    unit, zero, nonfinite, null : int
        How many there are of each category.
    non_unit : int
        How many rows are not unit or were turned, with the zero and null rows that are forbidden.
    norms : NormRange or None
        Of the rows that are neither zero nor non-finite; ``None`` where there are none.
    bars : Bars
        The same norms as bars.
    before : NormRange or None
        The norms of the rows that these were made of, where they were compared.
    largest_angle : float or None
        The largest angle between a row and what it was made of, in radians, if compared.
    zero_allowed : bool
        Whether zero and null rows may be there.
    """

    num_rows: int
    unit: int
    zero: int
    nonfinite: int
    null: int
    non_unit: int
    norms: NormRange | None
    bars: Bars
    before: NormRange | None = None
    largest_angle: float | None = None
    zero_allowed: bool = True

    def __str__(self) -> str:
        without = {"zero": self.zero, "null": self.null}
        bad = {"non-finite": self.nonfinite} | ({} if self.zero_allowed else without)
        parts = [f"{self.unit:,} unit"]
        if self.non_unit:
            rotations = "" if self.largest_angle is None else ", or turned"
            named = f" ({_counted(bad)})" if any(bad.values()) else ""
            parts.append(f"{self.non_unit:,} not unit{rotations}{named}")
        if self.zero_allowed and any(without.values()):
            parts.append(_counted(without))
        return f"{self.num_rows + self.null:,} rows: {', '.join(parts)}"


@dataclass(frozen=True)
class ArrayCheck:
    """The result of one array."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    tolerance: float
    summary: NormSummary
    non_unit_rows: list[NonUnitRow]

    @property
    def title(self) -> str:
        """Its name, shape and dtype."""
        name = f"{self.name} " if self.name else ""
        return f"{name}{shape_text(self.shape)} {self.dtype}"

    def __str__(self) -> str:
        lines, summary = [str(self.summary)], self.summary
        if summary.before is not None:
            lines.append(f"norms before: {summary.before}")
        if summary.norms is not None:
            farthest = f"|norm - 1| {summary.norms.farthest:.2g} at most"
            lines.append(f"norms: {summary.norms}; {farthest}, {self.tolerance:g} allowed")
        if summary.largest_angle is not None:
            lines.append(
                f"directions: turned by {summary.largest_angle:.2g} rad at most, "
                f"{self.tolerance:g} allowed"
            )
        if self.non_unit_rows:
            rows = "rows" if summary.non_unit > 1 else "row"
            more = summary.non_unit - len(self.non_unit_rows)
            named = ", ".join(map(str, self.non_unit_rows)) + (
                f" and {more:,} more" if more else ""
            )
            lines.append(f"not unit: {rows} {named}")
        return "\n".join(lines)


@dataclass
class FileCheck:
    """The result of one file or stream.

    Attributes
    ----------
    named : bool
        Whether the user named it, rather than the folder it is in.
    before : str
        What its rows were compared with, if with anything.
    error : str
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
    """The result of a check.

    Attributes
    ----------
    zero_rows : {'allow', 'forbid'}
        Whether there may be zero rows and null rows.
    files : list of FileCheck
        The result of each file, with each of its arrays.
    summary : NormSummary
        Of all arrays together.
    notes : list of str
        What the user should know but needn't act on.
    seconds : float
        Wall time of the whole call.
    unread : dict of str to int
        How many files of folders were not read and may hold vectors, by suffix.
    unfinished : list of str
        Which folders are not what a whole store became, and why.

    Examples
    --------
    >>> import l2cli
    >>> from pathlib import Path
    >>> l2cli.check([Path("unit.npy")]).is_unit  # doctest: +SKIP
    True
    """

    zero_rows: str
    files: list[FileCheck]
    summary: NormSummary
    notes: list[str]
    seconds: float
    unread: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    @property
    def is_unit(self) -> bool:
        """Whether every row of every file is a unit row, or allowed not to be."""
        return not (self.summary.non_unit or self._unread_text())

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
        summary = self.summary
        rows = summary.num_rows + summary.null
        where = f" in {self.num_arrays:,} arrays" if self.num_arrays > 1 else ""
        is_compared = summary.largest_angle is not None
        unread = self._unread_text()
        if summary.non_unit:
            are = "is" if summary.non_unit == 1 else "are"
            rotations = ", or turned" if is_compared else ""
            also = f"; {unread}" if unread else ""
            return (
                f"no: {summary.non_unit:,} of {rows:,} rows{where} {are} not unit{rotations}{also}"
            )
        if unread:
            read = f"all {rows:,} rows that were read are unit, but " if rows else ""
            return f"unknown: {read}{unread}"
        if not rows:
            return "yes: there are no rows"
        exempt = {"zero": summary.zero, "null": summary.null}
        allowed = " and ".join(f"{n:,} {category}" for category, n in exempt.items() if n)
        but = f", but for {allowed} rows, which are allowed" if allowed else ""
        lengths = "; only lengths changed" if is_compared else ""
        return f"yes: all {rows:,} rows{where} are unit{but}{lengths}"

    @property
    def exit_code(self) -> int:
        """3 where a file could not be read, else 1 where a row is not unit.

        Else 3 where a file was not read that may hold vectors, or a store is not finished; else 0.
        """
        if self.num_failed:
            return 3
        return 1 if self.summary.non_unit else 3 if self._unread_text() else 0

    def _unread_text(self) -> str:
        failed = f"{self.num_failed:,} of {len(self.files):,} files could not be read"
        count = sum(self.unread.values())
        files = "1 file that was" if count == 1 else f"{count:,} files that were"
        may = f"{files} not read may hold vectors: {suffixes_text(self.unread)}"
        texts = [failed] * bool(self.num_failed) + [may] * bool(count) + self.unfinished
        return " and ".join(texts)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {"is_unit": self.is_unit, **_renamed(asdict(self))}


_JSON_KEYS = {
    "summary": "figures",
    "bars": "picture",
    "not_unit": "other",
    "non_unit": "offending",
    "non_unit_rows": "offenders",
    "category": "kind",
    "angle": "turn",
    "largest_angle": "largest_turn",
}
"""What version 0.1 called some fields, and what the JSON still calls them."""


def _renamed(record: Any) -> Any:
    if isinstance(record, dict):
        return {_JSON_KEYS.get(key, key): _renamed(value) for key, value in record.items()}
    return [_renamed(part) for part in record] if isinstance(record, list) else record


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)


def norm_text(norm: float) -> str:
    """Return a norm for people: 4 digits, and 10 where it is about 1."""
    return f"{norm:.10g}" if abs(norm - 1) < 0.01 else f"{norm:.4g}"
