"""The file's metadata for columns that get another dtype or length.

Three parts of the file name them: the leaf of the Parquet schema; the Arrow schema that Arrow's
writers put into the key-value metadata; and what pandas, Hugging Face, Spark, Avro and Iceberg
put beside it. Only these dtypes and lengths change: names, field ids, nullability and the shape
of the tree stay. Writers and ``summary`` use it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pyarrow as pa

from l2cli.formats.parquet.embedded_schemas import changed_schemas
from l2cli.formats.parquet.footer import ElementField, FileField, with_key_values
from l2cli.formats.parquet.thrift import I32, LIST, STRUCT, Items, Struct
from l2cli.formats.tabular.schema import changed_schema, changed_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.parquet.footer import Footer
    from l2cli.formats.tabular.schema import Change

ARROW_SCHEMA = b"ARROW:schema"
_TYPE_FIELDS = {
    ElementField.TYPE,
    ElementField.LENGTH,
    ElementField.CONVERTED,
    ElementField.SCALE,
    ElementField.PRECISION,
    ElementField.LOGICAL,
}
_FLOAT16_UNION_MEMBER = 15
ELEMENT_TYPES: dict[str, Struct] = {
    "float16": {
        ElementField.TYPE: (I32, 7),
        ElementField.LENGTH: (I32, 2),
        ElementField.LOGICAL: (STRUCT, {_FLOAT16_UNION_MEMBER: (STRUCT, {})}),
    },
    "float32": {ElementField.TYPE: (I32, 4)},
    "float64": {ElementField.TYPE: (I32, 5)},
}
"""What a SchemaElement says of each dtype; 4, 5 and 7 are FLOAT, DOUBLE, FIXED_LEN_BYTE_ARRAY."""


def changed_metadata(footer: Footer, changes: Sequence[Change[Columns]]) -> Struct:
    """Return the FileMetaData with the schema that results from ``changes``."""
    changes = [change for change in changes if not change.is_none]
    elements, key_values = list(footer.elements), dict(footer.key_values)
    for change in changes:
        if change.dtype != change.columns.spec.dtype:
            for leaf in change.columns.leaves:
                number = footer.leaves[leaf].element
                elements[number] = _retyped_element(elements[number], change.dtype)
        if ARROW_SCHEMA in key_values:
            stored = base64.b64decode(key_values[ARROW_SCHEMA])
            schema = changed_schema(pa.ipc.read_schema(pa.py_buffer(stored)), change)
            key_values[ARROW_SCHEMA] = base64.b64encode(schema.serialize())
        key_values = changed_schemas(changed_words(key_values, change), change)
    if not changes:
        return footer.struct
    metadata = {**footer.struct, FileField.SCHEMA: (LIST, Items(STRUCT, elements))}
    if FileField.KEY_VALUES in metadata:
        metadata[FileField.KEY_VALUES] = LIST, with_key_values(footer, key_values)
    return metadata


def _retyped_element(element: Struct, dtype: str) -> Struct:
    kept = {number: value for number, value in element.items() if number not in _TYPE_FIELDS}
    return dict(sorted({**kept, **ELEMENT_TYPES[dtype]}.items()))
