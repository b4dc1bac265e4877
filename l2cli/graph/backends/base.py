"""What compiles graphs: a backend, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from functools import lru_cache
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    import numpy as np

    from l2cli.graph.spec import GraphSpec

    Graph = Callable[..., list[np.ndarray[Any, Any]]]

_KEPT_GRAPHS = 32
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from l2cli.graph.backends.server import main; "
    "main({descriptor}, {name!r}, {device!r})"
)


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
        self._connection, other = Pipe()
        with other:
            code = _PROGRAM.format(
                path=sys.path, descriptor=other.fileno(), name=name, device=device
            )
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                # The process that this one was forked from has memory of the GPU too.
                env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ},
            )
        weakref.finalize(self, _end, os.getpid(), process, self._connection)
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


def _end(owner: int, process: subprocess.Popen[bytes], connection: Connection[Any, Any]) -> None:
    """End ``process``, unless this is but a fork of the one that started it."""
    connection.close()
    if os.getpid() == owner:
        process.kill()
        process.wait()
