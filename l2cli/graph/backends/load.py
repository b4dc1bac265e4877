"""From a :class:`~l2cli.graph.spec.GraphSpec` to a function that XLA compiled for a device.

Keras runs on one backend in a process, the one that it was first imported with. So a
:class:`Backend` is loaded once and compiles whatever graphs the run needs. On JAX, what Keras
made of a spec is kept between runs as StableHLO (:mod:`l2cli.graph.cache`), and then a run does
without Keras, whose import costs more than all else at the start.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import BackendError, missing_module
from l2cli.graph.backends.base import Backend, ProcessBackend
from l2cli.graph.cache import keep, kept, make_key
from l2cli.graph.jax_settings import ordinary_settings
from l2cli.runtime.forking import check_not_forked, is_forked, note_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.graph.backends.base import Graph
    from l2cli.graph.spec import GraphSpec

BACKENDS = ("jax", "tensorflow")
_ALIGNMENT = 64
"""What XLA on CPU wants of memory that it takes as it is, in bytes."""
_loading = threading.Lock()


def begin_loading(name: str = "auto", device: str = "auto") -> threading.Thread:
    """Let a thread import the backend that :func:`load_backend` will be asked for; return it.

    What goes wrong is left for :func:`load_backend` to say.
    """

    def load() -> None:
        with contextlib.suppress(Exception):
            load_backend(name, device)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread


def load_backend(name: str = "auto", device: str = "auto") -> Backend:
    """Import a backend and find the device on it; the second time, return the same.

    Parameters
    ----------
    name
        ``auto``, ``jax`` or ``tensorflow``. ``auto`` is what Keras already runs on, else what
        ``KERAS_BACKEND`` says, else JAX, else TensorFlow.
    device
        ``auto`` (a GPU where the backend sees one), ``cpu``, ``gpu`` or ``gpu:N``.

    Raises
    ------
    BackendError
        Where the backend isn't installed, Keras already runs on another, or it has no such
        device.
    """
    with _loading:
        return _load(name, device, os.getpid())


@cache
def _load(name: str, device: str, process: int) -> Backend:
    """Return a backend for one process. A fork leaves that of its parent be."""
    if not re.fullmatch(r"auto|(cpu|gpu)(:\d+)?", device):
        raise BackendError(f"device is '{device}', expected auto, cpu, gpu or gpu:N")
    chosen, _ = choose_backend(name)
    if is_forked():
        return ProcessBackend(chosen, device)
    note_start()
    _check_running(chosen)
    return _JaxBackend(device) if chosen == "jax" else _TensorFlowBackend(device)


def _renew_lock() -> None:
    """Make the lock anew in a fork: a thread that held it is none of its own."""
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def choose_backend(name: str = "auto") -> tuple[str, str]:
    """Return the backend that ``name`` stands for in this process, and why. Nothing is imported.

    Raises
    ------
    BackendError
        Where it isn't one of :data:`BACKENDS`, or isn't installed.
    """
    running, wish = _running_backend(), os.environ.get("KERAS_BACKEND")
    if name != "auto":
        chosen, reason = name, f"backend is '{name}'"
    elif running:
        chosen, reason = running, f"Keras already runs on {running} in this process"
    elif wish:
        chosen, reason = wish, f"KERAS_BACKEND is '{wish}'"
    else:
        installed = [each for each in BACKENDS if is_installed(each)] or list(BACKENDS)
        chosen, reason = installed[0], f"the first of {', '.join(BACKENDS)} that is installed"
    if chosen not in BACKENDS:
        raise BackendError(
            f"{reason}, but l2norm runs on jax or tensorflow; "
            "change that or name one with --backend"
        )
    if not is_installed(chosen):
        raise BackendError(
            f"{chosen} is not installed: pip install {chosen}, or name another with --backend"
        )
    return chosen, reason


def is_installed(name: str) -> bool:
    """Whether the backend ``name`` is there to be imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # It is there, but no import made it.
        return name in sys.modules


def import_keras(name: str) -> None:
    """Import Keras with the backend ``name``, whatever ``KERAS_BACKEND`` says.

    Raises
    ------
    BackendError
        Where it runs on another already, or can't run in this process.
    """
    check_not_forked("Keras")
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = name
    try:
        _import("keras")
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    _check_running(name)


def _import(name: str) -> Any:
    """Import a library that graphs need; say in one line where that can't be done."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise BackendError(missing_module(exc)) from exc
    except Exception as exc:  # Such as of a setting in the environment that it can't make out.
        raise BackendError(
            f"{name} can't be imported ({type(exc).__name__}: {' '.join(str(exc).split())})"
        ) from exc


def _running_backend() -> str:
    """Return what Keras runs on in this process; nothing where it isn't imported, or not yet."""
    backend = getattr(sys.modules.get("keras"), "backend", None)
    name = getattr(backend, "backend", None)
    return "" if name is None else str(name())


def _check_running(name: str) -> None:
    running = _running_backend()
    if running and running != name:
        raise BackendError(
            f"Keras already runs on {running} in this process, so {name} can't be loaded; "
            "start a new process for it"
        )


def _build(spec: GraphSpec, backend: str) -> Callable[..., Any]:
    """Return the Keras model of ``spec`` as a function of its inputs."""
    import_keras(backend)
    from l2cli.graph import models

    builders = {
        "normalize": models.normalization_model,
        "measure": models.measuring_model,
        "sum": models.summation_model,
        "scale": models.scaling_model,
    }
    model = builders[spec.step](spec)
    return lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0])


