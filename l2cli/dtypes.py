"""The dtypes that components can have, as data.

Readers, the options, the graph, the check and the command's choices read this table. It imports
nothing: NumPy, and ``ml_dtypes`` for bfloat16, are loaded by :func:`numpy_dtype` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Dtype:
    """One dtype.

    Attributes
    ----------
    name : str
        What NumPy or ``ml_dtypes`` calls it.
    itemsize : int
        Bytes of one component.
    is_float : bool
        Whether it can hold the components of a unit vector.
    tolerance : float
        How far from 1 the norm of a unit row may be that is stored in it. For float16 and
        bfloat16 that is twice what rounding the components moves a norm at most; for float32
        and float64 it leaves room for sums taken in the same dtype, as most programs do.
    widened : str
        What the graph turns it into before it computes: a dtype that holds it, and that XLA
        computes with fast. Squares are float64 in any case.
    is_in_numpy : bool
        Whether NumPy knows it without ``ml_dtypes``.
    """

    name: str
    itemsize: int
    is_float: bool = False
    tolerance: float = 0.0
    widened: str = "float64"
    is_in_numpy: bool = True


_ALL = (
    # XLA converts float16 to float64 ten times faster by way of float32.
    Dtype("float16", 2, is_float=True, tolerance=1e-3, widened="float32"),
    Dtype("bfloat16", 2, is_float=True, tolerance=8e-3, widened="float32", is_in_numpy=False),
    Dtype("float32", 4, is_float=True, tolerance=1e-6),
    Dtype("float64", 8, is_float=True, tolerance=1e-12),
    *(Dtype(f"{sign}int{8 * size}", size) for sign in ("", "u") for size in (1, 2, 4, 8)),
)
DTYPES = {dtype.name: dtype for dtype in _ALL}
"""By name: all that can be read."""

FLOAT_DTYPES = tuple(dtype.name for dtype in _ALL if dtype.is_float)
INTEGER_DTYPES = tuple(dtype.name for dtype in _ALL if not dtype.is_float)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's dtype of one of these names, in the machine's byte order."""
    import numpy as np

    scalar: Any = name
    if name in DTYPES and not DTYPES[name].is_in_numpy:
        import ml_dtypes

        scalar = getattr(ml_dtypes, name)
    dtype: np.dtype[Any] = np.dtype(scalar)
    return dtype
