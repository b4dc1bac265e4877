"""The features in a ``dataset_info.json`` of Hugging Face, which name the types of columns.

Used where a store's companions are written anew. It opens no file: the caller reads the schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from l2cli.errors import FormatError
from l2cli.formats.tabular.types import NUMBERS, is_list

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from l2cli.formats.tabular.types import ArrowSchema, ArrowType


def with_types(info: dict[str, Any], schemas: Mapping[Path, ArrowSchema]) -> dict[str, Any]:
    """Return the information with the types that the columns have in the files now.

    Parameters
    ----------
    info : dict
        What the ``dataset_info.json`` holds.
    schemas : Mapping[Path, pyarrow.Schema]
        Of each file that it describes, as it is now.

    Returns
    -------
    dict
        The same but for the dtypes and lengths of features.

    Raises
    ------
    FormatError
        Where the files don't agree.
    """
    types: dict[str, ArrowType] = {}
    for path, schema in schemas.items():
        for field in schema:
            if types.setdefault(field.name, field.type) != field.type:
                raise FormatError(
                    f"{path}: '{field.name}' is {field.type}, in other files {types[field.name]}"
                )
    features = {
        name: _with_type(feature, types[name]) if name in types else feature
        for name, feature in info["features"].items()
    }
    return {**info, "features": features}


def _with_type(feature: Any, arrow_type: ArrowType) -> Any:
    """Return a feature with the dtype and length of an Arrow type, where those differ."""
    if is_list(arrow_type) and isinstance(feature, list) and len(feature) == 1:
        return [_with_type(feature[0], arrow_type.value_type)]
    if not isinstance(feature, dict):
        return feature
    if pa.types.is_struct(arrow_type) and "_type" not in feature:
        inside = {field.name: field.type for field in arrow_type}
        return {
            name: _with_type(member, inside[name]) if name in inside else member
            for name, member in feature.items()
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
