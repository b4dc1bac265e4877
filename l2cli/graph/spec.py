"""What a graph is to compute, as data.

The engine makes a :class:`GraphSpec`; a backend compiles it. Nothing here knows of Keras or of a
backend, so a spec can be made, compared and sent to another process before either is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Step = Literal["normalize", "measure", "sum", "scale"]


@dataclass(frozen=True)
class GraphSpec:
    """Everything that a compiled graph depends on.

    Attributes
    ----------
    step : Step
        ``normalize``: rows to normalized rows and sums. ``measure``: to sums alone. ``sum``, then
        ``scale``: rows to normalized rows in two steps, for vectors that span batches.
    shape : tuple of (int or None)
        The batch: ``(batch_rows, ...)``; ``None`` for any number of rows.
    dtype, output_dtype : str
        Of the rows that come in, and of the rows that go out.
    axes : tuple of int
        The axes that one vector lies along, 0 or more each.
    epsilon : float
        Lower bound on the sum of squares.
    """

    step: Step
    shape: tuple[int | None, ...]
    dtype: str
    output_dtype: str
    axes: tuple[int, ...]
    epsilon: float

    @property
    def sums_shape(self) -> tuple[int | None, ...]:
        """The batch's shape with every one of ``axes`` of length 1."""
        return tuple(1 if i in self.axes else n for i, n in enumerate(self.shape))

    @property
    def input_signature(self) -> list[tuple[tuple[int | None, ...], str]]:
        """Shape and dtype of each input: the rows, and for ``scale`` the sums too."""
        rows = (self.shape, self.dtype)
        return [rows, (self.sums_shape, "float64")] if self.step == "scale" else [rows]

    @property
    def output_signature(self) -> list[tuple[tuple[int | None, ...], str]]:
        """Shape and dtype of each output."""
        rows, sums = (self.shape, self.output_dtype), (self.sums_shape, "float64")
        return {
            "normalize": [rows, sums],
            "measure": [sums],
            "sum": [sums, sums],
            "scale": [rows],
        }[self.step]

    @property
    def of_any_batch(self) -> GraphSpec:
        """The same for batches of any number of rows; vectors must lie within a row each."""
        return replace(self, shape=(None, *self.shape[1:]))
