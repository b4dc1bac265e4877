"""JAX as a backend.

What Keras made of a spec is kept between runs as StableHLO, and what XLA made of that for this CPU
as an executable (:mod:`l2cli.graph.cache`). A run that finds an executable does without Keras and
without ``jax`` itself (:mod:`l2cli.graph.backends.executable`): their imports take most of the time
at the start. A run that finds StableHLO does without Keras.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.dtypes import numpy_dtype
from l2cli.errors import BackendError
from l2cli.graph.backends.base import Backend, as_list
from l2cli.graph.backends.executable import BITS, open_runtime, serialized
from l2cli.graph.backends.importing import import_library
from l2cli.graph.cache import EXECUTABLE, load_graph, save_graph
from l2cli.graph.keys import identify_machine, make_executable_key, make_key
from l2cli.graph.trials import begin_trial, end_trial
from l2cli.runtime.backends import BACKENDS
from l2cli.runtime.distributions import has_entry_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.graph.backends.base import Graph
    from l2cli.graph.backends.executable import Attempt, Runtime
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
        self._request = device
        self._jax: Any = None
        self._device: Any = None
        self._config: dict[str, Any] | None = None
        self._machine = ""
        self._runtime: Runtime | None = None
        self._compiling = threading.Lock()
        obstacle = _obstacle(device)
        if not obstacle:
            self._machine = _machine_of_this_process()
            self._runtime = open_runtime() if self._machine else None
            obstacle = "" if self._runtime else "jaxlib or the processor is not as it is expected"
        self.device = "cpu"
        if obstacle:
            self._start(obstacle)

    def _start(self, reason: str) -> None:
        """Import JAX, and find the device."""
        if self._jax is not None:
            return
        is_ours = "jax" not in sys.modules
        jax = import_library("jax")
        # Somebody else may have changed settings that no environment shows.
        self._config = _config_of(jax) if is_ours else None
        self._device = self._pick(self._request, self._devices(jax, self._request))
        self.device = "cpu" if self._device.platform == "cpu" else f"gpu:{self._device.id}"
        if self.device != "cpu" or self._device.id != 0:
            self._config = None
        self._jax = jax
        self.route = f"through jax: {reason}"

    def _devices(self, jax: Any, device: str) -> list[Any]:
        try:
            devices = list(jax.devices())
        except Exception as exc:  # JAX raises what its plug-ins raise.
            raise BackendError(
                f"jax finds no device to run on{_reason(exc)}; look at JAX_PLATFORMS, or use "
                "`backend='tensorflow'`"
            ) from exc
        if device == "auto":
            return devices
        try:
            return list(jax.devices(device.partition(":")[0]))
        except RuntimeError as exc:
            raise self._no_device(device, sorted({known.platform for known in devices})) from exc

    def _compile(self, spec: GraphSpec) -> Graph:
        with self._compiling:
            if "jax" in sys.modules:
                self._start("jax is imported in this process already")
            elif (graph := self._kept(spec)) is not None:
                self.route = "through jaxlib alone: the executable was kept by an earlier run"
                return graph
            else:
                self._start("no executable of this graph was kept for this machine")
            return self._made(spec)

    def _kept(self, spec: GraphSpec) -> Graph | None:
        """Return the graph of ``spec`` by its kept executable; ``None`` if that is of no use."""
        key = self._executable_key(spec)
        content = load_graph(key, EXECUTABLE)
        if content is None or self._runtime is None or not begin_trial(key):
            return None
        attempt = self._runtime.load(content, spec)
        if attempt is None:
            end_trial(key)
            return None

        def make() -> Graph:
            with self._compiling:
                self._start("the executable that was kept failed")
                return self._made(spec)

        return _KeptGraph(attempt, make, partial(end_trial, key))

    def _made(self, spec: GraphSpec) -> Graph:
        """Return the graph of ``spec`` as JAX compiles it, and keep the executable."""
        from l2cli.graph.jax_settings import ordinary_settings

        dtypes = [dtype for _, dtype in spec.output_signature]
        with ordinary_settings(), self._jax.default_device(self._device):
            exported = self._export(_general(spec))
            inputs = [
                self._jax.ShapeDtypeStruct(*shape_and_dtype)
                for shape_and_dtype in spec.input_signature
            ]

            def function(*arrays: Any) -> list[Any]:
                outputs = zip(as_list(exported.call(*arrays)), dtypes, strict=True)
                return [self._as_bits(output, dtype) for output, dtype in outputs]

            compiled = self._jax.jit(function).lower(*inputs).compile()
        if self._keeps_code() and (content := serialized(compiled)) is not None:
            save_graph(self._executable_key(spec), content, EXECUTABLE)

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with ordinary_settings():
                outputs = [np.asarray(output) for output in compiled(*arrays)]
            pairs = zip(outputs, dtypes, strict=True)
            return [output.view(numpy_dtype(dtype)) for output, dtype in pairs]

        return graph

    def _keeps_code(self) -> bool:
        """Whether code that is compiled now depends on nothing but what its key tells."""
        is_as_told = bool(self._machine) and self._machine == identify_machine(_libraries())
        return is_as_told and self._config is not None and self._config == _config_of(self._jax)

    def _as_bits(self, output: Any, dtype: str) -> Any:
        bits = BITS.get(dtype)
        return output if bits is None else self._jax.lax.bitcast_convert_type(output, bits)

    def _executable_key(self, spec: GraphSpec) -> str:
        graph_key = make_key(_general(spec), "cpu", BACKENDS[self.name].packages)
        return make_executable_key(spec, graph_key, self._machine)

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


class _KeptGraph:
    """A graph by its kept executable and, from when that fails, by what JAX makes of its spec.

    Parameters
    ----------
    attempt : callable
        Runs the executable; returns ``None`` where it fails.
    make : callable
        Returns the graph that JAX makes.
    end_trial : callable
        Called when the executable has come back for the first time.
    """

    def __init__(
        self, attempt: Attempt, make: Callable[[], Graph], end_trial: Callable[[], None]
    ) -> None:
        self._attempt = attempt
        self._make = make
        self._end_trial: Callable[[], None] | None = end_trial
        self._made: Graph | None = None

    def __call__(self, *arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        if self._made is None:
            outputs = self._attempt(*arrays)
            if (end_trial := self._end_trial) is not None:
                self._end_trial = None
                end_trial()
            if outputs is not None:
                return outputs
            self._made = self._make()
        return self._made(*arrays)


def _general(spec: GraphSpec) -> GraphSpec:
    """Return the spec that Keras makes a graph of: one for batches of any size, if there is."""
    return spec if 0 in spec.axes else spec.of_any_batch


def _dimensions(shape: tuple[int | None, ...]) -> str:
    """Return ``shape`` in the notation of ``jax.export.symbolic_shape``."""
    return f"({','.join('rows' if length is None else str(length) for length in shape)},)"


def _obstacle(device: str) -> str:
    """Return why only ``jax`` can tell which device graphs run on; empty if it is the CPU."""
    if device not in ("auto", "cpu", "cpu:0"):
        return f"`device` is {device!r}"
    platforms = {name: os.environ.get(name, "") for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")}
    for name, value in platforms.items():
        if value not in ("", "cpu"):
            return f"{name} is {value!r}"
    if device == "auto" and not any(platforms.values()) and _has_plugin():
        return "a plug-in of jax may bring another device"
    return "jax is imported in this process already" if "jax" in sys.modules else ""


def _has_plugin() -> bool:
    """Whether something is installed that brings JAX another device than the CPU."""
    try:
        specs = [importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu")]
    except ValueError:  # A program put it into sys.modules without importing it.
        return True
    in_environment = "PJRT_NAMES_AND_LIBRARY_PATHS" in os.environ
    return in_environment or any(specs) or has_entry_points("jax_plugins")


@cache
def _machine_of_this_process() -> str:
    """Return what code depends on that this process compiles; empty where it can't be told.

    XLA reads its settings once. Where another part of the program has loaded it, they may have
    been others.
    """
    return "" if "jaxlib._jax" in sys.modules else identify_machine(_libraries())


def _config_of(jax: Any) -> dict[str, Any] | None:
    """Return the settings of JAX in this process; ``None`` where it doesn't tell them."""
    try:
        return dict(jax.config.values)
    except Exception:
        return None


def _libraries() -> Path:
    """Return the folder of ``jaxlib``, which is not imported."""
    places: list[str] = []
    with contextlib.suppress(ValueError):  # A program put it into sys.modules without importing it.
        module = importlib.util.find_spec("jaxlib")
        places = list(module.submodule_search_locations or []) if module else []
    return Path(places[0] if places else os.devnull)


def _reason(exc: Exception) -> str:
    """Return in brackets what JAX says, and the setting that limits it to some platforms."""
    setting = os.environ.get("JAX_PLATFORMS")
    parts = [f"JAX_PLATFORMS is '{setting}'"] if setting else []
    parts += [" ".join(str(exc).split())] if str(exc) else []
    return f" ({'; '.join(parts)})" if parts else ""
