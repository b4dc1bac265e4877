"""The schemas that Spark, Avro and Iceberg keep as JSON in a file's key-value metadata.

Their readers follow these and not Parquet's schema, so that a column which gets another dtype
has to get it here too. ``schema`` is the only caller.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from l2cli.errors import DestinationError

if TYPE_CHECKING:
    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.tabular.columns import Place
    from l2cli.formats.tabular.schema import Change

_NAMES = {"float32": "float", "float64": "double", "int32": "int", "int64": "long"}
_SPARK_NAMES = {**_NAMES, "int8": "byte", "int16": "short", "int32": "integer"}
_SCHEMAS = {
    b"org.apache.spark.sql.parquet.row.metadata": ("Spark", _SPARK_NAMES),
    b"parquet.avro.schema": ("Avro", _NAMES),
    b"avro.schema": ("Avro", _NAMES),
    b"iceberg.schema": ("Iceberg", _NAMES),
}
_TYPE_KEYS = ("type", "elementType", "items", "element")
"""The keys whose values name a type. Values of other keys may look like one."""


def changed_schemas(key_values: dict[bytes, bytes], change: Change[Columns]) -> dict[bytes, bytes]:
    """Return the key-value metadata with the dtype that these schemas give columns changed.

    Raises
    ------
    DestinationError
        Where a schema has no name for the new dtype.
    """
    changed = dict(key_values)
    for key, (program, names) in _SCHEMAS.items():
        try:
            schema = json.loads(key_values.get(key, b"null"))
            fields = [
                field for place in change.columns.places for field in _fields_of(schema, place)
            ]
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # not as these programs write it
        if not fields or change.dtype == change.columns.spec.dtype:
            continue
        if change.dtype not in names:
            raise DestinationError(
                f"the file's metadata hold {program}'s schema, which has no {change.dtype}; "
                "use `dtype='float32'` or `dtype='float64'`"
            )
        for field in fields:
            old = names.get(change.columns.spec.dtype, "")
            field["type"] = _renamed(field["type"], old, names[change.dtype])
        changed[key] = json.dumps(schema, separators=(",", ":")).encode()
    return changed


def _fields_of(schema: Any, place: Place) -> list[Any]:
    """Return what a schema says of a column: one field, or none where it doesn't name it.

    Where Spark has a type of its own for a struct, such as ``VectorUDT``, it is the struct.
    """
    fields: list[Any] = []
    for column in place.fields:
        if isinstance(schema, list):  # Avro's way to say that it may be null
            schema = next((part for part in schema if isinstance(part, dict)), {})
        if "fields" not in schema:
            break
        fields = [field for field in schema["fields"] if field["name"] == column.name][:1]
        schema = fields[0]["type"] if fields else {}
    return fields


def _renamed(described: Any, old: str, new: str) -> Any:
    """Return the description of a type, with the type called ``old`` called ``new``."""
    if isinstance(described, list):
        return [_renamed(part, old, new) for part in described]
    if isinstance(described, dict):
        if described.get("type") == "udt":
            raise DestinationError(
                f"the file's metadata hold Spark's schema, and the numbers in its type "
                f"{described.get('class')} have one dtype; leave out `dtype`"
            )
        if "fields" in described:  # a list of Avro's, whose elements are records of one field
            return {**described, "fields": _renamed(described["fields"], old, new)}
        return {
            key: _renamed(value, old, new) if key in _TYPE_KEYS else value
            for key, value in described.items()
        }
    return new if described == old else described
