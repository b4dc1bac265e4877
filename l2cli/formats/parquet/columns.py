"""Which arrays a Parquet file holds: its list columns, and scalar columns taken together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2cli.arrays import ArraySpec
from l2cli.formats import arrow_columns
from l2cli.formats.arrow_columns import (
    column_refusal,
    column_spec,
    list_field,
    storage_type,
    wide_members,
)
from l2cli.formats.arrow_hints import with_hints

if TYPE_CHECKING:
    from l2cli.formats.arrow_columns import ArrowField, ArrowSchema, ArrowType
    from l2cli.formats.parquet.footer import Footer


@dataclass(frozen=True)
class Columns(arrow_columns.Columns):
    """What stands behind one array in a Parquet file.

    Attributes
    ----------
    leaves
        The number of each column among the leaves of the schema.
    """

    leaves: tuple[int, ...]


def single_columns(footer: Footer, schema: ArrowSchema) -> list[Columns]:
    """Return every top-level column of the file as an array, in order."""
    times = Counter(field.name for field in schema)
    found = []
    for top, field in enumerate(map(list_field, schema)):
        leaves = tuple(footer.leaves_of.get(top, ()))
        spec = _spec(footer, field, leaves, is_unique=times[field.name] == 1)
        found.append(Columns(spec, (field,), (top,), leaves))
    return with_hints(found)


def wide_columns(footer: Footer, columns: list[Columns], pattern: str) -> Columns | None:
    """Return the scalar float columns that match a glob as one array.

    ``None`` where fewer than two match, or where they are not of one dtype.
    """
    members = wide_members(columns, pattern)
    if not members:
        return None
    codec = _codec(footer, members[0].leaves[0])
    layout = ", ".join(filter(None, (f"{len(members)} columns", codec)))
    shape = (footer.num_rows, len(members))
    return Columns(
        ArraySpec(pattern, shape, members[0].spec.dtype, layout),
        fields=tuple(each.fields[0] for each in members),
        tops=tuple(each.tops[0] for each in members),
        leaves=tuple(each.leaves[0] for each in members),
    )


def _spec(
    footer: Footer, field: ArrowField, leaves: tuple[int, ...], *, is_unique: bool
) -> ArraySpec:
    refusal = column_refusal(field) or _layout_refusal(footer, field, leaves)
    if not is_unique:
        refusal = "two columns have this name"
    codec = _codec(footer, leaves[0]) if leaves else ""
    num_values = sum(chunk.num_values for chunk in footer.chunks_of[leaves[0]]) if leaves else 0
    return column_spec(field, footer.num_rows, codec, refusal, num_values)


def _layout_refusal(footer: Footer, field: ArrowField, leaves: tuple[int, ...]) -> str:
    """Return why a list of numbers can't be normalized as it lies in this file."""
    if _levels(field, storage_type(field.type)) != footer.leaves[leaves[0]].levels:
        return "its nesting in the file isn't the usual one of a list"
    if any(chunk.codec is None for chunk in footer.chunks_of[leaves[0]]):
        return "its compression codec is not supported"
    return ""


def _levels(field: ArrowField, arrow_type: ArrowType) -> tuple[int, int]:
    """Return the levels with which pyarrow would write such a list."""
    return int(field.nullable) + 1 + int(arrow_type.value_field.nullable), 1


def _codec(footer: Footer, leaf: int) -> str:
    chunks = footer.chunks_of[leaf]
    return chunks[0].codec or "unknown codec" if chunks else ""
