"""Sparse matrices in an ``.npz``: those that SciPy saves, and others with the same parts.

The reader asks which arrays are parts of one, since the values of a sparse matrix are not
vectors. Nothing here opens the archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from l2cli.arrays import ArraySpec

_SCIPY_PARTS = {
    "bsr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "csr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
    "coo": ("data", "row", "col", "coords"),
}
"""What ``scipy.sparse.save_npz`` writes for each format, besides :data:`_BESIDE`."""
_BESIDE = ("format", "shape", "_is_array")
_PARTS = (("data", "indices", "indptr"), ("data", "row", "col"))
"""Names that together are a sparse matrix, whoever wrote them; something may come before each."""


def sparse_parts(arrays: Mapping[str, ArraySpec], text: Callable[[str], str]) -> dict[str, str]:
    """Return which of ``arrays`` belong to a sparse matrix, and how to say so.

    Parameters
    ----------
    text
        Returns the text that the array of this name holds.
    """
    name = _scipy_format(arrays, text)
    if name:
        return dict.fromkeys((*_SCIPY_PARTS[name], *_BESIDE), f"part of a sparse matrix ({name})")
    doubts: dict[str, str] = {}
    for parts in _PARTS:
        for before in _prefixes(arrays, parts[-1]):
            named = [f"{before}{part}" for part in parts]
            if all(part in arrays for part in named):
                doubts |= dict.fromkeys(named, f"part of a sparse matrix ({', '.join(parts)})")
    return doubts


def _scipy_format(arrays: Mapping[str, ArraySpec], text: Callable[[str], str]) -> str:
    """Return the format of the one sparse matrix in an archive, empty where there is none."""
    written = arrays.get("format")
    if written is None or written.shape != () or not written.dtype.startswith(("bytes", "str")):
        return ""
    name = text("format")
    return name if name in _SCIPY_PARTS and {"data", "shape"} <= arrays.keys() else ""


def _prefixes(names: Collection[str], part: str) -> list[str]:
    return [name.removesuffix(part) for name in names if name.endswith(part)]
