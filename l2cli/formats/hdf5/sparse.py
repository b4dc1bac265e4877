"""Sparse matrices, which HDF5 files hold as several datasets beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from h5py import h5a

from l2cli.formats.hdf5.attributes import text

if TYPE_CHECKING:
    from h5py import h5g

_PARTS = {
    "csr": {"crow_indices", "col_indices", "values"},
    "csc": {"ccol_indices", "row_indices", "values"},
    "coo": {"row", "col", "data"},
    "dia": {"offsets", "data", "shape"},
}
"""How SciPy and PyTorch call the parts, by format; no other datasets are called so together."""

_COMPRESSED = ("data", "indices", "indptr", "shape")
"""Of csr, csc and bsr. All but ``shape`` must be there, with one prefix, such as ``X_``."""

_MATLAB = {"data", "ir", "jc"}


def sparse_parts(group: h5g.GroupID, names: set[str]) -> dict[str, str]:
    """Return which members of a group are parts of sparse matrices, and of which format.

    Parameters
    ----------
    names
        Of the members.
    """
    encoding = text(group, "encoding-type") or text(group, "h5sparse_format")
    if encoding.removesuffix("_matrix") in ("csr", "csc"):
        return dict.fromkeys(names, encoding.removesuffix("_matrix"))
    if h5a.exists(group, b"MATLAB_sparse"):
        return dict.fromkeys(names & _MATLAB, "csc")
    formats: dict[str, str] = {}
    for name in names:
        if name.endswith("indptr"):
            prefix = name.removesuffix("indptr")
            parts = {prefix + part for part in _COMPRESSED}
            if parts - {f"{prefix}shape"} <= names:
                formats |= dict.fromkeys(parts & names, "csr or csc")
    for form, parts in _PARTS.items():
        if parts <= names:
            formats |= dict.fromkeys((parts | {"shape"}) & names, form)
    return formats
