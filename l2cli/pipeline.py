"""Read, compute, write. Knows no format and no Keras: all three are handed to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np

    from l2cli.arrays import Batch


def stream(
    batches: Iterable[Batch],
    compute: Callable[[Batch], np.ndarray[Any, Any]],
    write: Callable[[Batch, np.ndarray[Any, Any]], None],
) -> None:
    """Take every batch through ``compute`` to ``write``, in order."""
    for batch in batches:
        write(batch, compute(batch))
