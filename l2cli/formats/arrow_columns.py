"""Which columns of a table in Arrow's terms may hold vectors, and as which arrays.

Shared by the formats whose tables pyarrow reads: Parquet and Arrow IPC.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from l2cli.arrays import ITEM_SIZES, ArraySpec
from l2cli.formats.arrow_hints import SCALAR

if TYPE_CHECKING:
    from collections.abc import Sequence

ArrowField = Any
ArrowSchema = Any
ArrowType = Any

NUMBERS: dict[ArrowType, str] = {
    pa.float16(): "float16",
    pa.float32(): "float32",
    pa.float64(): "float64",
    **{pa.type_for_alias(name): name for name in ITEM_SIZES if "int" in name},
}
"""The dtypes that a table can hold, by Arrow type."""
ARROW_TYPES = {name: arrow_type for arrow_type, name in NUMBERS.items()}
_MAX_ROW_BYTES = 2**30
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_NESTED = (*_LISTS, pa.types.is_struct, pa.types.is_map, pa.types.is_union)


@dataclass(frozen=True)
class Columns:
    """What stands behind one array: a list column, or several scalar columns side by side.

    Attributes
    ----------
    spec
        The array.
    fields
        The Arrow field of each column.
    tops
        The number of each among the top-level columns.
    """

    spec: ArraySpec
    fields: tuple[ArrowField, ...]
    tops: tuple[int, ...]

    @property
    def is_wide(self) -> bool:
        """Whether each component has its own column."""
        return not is_list(storage_type(self.fields[0].type))


AnyColumns = TypeVar("AnyColumns", bound=Columns)


def wide_members(columns: Sequence[AnyColumns], pattern: str) -> list[AnyColumns]:
    """Return the scalar float columns that match a glob and make one array together.

    None where fewer than two match, or where they are not of one dtype.
    """
    members = [each for each in columns if fnmatchcase(each.spec.name, pattern)]
    types = {each.fields[0].type for each in members}
    if len(members) < 2 or len(types) != 1 or not pa.types.is_floating(types.pop()):
        return []
    return members


def is_list(arrow_type: ArrowType) -> bool:
    """Tell whether a column of this type may hold vectors."""
    return any(is_kind(arrow_type) for is_kind in _LISTS)


def storage_type(arrow_type: ArrowType) -> ArrowType:
    """Return the type itself, or what an extension type (a fixed-shape tensor) is made of."""
    is_extension = isinstance(arrow_type, pa.BaseExtensionType)
    return arrow_type.storage_type if is_extension else arrow_type


def without_view(arrow_type: ArrowType) -> ArrowType:
    """Return the list type for a list view's, which holds the same rows; else the type itself."""
    if pa.types.is_list_view(arrow_type):
        return pa.list_(arrow_type.value_field)
    if pa.types.is_large_list_view(arrow_type):
        return pa.large_list(arrow_type.value_field)
    return arrow_type


def list_field(field: ArrowField) -> ArrowField:
    """Return the field :func:`without_view`."""
    return field.with_type(without_view(field.type))


def column_spec(
    field: ArrowField, num_rows: int | None, codec: str, refusal: str, num_values: int = 0
) -> ArraySpec:
    """Return one column as an array.

    Parameters
    ----------
    num_rows
        ``None`` where it isn't known yet.
    codec
        What it is compressed with, for people.
    refusal
        Why the container can't give it; :func:`column_refusal` knows what the type forbids.
    num_values
        Components of all rows together, as far as is known.
    """
    arrow_type = storage_type(field.type)
    kind = str(arrow_type)
    shape: tuple[int | None, ...] = (num_rows,)
    number = NUMBERS.get(arrow_type)
    if is_list(arrow_type):
        number = NUMBERS.get(arrow_type.value_type) or _bytes_name(arrow_type.value_type)
    dtype = number or _shortened(kind)
    if is_list(arrow_type) and number:
        kind = kind.partition("<")[0]
        shape = (*shape, *_row_shape(field.type))
        if (shape[-1] or 0) * ITEM_SIZES.get(dtype, 0) > _MAX_ROW_BYTES:
            refusal = f"a row of {shape[-1]} components is too large"
    layout = ", ".join(filter(None, (_shortened(kind), codec)))
    num_bytes = num_values * ITEM_SIZES.get(dtype, 0)
    return ArraySpec(field.name, shape, dtype, layout, refusal, approximate_bytes=num_bytes)


def column_refusal(field: ArrowField) -> str:
    """Return why a column of this type can't be normalized; empty where it can."""
    arrow_type = storage_type(field.type)
    if getattr(field.type, "extension_name", "") == "arrow.json":
        return "JSON text; lists that fastparquet wrote so must be written anew with pyarrow"
    if pa.types.is_floating(arrow_type):
        return SCALAR
    if pa.types.is_struct(arrow_type):
        return "nested columns are not supported"
    if not is_list(arrow_type):
        return "not a list of numbers"
    if _is_permuted(field.type):
        return "a tensor whose axes are permuted is not supported"
    value_type = arrow_type.value_type
    if any(is_kind(value_type) for is_kind in _NESTED):
        return "nested lists are not supported"
    if _bytes_name(value_type):
        return "its numbers are stored as plain bytes (an old Polars' float16?), write it anew"
    if value_type not in NUMBERS:
        return "not a list of numbers"
    return ""


def _row_shape(field_type: ArrowType) -> tuple[int | None, ...]:
    """Return the lengths that the type gives a row; any other list may have any length."""
    if isinstance(field_type, pa.FixedShapeTensorType):
        return tuple(field_type.shape)
    arrow_type = storage_type(field_type)
    return (arrow_type.list_size if pa.types.is_fixed_size_list(arrow_type) else None,)


def _is_permuted(field_type: ArrowType) -> bool:
    if not isinstance(field_type, pa.FixedShapeTensorType):
        return False
    return list(field_type.permutation or []) != sorted(field_type.permutation or [])


def _bytes_name(value_type: ArrowType) -> str:
    return str(value_type) if pa.types.is_fixed_size_binary(value_type) else ""


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