def _input_signature(spec: GraphSpec) -> list[tuple[tuple[int | None, ...], str]]:
    signature = [(spec.shape, spec.dtype)]
    if spec.step == "scale":
        signature.append((spec.sums_shape, "float64"))
    return signature


class _JaxBackend(Backend):
    name = "jax"

    def __init__(self, device: str) -> None:
        super().__init__()
        self._jax = _import("jax")
        devices = self._devices(device.partition(":")[0])
        self._device = _pick(self.name, device, devices)
        kind = "cpu" if self._device.platform == "cpu" else "gpu"
        self.device = kind if kind == "cpu" else f"{kind}:{self._device.id}"

    def _devices(self, kind: str) -> list[Any]:
        try:
            found = self._jax.devices()
        except Exception as exc:  # JAX raises what its plug-ins raise.
            raise BackendError(
                f"jax finds no device to run on{_reason(exc)}; look at JAX_PLATFORMS, or use "
                "--backend tensorflow"
            ) from exc
        if kind == "auto":
            return list(found)
        try:
            return list(self._jax.devices(kind))
        except RuntimeError as exc:
            raise _no_device(self.name, kind, sorted({one.platform for one in found})) from exc

    def _compile(self, spec: GraphSpec) -> Graph:
        with ordinary_settings(), self._jax.default_device(self._device):
            exported = self._export(spec if 0 in spec.axes else spec.of_any_batch)
            inputs = [self._jax.ShapeDtypeStruct(*item) for item in _input_signature(spec)]
            compiled = self._jax.jit(exported.call).lower(*inputs).compile()

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with ordinary_settings():
                return [np.asarray(output) for output in _as_list(compiled(*arrays))]

        return graph

    def _export(self, spec: GraphSpec) -> Any:
        """Return the StableHLO of ``spec``: that of an earlier run, or what Keras makes of it."""
        from jax import export

        platform = "cpu" if self.device == "cpu" else export.default_export_platform()
        key = make_key(spec, platform)
        if (content := kept(key)) is not None:
            # Of another version it can't be: but whatever is wrong with it, Keras can do it again.
            with contextlib.suppress(Exception):
                return export.deserialize(bytearray(content))
        scope = export.SymbolicScope()
        inputs = [
            self._jax.ShapeDtypeStruct(
                export.symbolic_shape(_dimensions(shape), scope=scope), np.dtype(dtype)
            )
            for shape, dtype in _input_signature(spec)
        ]
        function = self._jax.jit(_build(spec, self.name))
        exported = export.export(function, platforms=[platform])(*inputs)
        with contextlib.suppress(ImportError):  # JAX serializes with a library of its own.
            keep(key, bytes(exported.serialize()))
        return exported


class _TensorFlowBackend(Backend):
    name = "tensorflow"

    def __init__(self, device: str) -> None:
        super().__init__()
        import_keras(self.name)
        self._tf = tf = _import("tensorflow")
        kind = device.partition(":")[0]
        gpus = [] if kind == "cpu" else tf.config.list_physical_devices("GPU")
        if not gpus and kind == "gpu":
            raise _no_device(self.name, device, ["cpu"])
        for gpu in gpus:
            # Before its first use, or TensorFlow takes all of a GPU's memory. A program that
            # has used it already has made its own choice.
            with contextlib.suppress(RuntimeError):
                tf.config.experimental.set_memory_growth(gpu, True)
        place = _pick(self.name, device, gpus or tf.config.list_physical_devices("CPU"))
        kind, index = place.name.split(":")[-2:]
        self.device = "cpu" if kind == "CPU" else f"gpu:{index}"
        self._place = f"/{kind}:{index}"

    def _compile(self, spec: GraphSpec) -> Graph:
        tf = self._tf
        inputs = [tf.TensorSpec(*item) for item in _input_signature(spec)]
        with tf.device(self._place):
            compiled = tf.function(
                _build(spec, self.name),
                jit_compile=True,
                autograph=False,  # It leaves files of generated code where a process is killed.
                input_signature=inputs,
            ).get_concrete_function()

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with tf.device(self._place):
                outputs = compiled(*map(self._tensor, arrays))
            return [output.numpy() for output in _as_list(outputs)]

        return graph

    def _tensor(self, array: np.ndarray[Any, Any]) -> Any:
        """Return ``array`` as a tensor: without a copy where its memory serves as one."""
        is_aligned = array.ctypes.data % _ALIGNMENT == 0 and array.flags.writeable
        if self.device == "cpu" and is_aligned and array.dtype.isbuiltin == 1:
            return self._tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        return self._tf.constant(array)


def _dimensions(shape: tuple[int | None, ...]) -> str:
    """Return ``shape`` in the notation of ``jax.export.symbolic_shape``."""
    return f"({','.join('rows' if length is None else str(length) for length in shape)},)"


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _reason(exc: Exception) -> str:
    """Return in brackets what JAX says, and the setting that limits it to some platforms."""
    setting = os.environ.get("JAX_PLATFORMS")
    parts = [f"JAX_PLATFORMS is '{setting}'"] if setting else []
    parts += [" ".join(str(exc).split())] if str(exc) else []
    return f" ({'; '.join(parts)})" if parts else ""


def _pick(backend: str, device: str, devices: list[Any]) -> Any:
    index = int(device.partition(":")[2] or 0)
    if index >= len(devices):
        raise BackendError(
            f"--device {device}: {backend} sees {len(devices)} of that kind, numbered from 0"
        )
    return devices[index]


def _no_device(backend: str, device: str, found: list[str]) -> BackendError:
    return BackendError(
        f"--device {device}: {backend} sees no GPU on this machine, only {', '.join(found)}; "
        "use --device cpu, or install the backend's GPU build"
    )
