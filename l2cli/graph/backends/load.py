"""Choosing a backend, and loading it once.

The engine, the command and the export ask here for a :class:`~l2cli.graph.backends.base.Backend`.
A backend is loaded once in a process and compiles whatever graphs the process needs. What the
backends are stands in :data:`l2cli.runtime.backends.BACKENDS`; this module names none of them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import threading
from typing import TYPE_CHECKING

from l2cli.errors import BackendError
from l2cli.graph.backends.importing import check_running, running_backend
from l2cli.runtime.backends import BACKENDS
from l2cli.runtime.forking import is_forked, note_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.graph.backends.base import Backend

_loading = threading.Lock()
_loaded: dict[tuple[str, str, int], Backend] = {}
"""By name, device and process: a fork doesn't use what its parent loaded."""


def begin_loading(name: str = "auto", device: str = "auto") -> threading.Thread | None:
    """Load, in a thread that is returned, the backend that is needed soon.

    ``None`` where it is loaded already. An error is not raised here: :func:`load_backend` raises
    it when the backend is asked for.
    """
    if (name, device, os.getpid()) in _loaded:
        return None

    def load() -> None:
        with contextlib.suppress(Exception):
            load_backend(name, device)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread


def load_backend(name: str = "auto", device: str = "auto") -> Backend:
    """Import a backend and find the device on it; the second time, return the same object.

    Parameters
    ----------
    name : str
        ``auto``, or the name of one of the backends. ``auto`` is what Keras already runs on, else
        what ``KERAS_BACKEND`` says, else the first of them that is installed.
    device : str
        ``auto`` (a GPU where the backend sees one), ``cpu``, ``gpu`` or ``gpu:N``.

    Returns
    -------
    Backend
        In a forked process, one that computes in a process of its own.

    Raises
    ------
    BackendError
        Where the backend isn't installed, Keras already runs on another, or it has no such
        device.
    """
    request = name, device, os.getpid()
    with _loading:
        if request not in _loaded:
            _loaded[request] = _load(name, device)
        return _loaded[request]


def _load(name: str, device: str) -> Backend:
    if not re.fullmatch(r"auto|(cpu|gpu)(:\d+)?", device):
        raise BackendError(f"`device` is {device!r}, expected auto, cpu, gpu or gpu:N")
    chosen, _ = choose_backend(name)
    if is_forked():
        from l2cli.graph.backends.remote import ProcessBackend

        return ProcessBackend(chosen, device)
    note_start()
    check_running(chosen)
    module, _, member = BACKENDS[chosen].home.partition(":")
    make: Callable[[str], Backend] = getattr(
        importlib.import_module(f"l2cli.graph.backends.{module}"), member
    )
    return make(device)


def _renew_lock() -> None:
    """Make a new lock in a forked child: a thread that held the old one doesn't exist there."""
    global _loading
    _loading = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def choose_backend(name: str = "auto") -> tuple[str, str]:
    """Return the backend that ``name`` stands for in this process, and why.

    Nothing is imported.

    Parameters
    ----------
    name : str
        As for :func:`load_backend`.

    Returns
    -------
    tuple of str
        The name of the backend, and the reason as a clause.

    Raises
    ------
    BackendError
        Where it isn't one of :data:`~l2cli.runtime.backends.BACKENDS`, or isn't installed.
    """
    running, wanted = running_backend(), os.environ.get("KERAS_BACKEND")
    if name != "auto":
        chosen, reason = name, f"`backend` is {name!r}"
    elif running:
        chosen, reason = running, f"Keras already runs on {running} in this process"
    elif wanted:
        chosen, reason = wanted, f"KERAS_BACKEND is '{wanted}'"
    else:
        installed = [name for name, info in BACKENDS.items() if info.is_installed]
        chosen = (installed or list(BACKENDS))[0]
        reason = f"the first of {', '.join(BACKENDS)} that is installed"
    if chosen not in BACKENDS:
        raise BackendError(
            f"{reason}, but l2norm runs on {' or '.join(BACKENDS)}; change that, or choose one "
            "by `backend`"
        )
    info = BACKENDS[chosen]
    if not info.is_installed:
        raise BackendError(
            f"{chosen} is not installed: pip install {info.packages[0]}, or choose another by "
            "`backend`"
        )
    return chosen, reason
