"""The backends that a graph can run on, as data.

The options, the command's choices, the benchmark and :mod:`l2cli.graph.backends` read this table.
It knows names only: nothing is imported to read it, so ``l2norm --help`` can. A new backend is
a module in :mod:`l2cli.graph.backends` and a row here.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One backend.

    Attributes
    ----------
    name : str
        What Keras calls it, which is also the name of the module to import.
    home : str
        ``module:class`` of its :class:`~l2cli.graph.backends.base.Backend`, inside
        :mod:`l2cli.graph.backends`.
    packages : tuple of str
        Its distributions, the one to install first. Graphs that were made by other versions
        of them are not used again.
    """

    name: str
    home: str
    packages: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported."""
        try:
            return importlib.util.find_spec(self.name) is not None
        except ValueError:  # A program put it into sys.modules without importing it.
            return self.name in sys.modules


_ALL = (
    BackendInfo("jax", "jax:JaxBackend", ("jax", "jaxlib")),
    BackendInfo("tensorflow", "tensorflow:TensorFlowBackend", ("tensorflow",)),
)
BACKENDS = {info.name: info for info in _ALL}
"""By name, the one that ``auto`` prefers first."""

BACKEND_CHOICES = ("auto", *BACKENDS)
"""What the parameter ``backend`` takes."""
