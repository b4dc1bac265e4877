"""The features in a ``dataset_info.json`` of Hugging Face, which name the types of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.errors import FormatError
from l2cli.formats.arrow.footer import FILE_MAGIC
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.types import NUMBERS, is_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from l2cli.formats.tabular.types import ArrowSchema, ArrowType


def with_types(info: dict[str, Any], files: Sequence[Path]) -> dict[str, Any]:
    """Return the information with the types that the columns have in ``files``.

    Raises
    ------
    FormatError
        Where the files don't agree.
    """
    types: dict[str, ArrowType] = {}
    for path in files:
        for field in _schema(path):
            if types.setdefault(field.name, field.type) != field.type:
                raise FormatError(
                    f"{path}: '{field.name}' is {field.type}, in other files {types[field.name]}"
                )
    features = {
        name: _with_type(feature, types[name]) if name in types else feature
        for name, feature in info["features"].items()
    }
    return {**info, "features": features}


def _schema(path: Path) -> ArrowSchema:
    with as_format_error(path), pa.OSFile(str(path)) as file:
        head = file.read(len(FILE_MAGIC))
        file.seek(0)
        if head.startswith(b"PAR1"):
            return pq.read_schema(file)
        open_file = pa.ipc.open_file if head == FILE_MAGIC else pa.ipc.open_stream
        return open_file(file).schema


def _with_type(feature: Any, arrow_type: ArrowType) -> Any:
    """Return a feature with the dtype and length of an Arrow type, where those differ."""
    if is_list(arrow_type) and isinstance(feature, list) and len(feature) == 1:
        return [_with_type(feature[0], arrow_type.value_type)]
    if not isinstance(feature, dict):
        return feature
    if pa.types.is_struct(arrow_type) and "_type" not in feature:
        inside = {field.name: field.type for field in arrow_type}
        return {
            name: _with_type(each, inside[name]) if name in inside else each
            for name, each in feature.items()
        }
    if is_list(arrow_type) and "feature" in feature:
        changed = {**feature, "feature": _with_type(feature["feature"], arrow_type.value_type)}
        if pa.types.is_fixed_size_list(arrow_type) and feature.get("length", -1) >= 0:
            changed["length"] = arrow_type.list_size
        return changed
    dtype = NUMBERS.get(arrow_type)
    if feature.get("_type") != "Value" or not dtype or feature.get("dtype") not in NUMBERS.values():
        return feature
    return {**feature, "dtype": dtype}
