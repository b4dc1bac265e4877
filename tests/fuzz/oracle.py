"""Whether a result is right: every row the true quotient, and everything else as it was."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from tests.fuzz.raw import Rows, Unreadable
from tests.support.reference import worst_ulp

if TYPE_CHECKING:
    from l2cli.report import Report
    from tests.fuzz.raw import Array, Parts

_BOUNDS = {8: (4.0, 2.0**-110), 4: (0.501, 2.0**-70), 2: (0.501, 2.0**-70)}
"""By bytes of a component: the most units in the last place, and what doesn't count."""


def problem(before: Parts, after: Parts, report: Report, nonfinite: str) -> str:
    """Return what is wrong with a file that is to be like another; empty if nothing is."""
    names = [array.name for array in report.arrays]
    before, after = _joined(before, names), _joined(after, names)
    taken = {name for name in before if _is_taken(name, names)}
    if list(before) != list(after):
        return f"holds {_names(after)}, expected {_names(before)}"
    if not taken:
        return f"{_names(dict.fromkeys(names))} is not what the library finds"
    for name, part in before.items():
        actual = after[name]
        if name in taken and isinstance(part, Unreadable):
            return f"'{name}' was normalized, and its library can't read it"
        if name in taken and not isinstance(part, np.ndarray):
            wrong = rows_problem(part, actual, nonfinite)
        else:
            wrong = "" if _same(part, actual) or _may_differ(name, report) else "was changed"
        if wrong:
            return f"'{name}' {wrong}"
    return ""


def conversion_problem(before: Parts, after: Parts, report: Report, nonfinite: str) -> str:
    """Return what is wrong with the rows of a file of another format."""
    for array in report.arrays:
        if any(character in array.name for character in "*?["):
            continue  # Columns become one array here, and not there.
        old = _named(before, array.name)
        new = _named(after, array.name)
        if len(array.shape) == 1 and isinstance(new, Rows) and len(new.rows) > 1:
            new = Rows([_stacked(new).reshape(-1)], new.dtype)
        if old is None or new is None:
            return f"'{array.name}' is not in both: {_names(before)} became {_names(after)}"
        if wrong := rows_problem(old, new, nonfinite):
            return f"'{array.name}' {wrong}"
    return ""


def rows_problem(before: Any, after: Any, nonfinite: str) -> str:
    """Return what is wrong with the rows of an array; empty if nothing is."""
    if not isinstance(before, Rows) or not isinstance(after, Rows):
        return f"is {type(before).__name__} before and {type(after).__name__} after, not rows"
    if len(before.rows) != len(after.rows):
        return f"has {len(after.rows)} rows, expected {len(before.rows)}"
    for number, (row, actual) in enumerate(zip(before.rows, after.rows, strict=True)):
        wrong = _row_problem(row, actual, nonfinite)
        if wrong:
            return f"row {number} {wrong}: {row} became {actual}"
    return ""


def _row_problem(row: Array | None, actual: Array | None, nonfinite: str) -> str:
    if row is None or actual is None:
        return "" if row is actual else "is null on one side"
    if row.shape != actual.shape:
        return f"has shape {actual.shape}, expected {row.shape}"
    if not np.isfinite(row.astype(float)).all():
        expected = {"keep": row, "zero": np.zeros_like(actual)}.get(nonfinite)
        kept = expected is not None and _same(expected.astype(actual.dtype), actual)
        return "" if kept else f"is not finite, and should be an error or under '{nonfinite}'"
    if not np.isfinite(actual.astype(float)).all():
        return "is not finite now"
    bound, negligible = _BOUNDS[actual.dtype.itemsize]
    with np.errstate(all="ignore"):
        error = worst_ulp(actual[None], row[None], negligible=negligible) if row.size else 0.0
    return "" if error <= bound else f"is off by {error} units in the last place"


def _named(parts: Parts, name: str) -> Any:
    """Return the array called ``name``; if none is, the only one, or the usual name's."""
    actual = [part for key, part in parts.items() if _is_taken(key, [name])]
    rows = [part for part in parts.values() if isinstance(part, Rows)]
    return actual[0] if actual else next(iter(rows), None)


def _joined(parts: Parts, names: list[str]) -> Parts:
    """Put the columns that are one array together, as a glob names them."""
    for glob in names:
        columns = {
            name: part
            for name, part in parts.items()
            if "*" in glob and isinstance(part, Rows) and fnmatchcase(name, glob)
        }
        if columns:
            rows = np.concatenate([_stacked(part) for part in columns.values()], axis=1)
            others = {name: part for name, part in parts.items() if name not in columns}
            parts = {**others, glob: Rows.of(rows)}
    return parts


def _stacked(part: Rows) -> Array:
    """Return rows of which none is null as one array."""
    return np.stack([row for row in part.rows if row is not None])


def _is_taken(name: str, names: list[str]) -> bool:
    """Whether a part is one of the arrays that were normalized, whatever spelling it has."""
    bare = name.lstrip("/")
    return not re.search(r"\(\w+\)$", name) and any(
        bare == entry.lstrip("/") or (entry and fnmatchcase(bare, entry)) for entry in names
    )


def _may_differ(name: str, report: Report) -> bool:
    """Whether another dtype was asked for, which a layout and a schema say as well."""
    changed = any(array.dtype != array.output_dtype for array in report.arrays)
    return changed and name.endswith(("(layout)", "(schema)"))


def _same(before: Any, after: Any) -> bool:
    if type(before) is not type(after):
        return False
    if isinstance(before, Rows):
        return before.dtype == after.dtype and _same(before.rows, after.rows)
    if isinstance(before, (list, tuple)):
        same_length = len(before) == len(after)
        return same_length and all(map(_same, before, after))
    if isinstance(before, np.ndarray):
        return _same_array(before, after)
    if hasattr(before, "equals"):
        return bool(before.equals(after)) or str(before) == str(after)
    equal: Any = before == after
    return bool(equal) or (before != before and after != after)


def _same_array(before: Array, after: Array) -> bool:
    if (before.dtype, before.shape) != (after.dtype, after.shape):
        return False
    if before.dtype.kind == "f" or before.dtype == ml_dtypes.bfloat16:
        return bool(np.array_equal(before.astype(float), after.astype(float), equal_nan=True))
    if before.dtype.hasobject:
        return bool(before.size == 0 or (before == after).all())
    return before.tobytes() == after.tobytes()


def _names(parts: Any) -> str:
    return ", ".join(f"'{name}'" for name in parts)
