"""Whether one array may be an embedding, by its dtype, shape and name.

:mod:`l2cli.io.selection` and what reports on a choice ask it. It knows nothing of the names that
a user gave, takes nothing and refuses nothing: it says how likely an array is, and what is
against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2cli.arrays import ITEM_SIZES
from l2cli.dtypes import FLOAT_DTYPES
from l2cli.filesystem.siblings import TOOL_PREFIX
from l2cli.io.array_names import (
    is_exact,
    means_embedding,
    means_other,
    means_search_result,
    means_text,
    mentions_embedding,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.arrays import ArraySpec

_FEW_COMPONENTS = 4
"""Rows of fewer are more often places or colours than embeddings."""
_LONG_ROW = 2**16
"""A lone row of more components is more often a column of numbers than a vector."""
_ANN_BENCHMARKS = {"train", "test", "neighbors", "distances"}


def why_not(array: ArraySpec, arrays: Sequence[ArraySpec], file_stem: str) -> str:
    """Return why ``array`` isn't taken unless it is named; empty where it is a candidate.

    Parameters
    ----------
    arrays : sequence of ArraySpec
        All arrays of its container.
    file_stem : str
        What to go by where the array has no name: that of its file, without the suffix.
    """
    if array.refusal:
        return array.refusal
    if array.dtype not in FLOAT_DTYPES:
        return "integers, unless named" if array.name else "integers; choose a `dtype`"
    return _doubt(array, arrays, file_stem)


def is_embedding_named(array: ArraySpec) -> bool:
    """Whether one of the names of ``array`` is that of an embedding."""
    return any(is_exact(name) or means_embedding(name) for name in array.names)


def is_ann_benchmarks(arrays: Sequence[ArraySpec]) -> bool:
    """Whether the container has the layout of ann-benchmarks, with the true neighbors in it."""
    return {name for array in arrays for name in array.names} >= _ANN_BENCHMARKS


def is_weak(array: ArraySpec) -> bool:
    """Whether the shape of ``array`` makes one doubt that it holds embeddings."""
    return len(array.shape) == 1 or 0 < (row_length(array) or 0) < _FEW_COMPONENTS


def row_length(array: ArraySpec) -> int | None:
    """Return the components of a row, on average where they differ; ``None`` if not known."""
    length = array.shape[-1] if array.shape else None
    if length is not None or not (array.num_rows and array.approximate_bytes):
        return length
    # Null rows count as rows of one number in it, so it tells nothing of an embedding's.
    return max(1, array.num_bytes // array.num_rows // ITEM_SIZES[array.dtype])


def rank(array: ArraySpec) -> int:
    """Return how well its name says that ``array`` is an embedding: 0 best, 2 not at all."""
    if any(map(is_exact, array.names)):
        return 0
    return 1 if any(map(mentions_embedding, array.names)) else 2


def may_hold_vectors(array: ArraySpec, file_stem: str, *, alone: bool) -> bool:
    """Return whether ``array``, which can't be used, may hold what the user means."""
    if array.name and is_embedding_named(array):
        return True
    if array.dtype == "object" and means_text(array.name or file_stem):
        return False
    # Objects are most often words, so they stand in nothing's way that can be used.
    return array.may_be_vectors and (alone or array.dtype != "object")


def _doubt(array: ArraySpec, arrays: Sequence[ArraySpec], file_stem: str) -> str:
    """Return what a careful person would ask about before they normalize ``array``."""
    if array.doubt:
        return f"{array.doubt}, unless named"
    if any(means_search_result(name) for name in array.names):
        return "a search result, unless named"
    if array.shape[-1:] == (1,) or (row_length(array) == 1 and not is_embedding_named(array)):
        return "rows of one number, unless named"
    named_by = "" if file_stem.startswith(TOOL_PREFIX) else file_stem  # Our temporary file.
    if word := means_other(array.name or named_by):
        return f"named like something else ({word}), unless named"
    is_alone = not any(_is_numeric(sibling) for sibling in arrays if sibling is not array)
    if is_weak(array) and not is_alone and not is_embedding_named(array):
        few = f"{row_length(array)} components" if len(array.shape) > 1 else "one number"
        return f"{few} a row, unless named"
    if len(array.shape) == 1 and array.num_rows > _LONG_ROW:
        return f"one row of {array.num_rows:,} numbers, unless named"
    return ""


def _is_numeric(array: ArraySpec) -> bool:
    return array.dtype in ITEM_SIZES and bool(array.shape)
