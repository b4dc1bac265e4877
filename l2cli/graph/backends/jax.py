"""JAX as a backend.

What Keras made of a spec is kept between runs as StableHLO (:mod:`l2cli.graph.cache`). A run that
finds it there does without Keras, whose import takes most of the time at the start.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import BackendError
from l2cli.graph.backends.base import Backend, as_list
from l2cli.graph.backends.importing import import_library
from l2cli.graph.cache import load_graph, make_key, save_graph
from l2cli.graph.jax_settings import ordinary_settings
from l2cli.runtime.backends import BACKENDS

if TYPE_CHECKING:
    from l2cli.graph.backends.base import Graph
    from l2cli.graph.spec import GraphSpec


class JaxBackend(Backend):
    """JAX on one device.

    Parameters
    ----------
    device : str
        As for :func:`l2cli.graph.backends.load.load_backend`.
    """

    name = "jax"

    def __init__(self, device: str) -> None:
        super().__init__()
        self._jax = import_library("jax")
        self._device = self._pick(device, self._devices(device))
        self.device = "cpu" if self._device.platform == "cpu" else f"gpu:{self._device.id}"

    def _devices(self, device: str) -> list[Any]:
        try:
            devices = list(self._jax.devices())
        except Exception as exc:  # JAX raises what its plug-ins raise.
            raise BackendError(
                f"jax finds no device to run on{_reason(exc)}; look at JAX_PLATFORMS, or use "
                "`backend='tensorflow'`"
            ) from exc
        if device == "auto":
            return devices
        try:
            return list(self._jax.devices(device.partition(":")[0]))
        except RuntimeError as exc:
            raise self._no_device(device, sorted({known.platform for known in devices})) from exc

    def _compile(self, spec: GraphSpec) -> Graph:
        with ordinary_settings(), self._jax.default_device(self._device):
            exported = self._export(spec if 0 in spec.axes else spec.of_any_batch)
            inputs = [
                self._jax.ShapeDtypeStruct(*shape_and_dtype)
                for shape_and_dtype in spec.input_signature
            ]
            compiled = self._jax.jit(exported.call).lower(*inputs).compile()

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with ordinary_settings():
                return [np.asarray(output) for output in as_list(compiled(*arrays))]

        return graph

    def _export(self, spec: GraphSpec) -> Any:
        """Return the StableHLO of ``spec``: that of an earlier run, or what Keras makes of it."""
        from jax import export

        platform = "cpu" if self.device == "cpu" else export.default_export_platform()
        key = make_key(spec, platform, BACKENDS[self.name].packages)
        if (content := load_graph(key)) is not None:
            # JAX made it itself; if it can't read it for any reason, Keras makes it again.
            with contextlib.suppress(Exception):
                return export.deserialize(bytearray(content))
        scope = export.SymbolicScope()
        inputs = [
            self._jax.ShapeDtypeStruct(
                export.symbolic_shape(_dimensions(shape), scope=scope), np.dtype(dtype)
            )
            for shape, dtype in spec.input_signature
        ]
        function = self._jax.jit(self._keras_function(spec))
        exported = export.export(function, platforms=[platform])(*inputs)
        with contextlib.suppress(ImportError):  # JAX serializes by flatbuffers, which may be away.
            save_graph(key, bytes(exported.serialize()))
        return exported


def _dimensions(shape: tuple[int | None, ...]) -> str:
    """Return ``shape`` in the notation of ``jax.export.symbolic_shape``."""
    return f"({','.join('rows' if length is None else str(length) for length in shape)},)"


def _reason(exc: Exception) -> str:
    """Return in brackets what JAX says, and the setting that limits it to some platforms."""
    setting = os.environ.get("JAX_PLATFORMS")
    parts = [f"JAX_PLATFORMS is '{setting}'"] if setting else []
    parts += [" ".join(str(exc).split())] if str(exc) else []
    return f" ({'; '.join(parts)})" if parts else ""
