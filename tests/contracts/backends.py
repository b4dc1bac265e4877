"""What every backend has to do, so that a result doesn't depend on which one computed it.

A backend passes by a subclass in ``test_backends.py`` that gives its name and its refusals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from l2cli.dtypes import FLOAT_DTYPES, numpy_dtype
from l2cli.graph.spec import GraphSpec
from l2cli.runtime.backends import BACKENDS
from tests.support.reference import rows_of_all_sizes, true_quotient, worst_ulp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.graph.spec import Step
    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]

NARROW = FLOAT_DTYPES[:-1]
"""The dtypes whose bits are the same on all backends: all but float64."""


def ordinary_rows(dtype: str, shape: tuple[int, ...] = (500, 50), seed: int = 0) -> Array:
    """Return random rows whose norms differ by factors of about 10."""
    generator = np.random.default_rng(seed)
    sizes = np.exp(generator.standard_normal((*shape[:-1], 1)))
    return (generator.standard_normal(shape) * sizes).astype(numpy_dtype(dtype))


def compute(
    name: str, step: Step, rows: Array, sums: Array | None = None, axes: tuple[int, ...] = (1,)
) -> list[Array]:
    """Run one graph of the backend ``name`` over ``rows``, in this process."""
    from l2cli.graph.backends.load import load_backend

    dtype = rows.dtype.name
    graph = load_backend(name, "cpu").compile(
        GraphSpec(step, rows.shape, dtype, dtype, axes, 1e-12)
    )
    return [np.array(output) for output in graph(rows, *([] if sums is None else [sums]))]


def device_of(name: str, device: str) -> str:
    """Return where the backend runs when asked for ``device``, or why it refuses."""
    from l2cli.errors import BackendError
    from l2cli.graph.backends.load import load_backend

    try:
        return load_backend(name, device).device
    except BackendError as exc:
        return str(exc)


class BackendContract:
    """The contract. A subclass names its backend."""

    name: str
    refusals: ClassVar[dict[str, str]]
    """Of devices that no test machine has: the beginning of the message."""

    @pytest.fixture
    def backend_process(self, backend_processes: Callable[[str], BackendProcess]) -> BackendProcess:
        return backend_processes(self.name)

    @pytest.mark.parametrize("dtype", FLOAT_DTYPES)
    def test_graph_is_accurate(self, backend_process: BackendProcess, dtype: str) -> None:
        rows = ordinary_rows(dtype)
        result, sums = backend_process.call(compute, self.name, "normalize", rows)
        assert result.dtype == rows.dtype
        assert worst_ulp(result, rows) <= (4 if dtype == "float64" else 0.501)
        wide = rows.astype("f8").astype(np.longdouble)
        np.testing.assert_allclose(sums, (wide**2).sum(axis=1, keepdims=True), rtol=1e-15 * 16)
        (measured,) = backend_process.call(compute, self.name, "measure", rows)
        assert measured.tobytes() == sums.tobytes()

    @pytest.mark.parametrize("dtype", FLOAT_DTYPES)
    def test_odd_rows_show_in_their_sums_and_disturb_no_others(
        self, backend_process: BackendProcess, dtype: str
    ) -> None:
        rows = ordinary_rows(dtype, (8, 5))
        clean, sums = backend_process.call(compute, self.name, "normalize", rows)
        odd = rows.copy()
        odd[0], odd[1, 2], odd[2, 3] = 0, np.nan, -np.inf
        odd[3] = np.nextafter(np.zeros((), odd.dtype), np.ones((), odd.dtype))
        odd[4] = np.finfo("f8").max if dtype == "float64" else 3e4
        result, odd_sums = backend_process.call(compute, self.name, "normalize", odd)
        assert result[5:].tobytes() == clean[5:].tobytes()
        assert odd_sums[5:].tobytes() == sums[5:].tobytes()
        assert (odd_sums[0, 0], (result[0] == 0).all()) == (0, True)
        # A sum that isn't in range tells the engine to do the row again: NaN, or as large as this.
        assert not (odd_sums[1:3] <= 2.0**1000).any()
        assert odd_sums[3, 0] < 1e-12

    @pytest.mark.parametrize("dtype", NARROW)
    @pytest.mark.parametrize("axis", [(1,), (0,)], ids=["rows", "columns"])
    def test_bytes_are_those_of_the_first_backend(
        self,
        backend_process: BackendProcess,
        backend_processes: Callable[[str], BackendProcess],
        dtype: str,
        axis: tuple[int, ...],
    ) -> None:
        first = next(iter(BACKENDS))
        if self.name == first:
            pytest.skip("the others are compared with it")
        for dim in (3, 50, 768):
            rows = np.concatenate(
                [
                    ordinary_rows(dtype, (2000, dim), seed=3),
                    rows_of_all_sizes(numpy_dtype(dtype), 600, dim),
                ]
            )
            content = backend_process.run(rows, axis=axis)[0].tobytes()
            assert backend_processes(first).run(rows, axis=axis)[0].tobytes() == content

    @pytest.mark.parametrize("dtype", FLOAT_DTYPES)
    def test_batch_size_changes_no_bit(self, backend_process: BackendProcess, dtype: str) -> None:
        rows = np.concatenate(
            [ordinary_rows(dtype, seed=2), rows_of_all_sizes(numpy_dtype(dtype), 300, 50)]
        )
        whole = backend_process.run(rows)[0].tobytes()
        for batch_size in (7, 1000):
            assert backend_process.run(rows, batch_size=batch_size)[0].tobytes() == whole
        assert whole.startswith(backend_process.run(rows[:40], batch_size=1)[0].tobytes())

    def test_sums_across_batches_scale_each_batch(self, backend_process: BackendProcess) -> None:
        rows = ordinary_rows("float32", (60, 8))
        shares = [
            backend_process.call(compute, self.name, "sum", part, None, (0,))
            for part in np.split(rows, [30])
        ]
        sums = sum(high + low for high, low in shares)
        parts = [
            backend_process.call(compute, self.name, "scale", part, sums, (0,))[0]
            for part in np.split(rows, [30])
        ]
        assert worst_ulp(np.concatenate(parts).T, rows.T) <= 0.501

    def test_devices_have_names_and_refusals(self, backend_process: BackendProcess) -> None:
        assert backend_process.call(device_of, self.name, "cpu") == "cpu"
        assert backend_process.call(device_of, self.name, "auto").startswith(("cpu", "gpu:"))
        message = backend_process.call(device_of, self.name, "tpu")
        assert message == "`device` is 'tpu', expected auto, cpu, gpu or gpu:N"
        for device, beginning in self.refusals.items():
            assert backend_process.call(device_of, self.name, device).startswith(beginning)

    def test_forked_child_computes_in_a_process_of_its_own(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _FORK, self.name, str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "KERAS_BACKEND": self.name},
        )
        results = json.loads(done.stdout.splitlines()[-1])
        rows = np.load(tmp_path / "rows.npy")
        for name in ("array.npy", "thread.npy", "file.npy"):
            result = np.load(tmp_path / name)
            assert result.tobytes() == true_quotient(rows).astype("f4").tobytes()
        assert results.pop("backend") == self.name
        assert results.pop("checked") == 0
        assert results.pop("device").startswith("BackendError: ")
        assert set(results) == {
            "l2_normalize",
            "L2Normalization",
            "new L2Normalization",
            "build_model",
            "export_model",
        }
        for name, message in results.items():
            assert message == (
                f"BackendError: l2cli.{name.removeprefix('new ')} can't be used in a process that "
                "was forked after a backend had started; start it with multiprocessing's 'spawn' "
                "or 'forkserver' instead, or have it call l2cli.normalize, which works in a fork"
            )


_FORK = """
import json, os, signal, sys, threading
from pathlib import Path
import numpy as np
import l2cli
from l2cli.checking.check import check

