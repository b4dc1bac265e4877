"""L2 normalization for files full of embeddings, for arrays and for Keras models.

What ``__all__`` names is public. Each name is imported when it is first used, so that
``import l2cli`` loads nothing heavy.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2cli.checking.check import check
    from l2cli.checking.result import CheckReport
    from l2cli.engine.array import normalize
    from l2cli.errors import (
        BackendError,
        DestinationError,
        FormatError,
        L2NormError,
        NoArrayError,
        OptionError,
        OtherArraysError,
        RowError,
        SelectionError,
        SourceError,
    )
    from l2cli.graph.export import export_model
    from l2cli.graph.layers import L2Normalization, l2_normalize
    from l2cli.graph.models import build_model
    from l2cli.io.inspection import Inspection, inspect_file
    from l2cli.normalization.file import normalize_file
    from l2cli.options import CheckOptions, FileOptions, NormalizeOptions, OpenOptions, StoreOptions
    from l2cli.report import Report
    from l2cli.store.report import StoreReport
    from l2cli.store.run import normalize_store

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "CheckOptions",
    "CheckReport",
    "DestinationError",
    "FileOptions",
    "FormatError",
    "Inspection",
    "L2NormError",
    "L2Normalization",
    "NoArrayError",
    "NormalizeOptions",
    "OpenOptions",
    "OptionError",
    "OtherArraysError",
    "Report",
    "RowError",
    "SelectionError",
    "SourceError",
    "StoreOptions",
    "StoreReport",
    "build_model",
    "check",
    "export_model",
    "inspect_file",
    "l2_normalize",
    "normalize",
    "normalize_file",
    "normalize_store",
]

_HOMES = {
    "BackendError": "errors",
    "CheckOptions": "options",
    "CheckReport": "checking.result",
    "DestinationError": "errors",
    "FileOptions": "options",
    "FormatError": "errors",
    "Inspection": "io.inspection",
    "L2NormError": "errors",
    "L2Normalization": "graph.layers",
    "NoArrayError": "errors",
    "NormalizeOptions": "options",
    "OpenOptions": "options",
    "OptionError": "errors",
    "OtherArraysError": "errors",
    "Report": "report",
    "RowError": "errors",
    "SelectionError": "errors",
    "SourceError": "errors",
    "StoreOptions": "options",
    "StoreReport": "store.run",
    "build_model": "graph.models",
    "check": "checking.check",
    "export_model": "graph.export",
    "inspect_file": "io.inspection",
    "l2_normalize": "graph.layers",
    "normalize": "engine.array",
    "normalize_file": "normalization.file",
    "normalize_store": "store.run",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'l2cli' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"l2cli.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# It has to be there before this process is forked.
importlib.import_module("l2cli.runtime.forking")
if "keras" in sys.modules:
    # Keras loads a saved model with our layer in it once it has seen the layer.
    importlib.import_module("l2cli.graph.layers")
