"""Filters that store other numbers than they get, after which unit rows would not be unit rows.

The writer refuses to write through such a filter, and the reader notes that there is one. Nothing
here reads chunks.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from h5py import h5d, h5z

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.formats.hdf5.plugins import FILTER_NAMES, filters
from l2cli.formats.hdf5.types import dtype_of

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec

_BLOSC2 = 32026
_ZFP = 32013
_LOSSLESS = frozenset(
    {
        h5z.FILTER_DEFLATE,
        h5z.FILTER_SHUFFLE,
        h5z.FILTER_FLETCHER32,
        h5z.FILTER_SZIP,
        # It leaves out the bits that a type doesn't use, and IEEE's types use all.
        h5z.FILTER_NBIT,
        *(257, 258, 305, 307),
        *(32000, 32001, 32002, 32003, 32004, 32008, 32009, 32010, 32011, 32012, 32015),
        *(32020, 32025, 32027),
    }
)
_REVERSIBLE = 0x880
"""zfp's code of its one mode that loses nothing, in the upper 12 bits of its third word."""

_TRUNCATING = 4
"""Blosc2's filter that cuts off bits. Its codecs from here on are of others, and some lossy."""
_FOREIGN_CODECS = 32


def lossy_filter(dataset: h5d.DatasetID) -> str:
    """Return the filter of ``dataset`` after which numbers may differ; empty for none."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.CHUNKED:
        return ""
    for code, values in filters(properties).items():
        if not _is_lossless(code, values):
            return FILTER_NAMES.get(code, str(code))
    return ""


def lossy_refusal(dataset: h5d.DatasetID, output: ArraySpec) -> str:
    """Return why ``output`` can't be written where ``dataset`` is; empty where it can."""
    name = lossy_filter(dataset)
    is_zfp = _ZFP in filters(dataset.get_create_plist())
    if is_zfp and dtype_of(dataset.get_type())[0] != output.dtype:
        name = FILTER_NAMES[_ZFP]  # It keeps the type that it was made for, and reads rows in it.
    if not name or _is_taken_out(dataset, output):
        return ""
    without = shlex.quote(f"{output.name}:GZIP=4")
    return (
        f"is stored through the lossy filter {name}, which would change its unit rows: first take "
        f"that out (h5repack -f {without} OLD NEW), or write another format "
        "(`destination='FILE.npy'`)"
    )


def _is_lossless(code: int, values: tuple[int, ...]) -> bool:
    if code == _ZFP:
        return len(values) > 3 and values[3] >> 20 == _REVERSIBLE
    if code == _BLOSC2:
        shuffle, codec = (*values, 0, 0, 0, 0, 0, 0, 0)[5:7]
        return shuffle != _TRUNCATING and codec < _FOREIGN_CODECS
    return code in _LOSSLESS


def _is_taken_out(dataset: h5d.DatasetID, output: ArraySpec) -> bool:
    """Whether the filter is one of integers, and goes where they become floats."""
    was_integer = dtype_of(dataset.get_type())[0] not in FLOAT_DTYPES
    codes = [
        code
        for code, values in filters(dataset.get_create_plist()).items()
        if not _is_lossless(code, values)
    ]
    return was_integer and output.dtype in FLOAT_DTYPES and codes == [h5z.FILTER_SCALEOFFSET]