name, folder = sys.argv[1:]
rows = np.random.default_rng(1).standard_normal((20, 11)).astype("f4")
np.save(f"{folder}/rows.npy", rows)
l2cli.normalize(rows[:, :8], backend=name)
layer = l2cli.L2Normalization()
layer(rows)

def refusal(call):
    try:
        return str(call())
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def work():
    np.save(f"{folder}/array.npy", l2cli.normalize(rows))
    save = lambda: np.save(f"{folder}/thread.npy", l2cli.normalize(rows))
    threads = [threading.Thread(target=save), threading.Thread(target=l2cli.normalize, args=[rows])]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    report = l2cli.normalize_file(f"{folder}/rows.npy", f"{folder}/file.npy")
    return {
        "backend": report.backend,
        "checked": check([Path(folder, "file.npy")]).exit_code,
        "device": refusal(lambda: l2cli.normalize(rows, device="gpu:77")),
        "l2_normalize": refusal(lambda: l2cli.l2_normalize(rows)),
        "L2Normalization": refusal(lambda: layer(rows)),
        "new L2Normalization": refusal(lambda: l2cli.L2Normalization()(rows)),
        "build_model": refusal(lambda: l2cli.build_model((9,))),
        "export_model": refusal(lambda: l2cli.export_model(f"{folder}/model.keras", (9,))),
    }

reading, writing = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(240)
    os.write(writing, json.dumps(work()).encode())
    os._exit(0)
os.close(writing)
with os.fdopen(reading) as stream:
    print(stream.read())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
