"""The norms of vectors: from the graph's sums, and exactly where those can't be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import is_one_row

if TYPE_CHECKING:
    from l2cli.arrays import Batch
    from l2cli.engine.vectors import Read, Vectors

    Array = np.ndarray[Any, Any]


def row_norms(vectors: Vectors, batch: Batch) -> Array:
    """Return the float64 norms of vectors that lie within a row each: NaN for non-finite rows.

    The shape is that of ``batch.rows`` without the axes that a vector lies along.
    """
    if is_one_row(batch.rows):
        one = row_norms(vectors, replace(batch, rows=batch.rows[:1]))
        return np.broadcast_to(one, (len(batch.rows), *one.shape[1:]))
    rows = vectors.rows(batch)
    is_regular = rows.size > 0 and vectors.is_regular(rows)
    sums = vectors.run("measure", rows)[0] if is_regular else vectors.no_sums(rows)
    trusted = vectors.trust(sums)
    norms: Array = np.sqrt(sums).reshape(trusted.shape)
    if not rows.size:
        return np.zeros_like(norms)
    if not trusted.all():
        norms[~trusted] = vectors.norms(rows, ~trusted).value
    return norms


def spanning_norms(vectors: Vectors, read: Read) -> Array:
    """Return the norms of vectors that lie along axis 0, as :func:`row_norms` does.

    Parameters
    ----------
    read
        As for :meth:`~l2cli.engine.vectors.Vectors.sum_all`.
    """
    found = vectors.sum_all(read)
    if found is None:
        return np.zeros(vectors.num_vectors)
    with np.errstate(invalid="ignore"):
        norms = np.array(np.sqrt(found.sums.reshape(found.extreme.shape)))
    norms[found.extreme] = found.norms.value
    return norms
