"""Which arrays a Parquet file holds: its list columns, and scalar columns taken together.

The reader asks for them, and the writer learns from them which leaves to replace. Nothing here
reads pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2cli.arrays import ArraySpec
from l2cli.formats.tabular import columns as arrow_columns
from l2cli.formats.tabular.columns import Place, column_spec, name_refusals, places_of, wide_members
from l2cli.formats.tabular.hints import with_hints
from l2cli.formats.tabular.types import is_list, num_leaves, storage_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.parquet.footer import Footer
    from l2cli.formats.tabular.types import ArrowSchema


@dataclass(frozen=True)
class Columns(arrow_columns.Columns):
    """The columns of a Parquet file that one array is made of.

    Attributes
    ----------
    leaves : tuple of int
        The number of each column among the leaves of the schema.
    """

    leaves: tuple[int, ...]

    @property
    def path_inside(self) -> tuple[int, ...]:
        """The path to the column in what pyarrow reads: its structs hold one field each then."""
        return (0,) * len(self.places[0].path)


def single_columns(footer: Footer, schema: ArrowSchema) -> list[Columns]:
    """Return every column of the file as an array, in order."""
    columns = []
    places = places_of(schema)
    leaves_of, refusals = _leaves_of(footer, places), name_refusals(places)
    for place, leaves, refusal in zip(places, leaves_of, refusals, strict=True):
        spec = _spec(footer, place, leaves, refusal)
        columns.append(Columns(spec, (place,), leaves))
    return with_hints(columns)


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
        places=tuple(member.places[0] for member in members),
        leaves=tuple(member.leaves[0] for member in members),
    )


def _leaves_of(footer: Footer, places: Sequence[Place]) -> list[tuple[int, ...]]:
    """Return the numbers of the leaves of each column."""
    columns, first = [], dict.fromkeys(footer.leaves_of, 0)
    for place in places:
        start = first.get(place.top, 0)
        first[place.top] = start + num_leaves(place.field.type)
        columns.append(tuple(footer.leaves_of.get(place.top, [])[start : first[place.top]]))
    if first != {top: len(leaves) for top, leaves in footer.leaves_of.items()}:
        raise ValueError("the Arrow schema in its metadata has other columns than the file")
    return columns


def _spec(footer: Footer, place: Place, leaves: tuple[int, ...], refusal: str) -> ArraySpec:
    refusal = refusal or place.refusal or _layout_refusal(footer, place, leaves)
    codec = _codec(footer, leaves[0]) if leaves else ""
    num_values = sum(chunk.num_values for chunk in footer.chunks_of[leaves[0]]) if leaves else 0
    return column_spec(place, footer.num_rows, codec, refusal, num_values)


def _layout_refusal(footer: Footer, place: Place, leaves: tuple[int, ...]) -> str:
    """Return why a list of numbers can't be normalized as it lies in this file."""
    if _levels(place) != footer.leaves[leaves[0]].levels:
        return "its nesting in the file isn't the usual one of a list"
    if any(chunk.codec is None for chunk in footer.chunks_of[leaves[0]]):
        return "its compression codec is not supported"
    return ""


def _levels(place: Place) -> tuple[int, int]:
    """Return the levels with which pyarrow would write such lists."""
    definition, repetition = sum(field.nullable for field in place.fields), 0
    arrow_type = storage_type(place.field.type)
    while is_list(arrow_type):
        definition += 1 + int(arrow_type.value_field.nullable)
        repetition, arrow_type = repetition + 1, arrow_type.value_type
    return definition, repetition


def _codec(footer: Footer, leaf: int) -> str:
    chunks = footer.chunks_of[leaf]
    return chunks[0].codec or "unknown codec" if chunks else ""
