"""Which columns of a table in Arrow's terms may hold vectors, and as which arrays.

Shared by the formats whose tables pyarrow reads: Parquet and Arrow IPC. The columns inside a
struct are arrays of their own, called by the way to them: ``emb.values``.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from l2cli.arrays import ITEM_SIZES, ArraySpec
from l2cli.formats.tabular.hints import with_hints
from l2cli.formats.tabular.types import (
    NUMBERS,
    bytes_name,
    column_refusal,
    holds_float_lists,
    is_list,
    storage_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.formats.tabular.types import ArrowField, ArrowSchema, ArrowType

_MAX_ROW_BYTES = 2**30


@dataclass(frozen=True)
class Place:
    """Where a column is in a table.

    Attributes
    ----------
    top : int
        The number of the top-level column.
    path : tuple of int
        The number of the child to take at each struct on the way; empty for the column itself.
    fields : tuple of ArrowField
        The Arrow fields on the way, the column's own last.
    """

    top: int
    path: tuple[int, ...]
    fields: tuple[ArrowField, ...]

    @property
    def field(self) -> ArrowField:
        """The Arrow field of the column."""
        return self.fields[-1]

    @property
    def name(self) -> str:
        """The name of the array."""
        return ".".join(field.name for field in self.fields)

    @property
    def refusal(self) -> str:
        """Why a column of its type can't be normalized; empty where it can."""
        return column_refusal(self.field.type, is_inside=bool(self.path))


@dataclass(frozen=True)
class Columns:
    """What stands behind one array: a list column, or several scalar columns side by side.

    Attributes
    ----------
    spec : ArraySpec
        The array.
    places : tuple of Place
        Where each column is.
    """

    spec: ArraySpec
    places: tuple[Place, ...]

    @property
    def is_wide(self) -> bool:
        """Whether each component has its own column."""
        return not is_list(storage_type(self.places[0].field.type))


AnyColumns = TypeVar("AnyColumns", bound=Columns)


def places_of(schema: ArrowSchema) -> list[Place]:
    """Return all columns of a table, in order; of a struct those inside, however deep.

    A struct is taken whole where a column inside would be called like one at the top.
    """
    places, names = [], set(schema.names)
    for top, field in enumerate(schema):
        whole = Place(top, (), (field,))
        inside = list(_places_inside(whole))
        is_clear = all(not place.path or place.name not in names for place in inside)
        places += inside if is_clear else [whole]
    return places


def name_refusals(places: Sequence[Place]) -> list[str]:
    """Return why each column can't be told from others by its name; empty where it can."""
    times = Counter(place.name for place in places)
    return ["two columns have this name" if times[place.name] > 1 else "" for place in places]


def columns_of(schema: ArrowSchema, num_rows: int | None, codec: str) -> list[Columns]:
    """Return every column of a table as an array, in order."""
    places = places_of(schema)
    refusals = name_refusals(places)
    return with_hints(
        [
            Columns(column_spec(place, num_rows, codec, refusal), (place,))
            for place, refusal in zip(places, refusals, strict=True)
        ]
    )


def wide_members(columns: Sequence[AnyColumns], pattern: str) -> list[AnyColumns]:
    """Return the scalar float columns that match a glob and make one array together.

    None where fewer than two match, or where they are not of one dtype.
    """
    members = [
        member
        for member in columns
        if fnmatchcase(member.spec.name, pattern) and not member.places[0].path
    ]
    types = {member.places[0].field.type for member in members}
    if len(members) < 2 or len(types) != 1 or not pa.types.is_floating(types.pop()):
        return []
    return members


def column_spec(
    place: Place, num_rows: int | None, codec: str, refusal: str = "", num_values: int = 0
) -> ArraySpec:
    """Return one column as an array.

    Parameters
    ----------
    num_rows : int or None
        ``None`` where it isn't known yet.
    codec : str
        What it is compressed with, for people.
    refusal : str
        Why the container can't give it; what the type forbids comes to that.
    num_values : int
        Components of all rows together, as far as is known.
    """
    field_type = place.field.type
    refusal = refusal or place.refusal
    dtype, layout, lengths = _row_type(field_type)
    item_bytes = ITEM_SIZES.get(dtype, 0)
    row_bytes = math.prod(length or 1 for length in lengths) * item_bytes
    if row_bytes > _MAX_ROW_BYTES:
        refusal = refusal or f"a row of {row_bytes:,} bytes is too large"
    return ArraySpec(
        place.name,
        (num_rows, *lengths),
        dtype,
        layout=", ".join(filter(None, (_shortened(layout), codec))),
        refusal=refusal,
        may_be_vectors=bool(refusal) and holds_float_lists(field_type),
        approximate_bytes=num_values * item_bytes,
    )


def _places_inside(place: Place) -> Iterator[Place]:
    arrow_type = place.field.type
    if not pa.types.is_struct(arrow_type) or not arrow_type.num_fields:
        yield place
        return
    for number, field in enumerate(arrow_type):
        yield from _places_inside(Place(place.top, (*place.path, number), (*place.fields, field)))


def _row_type(field_type: ArrowType) -> tuple[str, str, tuple[int | None, ...]]:
    """Return the dtype of the components, the type of the lists, and the lengths of a row.

    A length is ``None`` where each row has its own.
    """
    arrow_type = storage_type(field_type)
    whole = str(arrow_type)
    names: list[str] = []
    lengths: list[int | None] = []
    while is_list(arrow_type):
        names.append(str(arrow_type).partition("<")[0])
        is_fixed = pa.types.is_fixed_size_list(arrow_type)
        lengths.append(arrow_type.list_size if is_fixed else None)
        arrow_type = arrow_type.value_type
    dtype = NUMBERS.get(arrow_type) or bytes_name(arrow_type)
    if not names or not dtype:
        return dtype or _shortened(whole), whole, ()
    if isinstance(field_type, pa.FixedShapeTensorType):
        lengths = list(field_type.shape)
    return dtype, " of ".join(names), tuple(lengths)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
