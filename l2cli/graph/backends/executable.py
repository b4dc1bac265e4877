"""Executables that XLA compiled for the CPU, run through ``jaxlib`` without ``jax``.

``jaxlib`` is the runtime that ``jax`` is written on. To load an executable and run it takes a
tenth of the time that the import of ``jax`` takes. But how ``jax`` talks to ``jaxlib`` is no public
interface, and may be another in each version. So this is the only module that knows it. It asks for
all that it needs before it uses any, and answers ``None`` where something is missing, raises or
comes out otherwise than a graph's outputs do; :mod:`l2cli.graph.backends.jax` then takes the way
through ``jax``. It knows no cache, and nothing of when this way is open.

Memory lives as long as it must, because the runtime counts references to it:

- An array that goes in is used where it lies if it is aligned as XLA wants it, else copied. The
  runtime holds a reference to the array as long as its own buffer of it lives, and lets go of such
  references when it collects garbage: after each call. The client computes in the thread that
  calls, and the outputs are waited for when their memory is asked for: nothing reads an input then.
- No input is donated, so no output lies in the memory of an input.
- What goes out is a view of the runtime's buffer. NumPy holds the ``memoryview``, which holds the
  buffer; it is freed with the last view, and only then used again.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2cli.dtypes import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from l2cli.graph.spec import GraphSpec

    Array = np.ndarray[Any, Any]
    Attempt = Callable[..., "list[Array] | None"]

BITS = {"bfloat16": "uint16"}
"""Dtypes that Python's buffers don't have, and those in which an executable returns their bits."""


class Runtime:
    """XLA's runtime on CPU, with one client.

    Raises whatever it raises where ``jaxlib`` is not as it is expected: :func:`open_runtime` is
    for those who don't want to know.
    """

    def __init__(self) -> None:
        library = importlib.import_module("jaxlib._jax")
        hlo = importlib.import_module("jaxlib._hlo")
        self._put = library.batched_device_put
        self._make_handler = library.array_result_handler
        self._collect_garbage = library.collect_garbage
        self._client = library.get_tfrt_cpu_client(asynchronous=False)
        self._device = self._client.local_devices()[0]
        self._devices = library.DeviceList((self._device,))
        self._sharding = _sharding_class(library, hlo.HloSharding.replicate())(self._device)
        # The way of one array in and out, but for the graph.
        array = np.arange(6.0).reshape(2, 3)
        if _as_array(self._put_in(array)).tolist() != array.tolist():
            raise ValueError("an array doesn't come back as it went in")

    def load(self, content: bytes, spec: GraphSpec) -> Attempt | None:
        """Return the graph of ``spec`` of which ``content`` is the executable, if it is.

        The function that is returned gives ``None`` in place of outputs where something is not as
        it is expected.
        """
        try:
            compute = self._load(content, spec)
        except Exception:
            return None

        def attempt(*arrays: Array) -> list[Array] | None:
            try:
                return compute(*arrays)
            except Exception:
                return None

        return attempt

    def _load(self, content: bytes, spec: GraphSpec) -> Attempt:
        executable = self._client.deserialize_executable(content, self._devices)
        expected = [
            (shape, numpy_dtype(dtype), numpy_dtype(BITS.get(dtype, dtype)))
            for shape, dtype in spec.output_signature
        ]
        handlers = [
            self._make_handler(_Aval(shape, bits), self._sharding, True, True)
            for shape, _, bits in expected
        ]
        accepted = [(shape, numpy_dtype(dtype)) for shape, dtype in spec.input_signature]
        execute = executable.execute_sharded

        def compute(*arrays: Array) -> list[Array] | None:
            if [(array.shape, array.dtype) for array in arrays] != accepted:
                return None
            inputs = [self._put_in(array) for array in arrays]
            results = execute(inputs).consume_with_handlers(handlers)
            outputs = [_as_array(result) for result in results]
            del inputs
            self._collect_garbage()
            for output, (shape, _, bits) in zip(outputs, expected, strict=True):
                if (output.shape, output.dtype) != (shape, bits):
                    return None
            return [
                output.view(dtype) for output, (_, dtype, _) in zip(outputs, expected, strict=True)
            ]

        return compute

    def _put_in(self, array: Array) -> Any:
        aval = _Aval(array.shape, array.dtype)
        return self._put(aval, self._sharding, [array], [self._device], enable_x64=True)


@cache
def open_runtime() -> Runtime | None:
    """Return the runtime of this process; ``None`` where ``jaxlib`` isn't as it is expected."""
    name = "TF_CPP_MIN_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ.setdefault(name, "1")  # As the import of jax does: the client says that it is there.
    try:
        return Runtime()
    except Exception:
        return None
    finally:
        if before is None:
            os.environ.pop(name, None)


def serialized(compiled: Any) -> bytes | None:
    """Return the executable in what ``jax`` compiled; ``None`` where it can't be had.

    Parameters
    ----------
    compiled
        What ``jax.jit(...).lower(...).compile()`` returned.
    """
    try:
        return bytes(compiled.runtime_executable().serialize())
    except Exception:
        return None


def _as_array(result: Any) -> Array:
    """Return the memory of a result as an array; ``np.asarray(result)`` would import ``jax``."""
    return np.asarray(memoryview(result))


@dataclass(frozen=True, slots=True)
class _Aval:
    """What the runtime asks of an abstract value."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    weak_type: bool = False


def _sharding_class(library: Any, whole: Any) -> Any:
    """Return the class that says that an array lies on one device, ``whole``."""

    class OnOneDevice(library.SingleDeviceSharding):  # type: ignore[misc]
        memory_kind = None
        is_fully_addressable = True
        is_fully_replicated = True

        def _to_xla_hlo_sharding(self, num_dimensions: int) -> Any:
            return whole

    return OnOneDevice
