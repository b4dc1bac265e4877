"""What a dataset's attributes, and its fill value, declare to be missing.

netCDF's user guide, *Attribute conventions*: ``_FillValue``, ``missing_value``, ``valid_min``,
``valid_max``, ``valid_range``; netCDF's own fill values where a variable has none. Names are
compared without case and underscores, since other products spell them so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5a, h5d

from l2cli.formats.hdf5.attributes import holds_numbers, key, numbers
from l2cli.formats.hdf5.links import to_name
from l2cli.formats.hdf5.missing import Missing

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec

    Array = np.ndarray[Any, Any]
    DType = np.dtype[Any]

_MARKERS = {"fillvalue", "missingvalue"}
_BOUNDS = {"validmin", "validmax", "validrange"}
_KEYS = _MARKERS | _BOUNDS

_FILL_OF_FLOATS = np.float32(9.9692099683868690e36)
"""netCDF's fill value of floats: ``NC_FILL_FLOAT`` and ``NC_FILL_DOUBLE``."""

_FILLS_OF_INTEGERS = {
    "int16": -(2**15) + 1,
    "int32": -(2**31) + 1,
    "int64": -(2**63) + 2,
    "uint16": 2**16 - 1,
    "uint32": 2**32 - 1,
    "uint64": 2**64 - 2,
}


def missing_of(
    dataset: h5d.DatasetID, array: ArraySpec, dtype: str | None = None
) -> Missing | None:
    """Return which numbers of ``array`` are declared missing; ``None`` where none is.

    Integers of one axis are identifiers and counts, which are taken as they are.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        That holds the array.
    dtype : str or None
        That the numbers are to be compared in; ``None`` for the array's own.
    """
    wanted = np.dtype(dtype or array.dtype)
    if wanted.kind != "f" and len(array.shape) < 2:
        return None
    declared = numbers(dataset, _KEYS)
    cast = [(name, _as_dtype(number, wanted)) for name, number in _markers(dataset, declared)]
    missing = Missing(
        tuple((name, number) for name, number in cast if number is not None),
        *_bounds(declared, wanted),
    )
    return missing if missing.markers or missing.least or missing.most else None


def is_of_dataset_type(attribute: h5a.AttrID) -> bool:
    """Whether netCDF wants an attribute to be of the type of its dataset."""
    return key(to_name(attribute.name)) in _KEYS and holds_numbers(attribute)


def dtype_refusal(dataset: h5d.DatasetID, array: ArraySpec, dtype: str) -> str:
    """Return why ``array`` can't be stored in another dtype; empty where it can."""
    for name, number in _markers(dataset, numbers(dataset, _KEYS)):
        is_representable = _as_dtype(number, np.dtype(array.dtype)) is not None
        if is_representable and _as_dtype(number, np.dtype(dtype)) is None:
            return (
                f"has {number:g} as its '{name}', which {dtype} can't hold; use `dtype='float32'`"
            )
    return ""


def _markers(dataset: h5d.DatasetID, declared: dict[str, Array]) -> list[tuple[str, Any]]:
    """Return the numbers that stand for missing ones, by what says so."""
    markers = [
        (name, number)
        for name, values in declared.items()
        if key(name) in _MARKERS
        for number in values
    ]
    if any(key(name) == "fillvalue" for name in declared):
        return markers
    return markers + [("fill value", number) for number in _fill_of_netcdf(dataset)]


def _as_dtype(number: Any, dtype: DType) -> Any:
    """Return a number in another dtype; ``None`` where that holds nothing near it."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast = dtype.type(number)
        return cast if np.isfinite(cast) else None
    limits = np.iinfo(dtype)
    is_representable = number == np.floor(number) and limits.min <= number <= limits.max
    return dtype.type(int(number)) if is_representable else None


def _bounds(declared: dict[str, Array], dtype: DType) -> list[tuple[str, Any] | None]:
    """Return the least and the most that are not missing."""
    bounds: list[tuple[str, Any] | None] = [None, None]
    for name, values in declared.items():
        if key(name) == "validrange" and len(values) == 2:
            ends = [(0, values[0]), (1, values[1])]
        elif key(name) in ("validmin", "validmax") and len(values) == 1:
            ends = [(int(key(name) == "validmax"), values[0])]
        else:
            continue
        for end, number in ends:
            bound = _as_dtype(number, dtype)
            if bound is not None:
                bounds[end] = (name, bound)
    return bounds


def _fill_of_netcdf(dataset: h5d.DatasetID) -> list[Any]:
    """Return the fill value if it is the default fill value of netCDF."""
    properties, dtype = dataset.get_create_plist(), dataset.dtype.newbyteorder("=")
    is_defined = properties.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED
    if not is_defined or dtype.kind not in "iuf":
        return []
    fill = np.zeros((), dtype)
    properties.get_fill_value(fill)
    default = _FILL_OF_FLOATS if dtype.kind == "f" else _FILLS_OF_INTEGERS.get(dtype.name)
    return [fill[()]] if default is not None and fill == default else []
