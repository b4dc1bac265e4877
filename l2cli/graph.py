"""A :class:`~l2cli.spec.GraphSpec` becomes a function that XLA compiled, on a backend and a device.

Keras runs on one backend in a process, the one that it was first imported with. So a
:class:`Backend` is loaded once and compiles whatever graphs the run needs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
import threading
from abc import ABC, abstractmethod
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.spec import GraphSpec

    Graph = Callable[..., list[np.ndarray[Any, Any]]]

BACKENDS = ("jax", "tensorflow")
_KEPT_GRAPHS = 32
_loading = threading.Lock()


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
        return _load(name, device)


@cache
def _load(name: str, device: str) -> Backend:
    if not re.fullmatch(r"auto|(cpu|gpu)(:\d+)?", device):
        raise BackendError(f"device is '{device}', expected auto, cpu, gpu or gpu:N")
    chosen = _choose(name)
    _import_keras(chosen)
    return _JaxBackend(device) if chosen == "jax" else _TensorFlowBackend(device)


def _choose(name: str) -> str:
    loaded = sys.modules.get("keras")
    if name == "auto" and loaded is not None:
        running = str(loaded.backend.backend())
        if running not in BACKENDS:
            raise BackendError(f"Keras runs on {running} here; l2norm runs on jax or tensorflow")
        return running
    if name == "auto":
        name = os.environ.get("KERAS_BACKEND") or next(filter(_is_installed, BACKENDS), "jax")
    if name not in BACKENDS:
        raise BackendError(
            f"KERAS_BACKEND is '{name}', but l2norm runs on jax or tensorflow; "
            "unset it or name one with --backend"
        )
    if not _is_installed(name):
        raise BackendError(f"{name} is not installed; install it or name another --backend")
    return name


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _import_keras(name: str) -> None:
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = name
    try:
        import keras
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    running = keras.backend.backend()
    if running != name:
        raise BackendError(
            f"Keras already runs on {running} in this process, so {name} can't be loaded; "
            "start a new process for it"
        )


def _build(spec: GraphSpec) -> Any:
    from l2cli import models

    builders = {
        "normalize": models.normalization_model,
        "sum": models.summation_model,
        "scale": models.scaling_model,
    }
    return builders[spec.step](spec)


def _input_signature(spec: GraphSpec) -> list[tuple[tuple[int, ...], str]]:
    signature = [(spec.shape, spec.dtype)]
    if spec.step == "scale":
        signature.append((spec.sums_shape, "float64"))
    return signature


class _JaxBackend(Backend):
    name = "jax"

    def __init__(self, device: str) -> None:
        super().__init__()
        import jax

        self._jax = jax
        devices = self._devices(device.partition(":")[0])
        self._device = _pick(self.name, device, devices)
        kind = "cpu" if self._device.platform == "cpu" else "gpu"
        self.device = kind if kind == "cpu" else f"{kind}:{self._device.id}"

    def _devices(self, kind: str) -> list[Any]:
        try:
            found = self._jax.devices()
        except Exception as exc:  # JAX raises what its plug-ins raise.
            raise BackendError(
                f"jax finds no device to run on ({' '.join(str(exc).split())}); "
                "look at JAX_PLATFORMS, or use --backend tensorflow"
            ) from exc
        if kind == "auto":
            return list(found)
        try:
            return list(self._jax.devices(kind))
        except RuntimeError as exc:
            raise _no_device(self.name, kind, sorted({one.platform for one in found})) from exc

    def _compile(self, spec: GraphSpec) -> Graph:
        # 64-bit types are switched on here only: the caller's own JAX code keeps its setting.
        with self._jax.enable_x64(True), self._jax.default_device(self._device):
            model = _build(spec)
            inputs = [self._jax.ShapeDtypeStruct(*item) for item in _input_signature(spec)]
            if len(inputs) == 1:
                compiled = self._jax.jit(lambda rows: model(rows)).lower(*inputs).compile()
            else:
                compiled = self._jax.jit(lambda *both: model(list(both))).lower(*inputs).compile()

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with self._jax.enable_x64(True):
                return [np.asarray(output) for output in _as_list(compiled(*arrays))]

        return graph


class _TensorFlowBackend(Backend):
    name = "tensorflow"

    def __init__(self, device: str) -> None:
        super().__init__()
        import tensorflow as tf

        self._tf = tf
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
        model = _build(spec)
        inputs = [tf.TensorSpec(*item) for item in _input_signature(spec)]
        call = (lambda rows: model(rows)) if len(inputs) == 1 else (lambda *both: model(list(both)))
        with tf.device(self._place):
            compiled = tf.function(
                call, jit_compile=True, input_signature=inputs
            ).get_concrete_function()

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with tf.device(self._place):
                outputs = compiled(*(tf.constant(array) for array in arrays))
            return [output.numpy() for output in _as_list(outputs)]

        return graph


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


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
