"""Sparse matrices in HDF5: groups that say that they are one, and datasets called like the parts.

The bookkeeping of a group asks which of its members are parts of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h5py import h5a

from l2cli.formats.hdf5.attributes import text
from l2cli.formats.sparse import parts_by_name

if TYPE_CHECKING:
    from h5py import h5g

_DIAGONALS = {"offsets", "data", "shape"}
"""Of a dia of SciPy, whose name for that format an npz has and a group has not."""
_MATLAB = {"data", "ir", "jc"}


def sparse_parts(group: h5g.GroupID, names: set[str]) -> dict[str, str]:
    """Return which members of a group are parts of sparse matrices, and of which format.

    Parameters
    ----------
    group : h5py.h5g.GroupID
        The group.
    names : set of str
        Of the members.
    """
    encoding = text(group, "encoding-type") or text(group, "h5sparse_format")
    if encoding.removesuffix("_matrix") in ("csr", "csc"):
        return dict.fromkeys(names, encoding.removesuffix("_matrix"))
    if h5a.exists(group, b"MATLAB_sparse"):
        return dict.fromkeys(names & _MATLAB, "csc")
    diagonals = dict.fromkeys(_DIAGONALS, "dia") if names >= _DIAGONALS else {}
    return diagonals | parts_by_name(names)
