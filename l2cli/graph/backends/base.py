"""What compiles graphs: a backend, in this process or in one of its own."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError
from l2cli.runtime.child import SpawnedChild

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from l2cli.graph.spec import GraphSpec

    Graph = Callable[..., list[np.ndarray[Any, Any]]]

_KEPT_GRAPHS = 32


class Backend(ABC):
    """One loaded backend on one device.

    Attributes
    ----------
    name
        ``jax`` or ``tensorflow``.
    device
        ``cpu``, ``gpu:0`` …: where its graphs run.
    compile
        From a ``GraphSpec`` to a function of NumPy arrays; what it returns may be read-only.
        The last few graphs are kept.
    """

    name: str
    device: str

    def __init__(self) -> None:
        self.compile = lru_cache(_KEPT_GRAPHS)(self._compile)

    @abstractmethod
    def _compile(self, spec: GraphSpec) -> Graph:
        """Compile ``spec`` with XLA into a function of NumPy arrays, which may be read-only."""


class ProcessBackend(Backend):
    """A backend that is loaded in a process of its own, which ends when this one does.

    Parameters
    ----------
    name, device
        As for :func:`l2cli.graph.backends.load.load_backend`.
    """

    def __init__(self, name: str, device: str) -> None:
        super().__init__()
        self._turn = threading.Lock()
        # The process that this one was forked from has memory of the GPU too.
        child = SpawnedChild("l2cli.graph.backends.server", (name, device))
        self._connection = child.connection
        weakref.finalize(self, _end, os.getpid(), child)
        self.name, self.device = self._receive()

    def _compile(self, spec: GraphSpec) -> Graph:
        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with self._turn:
                self._connection.send((spec, arrays))
                outputs: list[np.ndarray[Any, Any]] = self._receive()
                return outputs

        return graph

    def _receive(self) -> Any:
        try:
            message = self._connection.recv()
        except (EOFError, OSError) as exc:
            raise BackendError(
                "the process that computes for this one, which was forked, has ended; start "
                "the process afresh, by multiprocessing's 'spawn' or 'forkserver'"
            ) from exc
        if isinstance(message, Exception):
            raise message
        return message


def _end(owner: int, child: SpawnedChild) -> None:
    """End ``child``, unless this is but a fork of the process that started it."""
    if os.getpid() == owner:
        child.end()
    else:
        child.connection.close()
