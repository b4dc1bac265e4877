"""What every backend is: a library, a device on it, and the graphs that it compiled.

The engine calls :attr:`Backend.compile`; each backend is a subclass in a module of its own.
Which backend is loaded, and when, is no matter of this module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError
from l2cli.graph.backends.importing import import_keras

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from l2cli.graph.spec import GraphSpec

    Graph = Callable[..., list[np.ndarray[Any, Any]]]

_NUM_KEPT_GRAPHS = 32


class Backend(ABC):
    """One loaded backend on one device.

    Attributes
    ----------
    name : str
        As in :data:`l2cli.runtime.backends.BACKENDS`.
    device : str
        Where its graphs run: ``cpu``, ``gpu:0`` …
    route : str
        By which way they get there, where there are several, and why; for people.
    compile : callable
        From a ``GraphSpec`` to a function of NumPy arrays. The arrays that this function returns
        may be read-only. The last few functions are kept.
    """

    name: str
    device: str
    route: str = ""

    def __init__(self) -> None:
        self.compile = lru_cache(_NUM_KEPT_GRAPHS)(self._compile)

    @abstractmethod
    def _compile(self, spec: GraphSpec) -> Graph:
        """Compile ``spec`` with XLA into a function of NumPy arrays."""

    def _keras_function(self, spec: GraphSpec) -> Callable[..., Any]:
        """Return the Keras model of ``spec`` as a function of its inputs."""
        import_keras(self.name)
        from l2cli.graph.models import model_of

        model = model_of(spec)
        return lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0])

    def _pick(self, device: str, devices: Sequence[Any]) -> Any:
        """Return the one of ``devices`` that ``device`` (``gpu:1``) counts to."""
        index = int(device.partition(":")[2] or 0)
        if index >= len(devices):
            raise BackendError(
                f"`device={device!r}`: {self.name} sees {len(devices)} such devices, numbered "
                "from 0"
            )
        return devices[index]

    def _no_device(self, device: str, platforms: Sequence[str]) -> BackendError:
        return BackendError(
            f"`device={device!r}`: {self.name} sees no GPU on this machine, only "
            f"{', '.join(platforms)}; use `device='cpu'`, or install the backend's GPU build"
        )


def as_list(outputs: Any) -> list[Any]:
    """Return what a graph returned as a list: a graph of one output returns that output."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
