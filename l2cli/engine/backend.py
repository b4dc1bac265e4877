"""The backend of one job or check, loaded when the first graph is needed.

Made by whoever starts a computation, handed to the normalizers, and asked afterwards what was
used. It knows nothing of rows and files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2cli.graph.backends.load import begin_loading, load_backend

if TYPE_CHECKING:
    from threading import Thread

    from l2cli.graph.backends.base import Backend, Graph
    from l2cli.graph.spec import GraphSpec


class LazyBackend:
    """A backend that is loaded on first use.

    Parameters
    ----------
    requested_name, requested_device : str
        As for :func:`~l2cli.graph.backends.load.load_backend`.
    """

    def __init__(self, requested_name: str = "auto", requested_device: str = "auto") -> None:
        self._request = requested_name, requested_device
        self._thread: Thread | None = None
        self._backend: Backend | None = None

    def begin_loading(self) -> None:
        """Let a thread import the backend; errors are raised by :meth:`compile`."""
        self._thread = begin_loading(*self._request)

    @property
    def is_loading(self) -> bool:
        """Whether the thread is still at it."""
        return self._thread is not None and self._thread.is_alive()

    def compile(self, spec: GraphSpec) -> Graph:
        """Return the graph of ``spec`` as a function of NumPy arrays.

        Raises
        ------
        BackendError
            Where the backend can't be loaded, or has no such device.
        """
        if self._backend is None:
            self._backend = load_backend(*self._request)
        return self._backend.compile(spec)

    @property
    def name(self) -> str:
        """The backend that compiled a graph: ``jax`` …; empty where none was needed."""
        return "" if self._backend is None else self._backend.name

    @property
    def device(self) -> str:
        """Where its graphs run: ``cpu``, ``gpu:0`` …; empty where none was needed."""
        return "" if self._backend is None else self._backend.device

    @property
    def route(self) -> str:
        """By which way they get there, and why; empty where there is but one."""
        return "" if self._backend is None else self._backend.route
