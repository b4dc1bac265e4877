"""Attributes that change what a dataset's numbers mean, by the conventions that state them.

netCDF and CF: *Attribute conventions* of the netCDF user's guide (``scale_factor``,
``add_offset``, ``_Unsigned``), and the brothers of these names in other products. MATLAB, Octave
and Julia: arrays whose axes are stored in reverse order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5a, h5d, h5g, h5i, h5s, h5t

from l2cli.dtypes import FLOAT_DTYPES, INTEGER_DTYPES
from l2cli.formats.hdf5.links import to_name, to_path

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, Any]

_SCALES = {"scalefactor", "scalingfactor"}
_OFFSETS = {"addoffset"}
_SCALES_OF_INTEGERS = _SCALES | {"scale"}
_OFFSETS_OF_INTEGERS = _OFFSETS | {"offset", "zeropoint"}
_USER_BLOCKS = {
    b"MATLAB 7.3": "MATLAB",
    b"HDF5-based Julia": "Julia",
    b"Julia data file": "Julia",
}
_USER_BLOCK_BYTES = 32


def numbers(owner: h5d.DatasetID | h5g.GroupID, keys: set[str]) -> dict[str, Array]:
    """Return the numeric attributes whose :func:`key` is among ``keys``, by their own names."""
    values_by_name: dict[str, Array] = {}
    for index in range(h5a.get_num_attrs(owner)):
        attribute = h5a.open(owner, index=index)
        name = to_name(attribute.name)
        if key(name) in keys and holds_numbers(attribute):
            values = np.zeros(attribute.shape, attribute.dtype)
            attribute.read(values)
            values_by_name[name] = values.reshape(-1)
    return values_by_name


def holds_numbers(attribute: h5a.AttrID) -> bool:
    """Whether an attribute holds integers or floats."""
    is_null = attribute.get_space().get_simple_extent_type() == h5s.NULL
    return not is_null and attribute.get_type().get_class() in (h5t.INTEGER, h5t.FLOAT)


def text(owner: h5d.DatasetID | h5g.GroupID, name: str) -> str:
    """Return the text of an attribute; empty where there is none, or it is no text."""
    if not h5a.exists(owner, name.encode()):
        return ""
    attribute = h5a.open(owner, name.encode())
    stored = attribute.get_type()
    if stored.get_class() != h5t.STRING or attribute.get_space().get_simple_extent_npoints() != 1:
        return ""
    values = np.zeros(attribute.shape, attribute.dtype)
    attribute.read(values)
    value = values.reshape(-1)[0]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def key(name: str) -> str:
    """Return what an attribute's name is compared by: ``_FillValue`` is ``fillvalue``."""
    return name.replace("_", "").lower()


def packing(dataset: h5d.DatasetID, dtype: str) -> str:
    """Return why a dataset's numbers are not its values, but packed; empty where they are."""
    is_integer = dtype in INTEGER_DTYPES
    if not is_integer and dtype not in FLOAT_DTYPES:
        return ""
    scales = _SCALES_OF_INTEGERS if is_integer else _SCALES
    offsets = _OFFSETS_OF_INTEGERS if is_integer else _OFFSETS
    attributes = numbers(dataset, scales | offsets)
    stated = [
        f"{name} {values[0]:g}"
        for name, values in attributes.items()
        if values.size and (values != (1 if key(name) in scales else 0)).any()
    ]
    unsigned = text(dataset, "_Unsigned").lower()
    if is_integer and unsigned == ("false" if dtype.startswith("u") else "true"):
        stated.append(f"_Unsigned {unsigned}")
    if not stated:
        return ""
    return f"its values are packed ({', '.join(stated)}); unpack them first (ncpdq -U IN OUT)"


def user_block_of(path: Path, size: int) -> bytes:
    """Return the beginning of a file's user block, which is ``size`` bytes long."""
    if not size:
        return b""
    with path.open("rb") as file:
        return file.read(min(size, _USER_BLOCK_BYTES))


def reversed_by(dataset: h5d.DatasetID, user_block: bytes) -> str:
    """Return the language whose arrays have their axes in reverse order here, if one wrote it.

    Parameters
    ----------
    user_block : bytes
        The beginning of the file's.
    """
    if dataset.rank < 2:
        return ""
    for start, language in _USER_BLOCKS.items():
        if user_block.startswith(start):
            return language
    if h5a.exists(dataset, b"MATLAB_class"):
        return "MATLAB"
    return "Octave" if _is_value_of_octave(dataset) else ""


def _is_value_of_octave(dataset: h5d.DatasetID) -> bool:
    """Whether it is the ``value`` of a group that Octave made of a variable."""
    folder, _, leaf = to_name(h5i.get_name(dataset) or b"").rpartition("/")
    if leaf != "value" or not folder:
        return False
    group = h5g.open(h5i.get_file_id(dataset), to_path(folder))
    return bool(h5a.exists(group, b"OCTAVE_NEW_FORMAT"))
