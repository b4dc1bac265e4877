"""Sparse matrices in an ``.npz``: those that SciPy saves, and others with the same parts.

The reader asks which arrays are parts of one. Nothing here opens the archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2cli.formats.sparse import parts_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from l2cli.arrays import ArraySpec

_FORMATS = ("bsr", "coo", "csc", "csr", "dia")
_MEMBERS = (
    *("format", "shape", "_is_array"),
    *("data", "indices", "indptr", "offsets", "row", "col", "coords"),
)
"""What ``scipy.sparse.save_npz`` calls the members of an archive, which holds one matrix."""


def sparse_parts(arrays: Mapping[str, ArraySpec], text: Callable[[str], str]) -> dict[str, str]:
    """Return which of ``arrays`` are parts of a sparse matrix, and of which format.

    Parameters
    ----------
    arrays : mapping of str to ArraySpec
        All of the archive, by name.
    text : callable
        Returns the text that the array of this name holds.
    """
    form = _scipy_format(arrays, text)
    return dict.fromkeys(_MEMBERS, form) if form else parts_by_name(arrays.keys())


def _scipy_format(arrays: Mapping[str, ArraySpec], text: Callable[[str], str]) -> str:
    """Return the format of the one sparse matrix in an archive, empty where there is none."""
    written = arrays.get("format")
    if written is None or written.shape != () or not written.dtype.startswith(("bytes", "str")):
        return ""
    name = text("format")
    return name if name in _FORMATS and {"data", "shape"} <= arrays.keys() else ""
