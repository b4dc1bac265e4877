"""TensorFlow as a backend, with XLA as its compiler."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from l2cli.arrays import ALIGNMENT
from l2cli.graph.backends.base import Backend, as_list
from l2cli.graph.backends.importing import import_keras, import_library

if TYPE_CHECKING:
    import numpy as np

    from l2cli.graph.backends.base import Graph
    from l2cli.graph.spec import GraphSpec


class TensorFlowBackend(Backend):
    """TensorFlow on one device.

    Parameters
    ----------
    device : str
        As for :func:`l2cli.graph.backends.load.load_backend`.
    """

    name = "tensorflow"

    def __init__(self, device: str) -> None:
        super().__init__()
        import_keras(self.name)
        self._tf = import_library("tensorflow")
        chosen = self._pick(device, self._devices(device))
        platform, index = chosen.name.split(":")[-2:]
        self.device = "cpu" if platform == "CPU" else f"gpu:{index}"
        self._device_name = f"/{platform}:{index}"

    def _devices(self, device: str) -> list[Any]:
        config, platform = self._tf.config, device.partition(":")[0]
        gpus = [] if platform == "cpu" else list(config.list_physical_devices("GPU"))
        if not gpus and platform == "gpu":
            raise self._no_device(device, ["cpu"])
        for gpu in gpus:
            # TensorFlow takes all of a GPU's memory unless this is set before its first use. If it
            # was used already, it is set up as the calling program wants it.
            with contextlib.suppress(RuntimeError):
                config.experimental.set_memory_growth(gpu, True)
        return gpus or list(config.list_physical_devices("CPU"))

    def _compile(self, spec: GraphSpec) -> Graph:
        tf = self._tf
        inputs = [tf.TensorSpec(*shape_and_dtype) for shape_and_dtype in spec.input_signature]
        with tf.device(self._device_name):
            compiled = tf.function(
                self._keras_function(spec),
                jit_compile=True,
                autograph=False,  # It leaves files of generated code where a process is killed.
                input_signature=inputs,
            ).get_concrete_function()

        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with tf.device(self._device_name):
                outputs = compiled(*map(self._tensor, arrays))
            return [output.numpy() for output in as_list(outputs)]

        return graph

    def _tensor(self, array: np.ndarray[Any, Any]) -> Any:
        """Return ``array`` as a tensor: without a copy where its memory serves as one."""
        is_aligned = array.ctypes.data % ALIGNMENT == 0 and array.flags.writeable
        if self.device == "cpu" and is_aligned and array.dtype.isbuiltin == 1:
            return self._tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        return self._tf.constant(array)
