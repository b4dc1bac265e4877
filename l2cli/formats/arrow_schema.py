"""An Arrow schema for columns that get another dtype or length.

Three places name them: the field itself, and what pandas and Hugging Face put into the
metadata. Only those words change: names, nullability and the rest of the metadata stay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

import pyarrow as pa

from l2cli.arrays import FLOAT_DTYPES
from l2cli.errors import DestinationError
from l2cli.formats.arrow_columns import ARROW_TYPES, AnyColumns, is_list

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec
    from l2cli.formats.arrow_columns import ArrowField, ArrowSchema, ArrowType


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
            f"{format_name} can't hold {output.dtype}; use --dtype float16 or float32"
        )
    length = output.shape[-1] if output.shape[-1] != columns.spec.shape[-1] else None
    if length is not None and columns.is_wide:
        raise DestinationError(
            f"'{columns.spec.name}' has a column for each component; "
            "it can't be cut, leave out --truncate-dim"
        )
    if length is not None and len(output.shape) > 2:
        raise DestinationError(
            f"'{columns.spec.name}' holds tensors, which can't be cut; leave out --truncate-dim"
        )
    return Change(columns, output.dtype, length)


def changed_schema(schema: ArrowSchema, change: Change[Any]) -> ArrowSchema:
    """Return the schema with the fields, and the metadata that speak of them, changed."""
    for top in change.columns.tops:
        schema = schema.set(top, _changed_field(schema.field(top), change))
    if schema.metadata:
        schema = schema.with_metadata(changed_words(schema.metadata, change))
    return schema


def changed_words(metadata: dict[bytes, bytes], change: Change[Any]) -> dict[bytes, bytes]:
    """Return the metadata with the dtype and length that pandas and Hugging Face name changed."""
    changed = dict(metadata)
    for key, change_words in ((b"pandas", _change_pandas), (b"huggingface", _change_hugging_face)):
        try:
            words = json.loads(metadata.get(key, b"null"))
            for field in change.columns.fields:
                change_words(words, field, change)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # not as these libraries write it, so nothing that we understand
        if words != json.loads(metadata.get(key, b"null")):
            changed[key] = json.dumps(words).encode()
    return changed


def _changed_field(field: ArrowField, change: Change[Any]) -> ArrowField:
    is_extension = isinstance(field.type, pa.BaseExtensionType)
    if is_extension or b"ARROW:extension:name" in (field.metadata or {}):
        raise DestinationError(
            f"column '{field.name}' has the extension type {field.type}, whose dtype and length "
            "can't be changed; leave out --dtype and --truncate-dim"
        )
    return field.with_type(_changed_type(field.type, change))


def _changed_type(source: ArrowType, change: Change[Any]) -> ArrowType:
    number = ARROW_TYPES[change.dtype]
    if not is_list(source):
        return number
    value_field = source.value_field.with_type(number)
    if pa.types.is_fixed_size_list(source):
        return pa.list_(value_field, change.length or source.list_size)
    return pa.large_list(value_field) if pa.types.is_large_list(source) else pa.list_(value_field)


def _change_pandas(words: Any, field: ArrowField, change: Change[Any]) -> None:
    old, new = change.columns.spec.dtype, change.dtype
    arrow_old, arrow_new = field.type, _changed_type(field.type, change)
    renamed = {
        **dict.fromkeys(FLOAT_DTYPES, new),  # fastparquet stores float16 as float32
        old: new,
        f"list[{old}]": f"list[{new}]",
        f"{arrow_old}[pyarrow]": f"{arrow_new}[pyarrow]",
    }
    for column in words["columns"] if words else []:
        if column.get("field_name", column["name"]) == field.name:
            for key in ("pandas_type", "numpy_type"):
                column[key] = renamed.get(column[key], column[key])


def _change_hugging_face(words: Any, field: ArrowField, change: Change[Any]) -> None:
    feature = words["info"]["features"][field.name] if words else {}
    if isinstance(feature, dict) and feature.get("length", -1) >= 0 and change.length:
        feature["length"] = change.length
    value = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
    if value.get("dtype") == change.columns.spec.dtype:
        value["dtype"] = change.dtype
