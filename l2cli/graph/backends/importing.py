"""Importing Keras, and the libraries that it runs on.

Keras runs on one backend in a process: the one that it was first imported with. The backends and
the export import Keras through this module only; it knows nothing of graphs and devices.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from l2cli.errors import BackendError, missing_module
from l2cli.runtime.forking import check_not_forked


def import_library(name: str) -> Any:
    """Import a library that graphs need.

    Raises
    ------
    BackendError
        Where it isn't installed, or fails while it is imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise BackendError(missing_module(exc)) from exc
    except Exception as exc:  # For example, of a variable in the environment that it refuses.
        raise BackendError(
            f"{name} can't be imported ({type(exc).__name__}: {' '.join(str(exc).split())})"
        ) from exc


def import_keras(name: str) -> None:
    """Import Keras with the backend ``name``, whatever ``KERAS_BACKEND`` is.

    Raises
    ------
    BackendError
        Where Keras runs on another backend already, or can't run in this process.
    """
    check_not_forked("Keras")
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = name
    try:
        import_library("keras")
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    check_running(name)


def running_backend() -> str:
    """Return what Keras runs on in this process; empty where Keras isn't imported."""
    backend = getattr(sys.modules.get("keras"), "backend", None)
    name = getattr(backend, "backend", None)  # Missing while another thread imports Keras.
    return "" if name is None else str(name())


def check_running(name: str) -> None:
    """Raise ``BackendError`` where Keras runs on another backend than ``name``."""
    running = running_backend()
    if running and running != name:
        raise BackendError(
            f"Keras already runs on {running} in this process, so {name} can't be loaded; "
            "start a new process for it"
        )
