"""The hint which glob selects the scalar columns of a table as one array.

The columns of Parquet and Arrow IPC put it into the refusals of scalar
columns. Nothing here reads a table.
"""

from __future__ import annotations

import glob
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from l2cli.formats.tabular.columns import AnyColumns
    from l2cli.formats.tabular.types import ArrowType

SCALAR = "a scalar column"
"""Why one isn't taken alone."""


def with_hints(columns: Sequence[AnyColumns]) -> list[AnyColumns]:
    """Return the columns of a table, of which scalar ones say which glob takes them together."""
    groups: dict[tuple[str, ArrowType], list[AnyColumns]] = {}
    for column in columns:
        if column.spec.refusal == SCALAR:
            key = re.sub("[0-9]+", "0", column.spec.name), column.places[0].field.type
            groups.setdefault(key, []).append(column)
    hints = {}
    for members in groups.values():
        names = [column.spec.name for column in members]
        others = {column.spec.name for column in columns}.difference(names)
        if pattern := glob_for(names, others):
            hint = f"{SCALAR}; select several as one array with a glob, `select={pattern!r}`"
            hints.update(dict.fromkeys(names, hint))
    return [_with_hint(column, hints.get(column.spec.name, "")) for column in columns]


def glob_for(names: Sequence[str], others: Iterable[str]) -> str:
    """Return a glob for names that differ in their numbers alone; empty where there is none.

    Parameters
    ----------
    others : iterable of str
        Names that it must not match.
    """
    if len(names) < 2:
        return ""
    parts = [re.split("([0-9]+)", name) for name in names]
    for wildcard in ("*", "[0-9]*"):
        columns = [
            glob.escape(same[0]) if len(set(same)) == 1 else wildcard
            for same in zip(*parts, strict=True)
        ]
        pattern = "".join(columns)
        if pattern != "*" and not any(fnmatchcase(name, pattern) for name in others):
            return pattern
    return ""


def _with_hint(columns: AnyColumns, hint: str) -> AnyColumns:
    if not hint or columns.spec.refusal != SCALAR:
        return columns
    return replace(columns, spec=replace(columns.spec, refusal=hint))
