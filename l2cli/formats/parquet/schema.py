"""The file's metadata for columns that get another dtype or length.

Three places name them: the leaf of the Parquet schema; Arrow's own schema, which Arrow's
writers put into the key-value metadata; and what pandas and Hugging Face put beside it. Only
those words change: names, field ids, nullability and the shape of the tree stay.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from l2cli.errors import DestinationError
from l2cli.formats.parquet.columns import ARROW_TYPES, is_list
from l2cli.formats.parquet.footer import ElementField, FileField, with_key_values
from l2cli.formats.parquet.thrift import I32, LIST, STRUCT, Items, Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.parquet.columns import ArrowField, ArrowSchema, ArrowType, Columns
    from l2cli.formats.parquet.footer import Footer

_ARROW_SCHEMA = b"ARROW:schema"
_TYPE_FIELDS = {
    ElementField.TYPE,
    ElementField.LENGTH,
    ElementField.CONVERTED,
    ElementField.SCALE,
    ElementField.PRECISION,
    ElementField.LOGICAL,
}
_FLOAT16_UNION_MEMBER = 15
_ELEMENT_TYPES: dict[str, Struct] = {
    "float16": {
        ElementField.TYPE: (I32, 7),
        ElementField.LENGTH: (I32, 2),
        ElementField.LOGICAL: (STRUCT, {_FLOAT16_UNION_MEMBER: (STRUCT, {})}),
    },
    "float32": {ElementField.TYPE: (I32, 4)},
    "float64": {ElementField.TYPE: (I32, 5)},
}
"""What a SchemaElement says of each dtype; 4, 5 and 7 are FLOAT, DOUBLE, FIXED_LEN_BYTE_ARRAY."""


@dataclass(frozen=True)
class Change:
    """What becomes of an array: its new dtype, and how long its rows are if they are cut."""

    columns: Columns
    dtype: str
    length: int | None

    @property
    def is_none(self) -> bool:
        """Whether the schema stays as it is."""
        return self.dtype == self.columns.spec.dtype and self.length is None


def changed_metadata(footer: Footer, changes: Sequence[Change]) -> Struct:
    """Return the FileMetaData with the schema that results from ``changes``."""
    changes = [change for change in changes if not change.is_none]
    elements, key_values = list(footer.elements), dict(footer.key_values)
    for change in changes:
        if change.dtype != change.columns.spec.dtype:
            for leaf in change.columns.leaves:
                number = footer.leaves[leaf].element
                elements[number] = _retyped_element(elements[number], change.dtype)
        if _ARROW_SCHEMA in key_values:
            schema = _changed_schema(key_values[_ARROW_SCHEMA], change)
            key_values[_ARROW_SCHEMA] = base64.b64encode(schema.serialize())
        key_values = _changed_words(key_values, change)
    if not changes:
        return footer.struct
    metadata = {**footer.struct, FileField.SCHEMA: (LIST, Items(STRUCT, elements))}
    if FileField.KEY_VALUES in metadata:
        metadata[FileField.KEY_VALUES] = LIST, with_key_values(footer, key_values)
    return metadata


def _retyped_element(element: Struct, dtype: str) -> Struct:
    kept = {number: value for number, value in element.items() if number not in _TYPE_FIELDS}
    return dict(sorted({**kept, **_ELEMENT_TYPES[dtype]}.items()))


def _changed_schema(stored: bytes, change: Change) -> ArrowSchema:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    for top in change.columns.tops:
        schema = schema.set(top, _changed_field(schema.field(top), change))
    if schema.metadata:
        schema = schema.with_metadata(_changed_words(schema.metadata, change))
    return schema


def _changed_field(field: ArrowField, change: Change) -> ArrowField:
    is_extension = isinstance(field.type, pa.BaseExtensionType)
    if is_extension or b"ARROW:extension:name" in (field.metadata or {}):
        raise DestinationError(
            f"column '{field.name}' has the extension type {field.type}, whose dtype and length "
            "can't be changed; leave out --dtype and --truncate-dim"
        )
    return field.with_type(_changed_type(field.type, change))


def _changed_type(source: ArrowType, change: Change) -> ArrowType:
    number = ARROW_TYPES[change.dtype]
    if not is_list(source):
        return number
    value_field = source.value_field.with_type(number)
    if pa.types.is_fixed_size_list(source):
        return pa.list_(value_field, change.length or source.list_size)
    return pa.large_list(value_field) if pa.types.is_large_list(source) else pa.list_(value_field)


def _changed_words(metadata: dict[bytes, bytes], change: Change) -> dict[bytes, bytes]:
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


def _change_pandas(words: Any, field: ArrowField, change: Change) -> None:
    old, new = change.columns.spec.dtype, change.dtype
    arrow_old, arrow_new = field.type, _changed_type(field.type, change)
    renamed = {
        old: new,
        f"list[{old}]": f"list[{new}]",
        f"{arrow_old}[pyarrow]": f"{arrow_new}[pyarrow]",
    }
    for column in words["columns"] if words else []:
        if column.get("field_name", column["name"]) == field.name:
            for key in ("pandas_type", "numpy_type"):
                column[key] = renamed.get(column[key], column[key])


def _change_hugging_face(words: Any, field: ArrowField, change: Change) -> None:
    feature = words["info"]["features"][field.name] if words else {}
    if isinstance(feature, dict) and feature.get("length", -1) >= 0 and change.length:
        feature["length"] = change.length
    value = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
    if value.get("dtype") == change.columns.spec.dtype:
        value["dtype"] = change.dtype
