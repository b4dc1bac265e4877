"""The filters that chunks go through: their names, and where to get one that isn't installed.

Descriptions and refusals of datasets name filters with it. Nothing here runs a filter.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from h5py import h5d, h5z

if TYPE_CHECKING:
    from h5py import h5p

FILTER_NAMES = {
    h5z.FILTER_SHUFFLE: "shuffle",
    h5z.FILTER_FLETCHER32: "fletcher32",
    h5z.FILTER_SZIP: "szip",
    h5z.FILTER_NBIT: "nbit",
    h5z.FILTER_SCALEOFFSET: "scaleoffset",
    257: "hzip",
    258: "fpzip",
    305: "LZO",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32002: "MAFISC",
    32003: "Snappy",
    32004: "LZ4",
    32005: "APAX",
    32006: "CBF",
    32007: "JPEG-XR",
    32008: "bitshuffle",
    32009: "SPDP",
    32010: "LPC-Rice",
    32011: "CCSDS-123",
    32012: "JPEG-LS",
    32013: "zfp",
    32014: "fpzip",
    32015: "zstd",
    32016: "B³D",
    32017: "SZ",
    32018: "FCIDECOMP",
    32019: "JPEG",
    32020: "VBZ",
    32021: "FAPEC",
    32022: "BitGroom",
    32023: "Granular BitRound",
    32024: "SZ3",
    32025: "Delta-Rice",
    32026: "Blosc2",
    32027: "FLAC",
    32028: "SPERR",
    32029: "TERSE/PROLIX",
    32030: "FFMPEG",
    32033: "HTJ2K",
}
"""From The HDF Group's list of registered filters, in hdf5plugin's spelling where it has one."""

_IN_HDF5PLUGIN = frozenset(
    {307, 32001, 32004, 32008, 32013, 32015, 32017, 32018, 32024, 32026, 32028, 32033}
)
_LIST = "https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md"
_WHERE = {
    h5z.FILTER_SZIP: "an h5py whose HDF5 was built with szip has it, as from conda-forge",
    305: "PyTables from conda-forge has it",
    32000: "every h5py from PyPI has it",
    32020: "install vbz-h5py-plugin",
}


def filters(properties: h5p.PropDCID) -> dict[int, tuple[int, ...]]:
    """Return the filters that chunks go through, by number, with their parameters."""
    pipeline = (properties.get_filter(index) for index in range(properties.get_nfilters()))
    return {code: values for code, _flags, values, _name in pipeline}


def filter_refusal(properties: h5p.PropDCID) -> str:
    """Return why chunks can't be read where a filter of theirs isn't there; empty if they can."""
    if properties.get_layout() != h5d.CHUNKED:
        return ""
    for index in range(properties.get_nfilters()):
        code, _flags, _values, stored_name = properties.get_filter(index)
        if not _is_available(code):
            return _missing(code, stored_name.decode("utf-8", "replace").partition(";")[0].strip())
    return ""


def _missing(code: int, stored_name: str) -> str:
    """Return what to say of a filter that isn't there.

    Parameters
    ----------
    stored_name : str
        What the file calls it; not every file does.
    """
    name = FILTER_NAMES.get(code, stored_name)
    what = f"needs the HDF5 filter {code}" + (f" ({name})" if name else "")
    return f"{what}, which isn't installed; {_where(code)}"


def _where(code: int) -> str:
    if code in _IN_HDF5PLUGIN:
        return "install hdf5plugin"
    if code in _WHERE:
        return _WHERE[code]
    repack = "where it was made, `h5repack -f NONE OLD NEW` writes the file without it"
    if code in FILTER_NAMES:
        return f"{_LIST} says where to get it, and HDF5_PLUGIN_PATH names its folder; {repack}"
    return f"its maker's own, not a registered one; {repack}"


def _is_available(code: int) -> bool:
    if h5z.filter_avail(code):
        return True
    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        return False
    return bool(h5z.filter_avail(code))
