"""Sparse matrices, which files hold as several arrays beside each other: how those are called.

npz and HDF5 ask which arrays are parts of one, since the values of a sparse matrix are not
vectors. What a file says of them itself, only its format knows; here there are names alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_PARTS = (
    ("csr or csc", ("data", "indices", "indptr")),
    ("coo", ("data", "row", "col")),
    ("csr", ("values", "crow_indices", "col_indices")),
    ("csc", ("values", "ccol_indices", "row_indices")),
)
"""How SciPy, then PyTorch call the parts; no other arrays are called so together."""


def parts_by_name(names: Collection[str]) -> dict[str, str]:
    """Return which arrays are parts of sparse matrices, and of which format.

    Parameters
    ----------
    names : collection of str
        Of the arrays beside each other. Those of one matrix may all begin alike: ``X_data``.
    """
    formats: dict[str, str] = {}
    for form, parts in _PARTS:
        for name in names:
            if name.endswith(parts[-1]):
                before = name.removesuffix(parts[-1])
                named = [f"{before}{part}" for part in parts]
                if all(part in names for part in named):
                    beside = [f"{before}shape"] if f"{before}shape" in names else []
                    formats |= dict.fromkeys(named + beside, form)
    return formats


def sparse_doubt(form: str) -> str:
    """Return why a part of a sparse matrix of a format is not taken unasked."""
    return f"part of a sparse matrix ({form})"
