"""Arrow's types: which are lists of numbers, and why others can't be normalized.

``columns`` describes arrays with it, and windows ask it for the layout of a type. Nothing here
looks at values.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from l2cli.arrays import ITEM_SIZES
from l2cli.formats.tabular.hints import SCALAR

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
_VIEWS = (pa.types.is_list_view, pa.types.is_large_list_view)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, *_VIEWS)
_MAKERS = (
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)
_MOST_NESTED = 2
_NO_LIST = "not a list of numbers"


def is_view(arrow_type: ArrowType) -> bool:
    """Tell whether it is a type of list views, small or large."""
    return any(is_of(arrow_type) for is_of in _VIEWS)


def is_large(arrow_type: ArrowType) -> bool:
    """Tell whether it is a type of lists whose offsets are of 64 bits."""
    return any(is_of(arrow_type) for is_of in (pa.types.is_large_list, pa.types.is_large_list_view))


def is_list(arrow_type: ArrowType) -> bool:
    """Tell whether a column of this type may hold vectors."""
    return any(is_of(arrow_type) for is_of in _LISTS)


def storage_type(arrow_type: ArrowType) -> ArrowType:
    """Return the type itself, or what an extension type (a fixed-shape tensor) is made of."""
    is_extension = isinstance(arrow_type, pa.BaseExtensionType)
    return arrow_type.storage_type if is_extension else arrow_type


def list_depth(arrow_type: ArrowType) -> int:
    """Return how many lists are in each other: 1 for a list of numbers."""
    depth = 0
    while is_list(arrow_type):
        depth, arrow_type = depth + 1, arrow_type.value_type
    return depth


def num_leaves(arrow_type: ArrowType) -> int:
    """Return how many columns without columns inside a type is made of."""
    arrow_type = storage_type(arrow_type)
    if pa.types.is_dictionary(arrow_type):
        return 1
    return sum(map(num_leaves, _inside(arrow_type))) or 1


def list_type(source: ArrowType, field: ArrowField, length: int | None = None) -> ArrowType:
    """Return the type of lists of the same kind as ``source`` with elements of ``field``.

    Parameters
    ----------
    length : int or None
        Of each where they are of a fixed size, if that is another than before.
    """
    if pa.types.is_fixed_size_list(source):
        return pa.list_(field, length or source.list_size)
    for is_of, make in _MAKERS:
        if is_of(source):
            return make(field)
    return pa.list_(field)


def bytes_name(value_type: ArrowType) -> str:
    """Return the name of a type of two plain bytes, which old writers use for float16."""
    is_bytes = pa.types.is_fixed_size_binary(value_type) and value_type.byte_width == 2
    return str(value_type) if is_bytes else ""


def column_refusal(field_type: ArrowType, *, is_inside: bool = False) -> str:
    """Return why a column of this type can't be normalized; empty where it can.

    Parameters
    ----------
    is_inside : bool
        Whether it is inside a struct, where scalar columns make no array.
    """
    arrow_type = storage_type(field_type)
    if getattr(field_type, "extension_name", "") == "arrow.json":
        return "JSON text; lists that fastparquet wrote so must be written anew with pyarrow"
    if pa.types.is_floating(arrow_type) and not is_inside:
        return SCALAR
    if refusal := _encoding_refusal(arrow_type):
        return refusal
    if not is_list(arrow_type):
        return "lists inside it are not supported" if holds_float_lists(arrow_type) else _NO_LIST
    if _is_permuted(field_type):
        return "a tensor whose axes are permuted is not supported"
    return _list_refusal(arrow_type)


def holds_float_lists(arrow_type: ArrowType) -> bool:
    """Tell whether lists of what may be floats are somewhere in a type, in any encoding."""
    arrow_type = storage_type(arrow_type)
    if is_list(arrow_type) and _may_be_float(arrow_type.value_type):
        return True
    return any(holds_float_lists(inner) for inner in _inside(arrow_type))


def _list_refusal(arrow_type: ArrowType) -> str:
    depth, value_type = list_depth(arrow_type), arrow_type
    while is_list(value_type):
        value_type = value_type.value_type
    if bytes_name(value_type):
        return "its numbers are stored as plain bytes (an old Polars' float16?), write it anew"
    if holds_float_lists(value_type):
        return f"lists inside a list of {value_type} are not supported"
    is_known = value_type in NUMBERS
    if pa.types.is_decimal(value_type) or (_may_be_float(value_type) and not is_known):
        return f"a list of {value_type} is not supported; make it a list of floats first"
    if not is_known:
        return _NO_LIST
    if depth > _MOST_NESTED:
        return f"lists nested {depth} deep are not supported; {_MOST_NESTED} are"
    return ""


def _encoding_refusal(arrow_type: ArrowType) -> str:
    """Return why lists that are encoded as a whole can't be normalized; empty for any other."""
    for is_of, name, function in (
        (pa.types.is_dictionary, "dictionary-encoded", "Array.dictionary_decode"),
        (pa.types.is_run_end_encoded, "run-end-encoded", "compute.run_end_decode"),
    ):
        if is_of(arrow_type) and holds_float_lists(arrow_type):
            return f"{name} lists are not supported; decode them first, with pyarrow.{function}"
    return ""


def _may_be_float(value_type: ArrowType) -> bool:
    """Whether the elements of a list may be floats: plain, encoded, or as bytes."""
    value_type = storage_type(value_type)
    if pa.types.is_dictionary(value_type) or pa.types.is_run_end_encoded(value_type):
        return _may_be_float(value_type.value_type)
    return pa.types.is_floating(value_type) or bool(bytes_name(value_type))


def _inside(arrow_type: ArrowType) -> list[ArrowType]:
    """Return the types that a type is made of."""
    if is_list(arrow_type) or pa.types.is_dictionary(arrow_type):
        return [arrow_type.value_type]
    if pa.types.is_run_end_encoded(arrow_type):
        return [arrow_type.value_type]
    if pa.types.is_map(arrow_type):
        return [arrow_type.key_type, arrow_type.item_type]
    if pa.types.is_struct(arrow_type) or pa.types.is_union(arrow_type):
        return [arrow_type.field(number).type for number in range(arrow_type.num_fields)]
    return []


def _is_permuted(field_type: ArrowType) -> bool:
    if not isinstance(field_type, pa.FixedShapeTensorType):
        return False
    return list(field_type.permutation or []) != sorted(field_type.permutation or [])
