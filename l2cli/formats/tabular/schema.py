"""An Arrow schema for columns that get another dtype or length.

Three parts of it name them: the field itself, and what pandas and Hugging Face put into the
metadata. Only the dtypes and lengths change; names, nullability and all other metadata stay. The
writers of ``arrow`` and ``parquet`` use it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

import pyarrow as pa

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import DestinationError
from l2cli.formats.tabular.columns import AnyColumns
from l2cli.formats.tabular.types import ARROW_TYPES, is_list, list_depth, list_type

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec
    from l2cli.formats.tabular.columns import Place
    from l2cli.formats.tabular.types import ArrowField, ArrowSchema, ArrowType


@dataclass(frozen=True)
class Change(Generic[AnyColumns]):
    """What becomes of an array: its new dtype, and how long its rows are if they are cut."""

    columns: AnyColumns
    dtype: str
    length: int | None

    @property
    def is_none(self) -> bool:
        """Whether the schema stays as it is."""
        return self.dtype == self.columns.spec.dtype and self.length is None


def change_to(columns: AnyColumns, output: ArraySpec, format_name: str) -> Change[AnyColumns]:
    """Check that a table can hold what an array is to become."""
    if output.dtype not in ARROW_TYPES:
        raise DestinationError(
            f"{format_name} can't hold {output.dtype}; use `dtype='float16'` or `dtype='float32'`"
        )
    length = output.shape[-1] if output.shape[-1] != columns.spec.shape[-1] else None
    if length is not None and columns.is_wide:
        raise DestinationError(
            f"'{columns.spec.name}' has a column for each component; "
            "it can't be cut, leave out `truncate_dim`"
        )
    if length is not None and len(output.shape) > 2:
        raise DestinationError(
            f"'{columns.spec.name}' holds several vectors a row, which can't be cut; "
            "leave out `truncate_dim`"
        )
    if length is not None and _is_sparse(columns.places[0]):
        raise DestinationError(
            f"'{columns.spec.name}' holds the values of sparse vectors, whose first ones are "
            "anywhere in them; leave out `truncate_dim`"
        )
    return Change(columns, output.dtype, length)


def _is_sparse(place: Place) -> bool:
    """Whether indices stand beside a list inside a struct."""
    structs = place.fields[:-1]
    return bool(structs) and "indices" in [field.name for field in structs[-1].type]


def changed_schema(schema: ArrowSchema, change: Change[Any]) -> ArrowSchema:
    """Return the schema with the fields, and the metadata that speak of them, changed."""
    for place in change.columns.places:
        field = _changed_field(schema.field(place.top), place.path, change)
        schema = schema.set(place.top, field)
    if schema.metadata:
        schema = schema.with_metadata(changed_words(schema.metadata, change))
    return schema


def changed_words(metadata: dict[bytes, bytes], change: Change[Any]) -> dict[bytes, bytes]:
    """Return the metadata with the dtype and length that pandas and Hugging Face name changed."""
    changed = dict(metadata)
    for key, change_words in ((b"pandas", _change_pandas), (b"huggingface", _change_hugging_face)):
        try:
            words = json.loads(metadata.get(key, b"null"))
            for place in change.columns.places:
                change_words(words, place, change)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # not as these libraries write it, so nothing that we understand
        if words != json.loads(metadata.get(key, b"null")):
            changed[key] = json.dumps(words).encode()
    return changed


def _changed_field(field: ArrowField, path: tuple[int, ...], change: Change[Any]) -> ArrowField:
    if path:
        children = list(field.type)
        children[path[0]] = _changed_field(children[path[0]], path[1:], change)
        return field.with_type(pa.struct(children))
    is_extension = isinstance(field.type, pa.BaseExtensionType)
    if is_extension or b"ARROW:extension:name" in (field.metadata or {}):
        raise DestinationError(
            f"column '{field.name}' has the extension type {field.type}, whose dtype and length "
            "can't be changed; leave out `dtype` and `truncate_dim`"
        )
    return field.with_type(_changed_type(field.type, change))


def _changed_type(source: ArrowType, change: Change[Any]) -> ArrowType:
    if not is_list(source):
        return ARROW_TYPES[change.dtype]
    value_type = _changed_type(source.value_type, change)
    length = change.length if list_depth(source) == 1 else None
    return list_type(source, source.value_field.with_type(value_type), length)


def _change_pandas(words: Any, place: Place, change: Change[Any]) -> None:
    if place.path:
        return  # of a struct, pandas says that it is an object
    old, new, depth = change.columns.spec.dtype, change.dtype, list_depth(place.field.type)
    renamed = {
        **dict.fromkeys(FLOAT_DTYPES, new),  # fastparquet stores float16 as float32
        old: new,
        f"{'list[' * depth}{old}{']' * depth}": f"{'list[' * depth}{new}{']' * depth}",
        f"{place.field.type}[pyarrow]": f"{_changed_type(place.field.type, change)}[pyarrow]",
    }
    for column in words["columns"] if words else []:
        if column.get("field_name", column["name"]) == place.name:
            for key in ("pandas_type", "numpy_type"):
                column[key] = renamed.get(column[key], column[key])


def _change_hugging_face(words: Any, place: Place, change: Change[Any]) -> None:
    feature = words["info"]["features"] if words else {}
    for field in place.fields if words else ():
        feature = feature[field.name]
    if isinstance(feature, dict) and feature.get("length", -1) >= 0 and change.length:
        feature["length"] = change.length
    while isinstance(feature, list) or "feature" in feature:
        feature = feature[0] if isinstance(feature, list) else feature["feature"]
    if feature.get("dtype") == change.columns.spec.dtype:
        feature["dtype"] = change.dtype
