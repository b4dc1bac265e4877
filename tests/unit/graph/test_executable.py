"""Graphs run by ``jaxlib`` alone: when that way is taken, and that nobody notices when it isn't."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.graph import keys as graph_keys
from l2cli.graph.backends import executable, jax
from l2cli.graph.spec import GraphSpec
from l2cli.runtime import distributions, processors
from tests.support.commands import l2norm_anew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from tests.support.workers import KeptGraphsProcess

SPEC = GraphSpec("normalize", (16, 8), "float32", "float32", (1,), 1e-12)
CPUINFO = "processor\t: 0\nmodel name\t: A\ncpu MHz\t: 1.5\nflags\t: sse avx\n\nprocessor\t: 1\n"


@pytest.fixture
def unopened() -> Iterator[None]:
    executable.open_runtime.cache_clear()
    yield
    executable.open_runtime.cache_clear()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(5).standard_normal((10, 8)).astype("f4"))
    return path


def _run(source: Path, *options: str, **environ: str) -> tuple[bytes, str]:
    """Return the file that a run writes, and the last line that it says."""
    target = source.with_name("unit.npy")
    arguments: list[str | Path] = ["normalize", source, "-o", target, "--overwrite", *options]
    done = l2norm_anew(*arguments, cwd=None, **environ)
    assert (done.code, done.out) == (0, "")
    return target.read_bytes(), done.err.splitlines()[-1]


# When it is taken


def test_debug_says_which_way_a_run_took_and_why(source: Path) -> None:
    whole, line = _run(source, "--debug")
    assert line == (
        "l2norm: jax ran through jax: no executable of this graph was kept for this machine"
    )
    again, line = _run(source, "--debug")
    assert line == (
        "l2norm: jax ran through jaxlib alone: the executable was kept by an earlier run"
    )
    third, line = _run(source, "--debug", PJRT_NAMES_AND_LIBRARY_PATHS="")
    assert line == "l2norm: jax ran through jax: a plug-in of jax may bring another device"
    assert whole == again == third


def test_other_settings_of_the_compiler_get_code_of_their_own(source: Path) -> None:
    _run(source)
    flags = "--xla_cpu_enable_fast_min_max=true"
    for way in ("through jax:", "through jaxlib alone:"):
        assert way in _run(source, "--debug", XLA_FLAGS=flags)[1]


_IMPORTS = """
import sys, numpy as np, l2cli
from l2cli import FileOptions
l2cli.normalize_file(sys.argv[1], sys.argv[2], files=FileOptions(overwrite=True))
print([name for name in ("jax", "keras", "tensorflow") if name in sys.modules])
import jax.numpy as jnp
print(float(jnp.ones(3).sum()), jnp.ones(3).dtype)
again = l2cli.normalize(np.load(sys.argv[1]))
print(again.tobytes() == np.load(sys.argv[2]).tobytes())
"""


def test_the_second_run_imports_no_jax_which_can_be_used_afterwards(
    source: Path, tmp_path: Path
) -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", _IMPORTS, source, tmp_path / "unit.npy"],
            check=True,
            capture_output=True,
            text=True,
        )
        for _ in range(2)
    ]
    assert [done.stdout.splitlines()[0] for done in outputs] == ["['jax', 'keras']", "[]"]
    for done in outputs:
        assert done.stdout.splitlines()[1:] == ["3.0 float32", "True"]
        assert done.stderr == ""


def test_jax_decides_where_there_may_be_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax, "_has_plugin", lambda: True)
    assert jax._obstacle("auto") == "a plug-in of jax may bring another device"
    assert jax._obstacle("gpu") == "`device` is 'gpu'"
    assert jax._obstacle("cpu") == ""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert jax._obstacle("auto") == ""
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    assert jax._obstacle("cpu") == "JAX_PLATFORMS is 'cuda,cpu'"
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace())
    assert jax._obstacle("cpu") == "jax is imported in this process already"


def test_plugins_are_seen_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jax_abacus-1.5.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("[jax_plugins]\nabacus = jax_abacus\n")
    distributions._folders.cache_clear()
    before = distributions.has_entry_points("jax_plugins")
    monkeypatch.syspath_prepend(str(tmp_path))
    distributions._folders.cache_clear()
    assert (before, distributions.has_entry_points("jax_plugins")) == (False, True)
    assert distributions.version_of("jax.abacus") == "1.5"
    assert distributions.version_of("no-such-distribution") == ""
    distributions._folders.cache_clear()


def test_workers_of_a_store_import_no_jax_either(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for name in ("a", "b", "c"):
        np.save(store / f"{name}.npy", np.load(source))
    results = []
    for _ in range(2):
        done = l2norm_anew("normalize", store, "-o", tmp_path / "unit", "--overwrite", "--jobs=2")
        assert done.code == 0, done.err
        paths = sorted((tmp_path / "unit").glob("*.npy"))
        results.append([path.read_bytes() for path in paths])
        # The second run finds a jax that can't be imported.
        (tmp_path / "broken" / "jax").mkdir(parents=True, exist_ok=True)
        (tmp_path / "broken" / "jax" / "__init__.py").write_text("raise ImportError")
        path = os.pathsep.join([str(tmp_path / "broken"), *sys.path])
        monkeypatch.setenv("PYTHONPATH", path)
        shutil.rmtree(tmp_path / "unit")
    assert len(results[0]) == 3
    assert results[0] == results[1]


# What it is kept for


def _identify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str) -> str:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    monkeypatch.setattr(processors, "_CPUINFO", path)
    return graph_keys.identify_machine(tmp_path)


def test_code_of_another_machine_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_jax.so").write_bytes(b"library")
    here = _identify(tmp_path, monkeypatch, CPUINFO)
    assert here == _identify(tmp_path, monkeypatch, CPUINFO.replace("1.5", "3.5"))
    machines = [here]
    for old, new in (("sse avx", "sse"), ("A", "B")):
        machines.append(_identify(tmp_path, monkeypatch, CPUINFO.replace(old, new)))
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    machines.append(_identify(tmp_path, monkeypatch, CPUINFO))
    (tmp_path / "_jax.so").write_bytes(b"another library")
    machines.append(_identify(tmp_path, monkeypatch, CPUINFO))
    keys = [graph_keys.make_executable_key(SPEC, "graph", machine) for machine in machines]
    keys += [graph_keys.make_executable_key(SPEC.of_any_batch, "graph", here)]
    keys += [graph_keys.make_executable_key(SPEC, "another graph", here)]
    assert len(set(keys)) == len(keys)


_CHANGES = """
import os, sys
from pathlib import Path
import numpy as np, l2cli

def num_kept(dim):
    l2cli.normalize(np.ones((2, dim), "f4"))
    return len(list(Path(os.environ["L2NORM_CACHE_DIR"]).glob("*.executable")))

kept = [num_kept(3)]
import jax
jax.config.update("jax_disable_most_optimizations", True)
kept.append(num_kept(4))
jax.config.update("jax_disable_most_optimizations", False)
os.environ["XLA_FLAGS"] = "--xla_cpu_enable_fast_math=true"
kept.append(num_kept(5))
del os.environ["XLA_FLAGS"]
kept.append(num_kept(6))
print(kept)
"""


def test_code_is_not_kept_while_a_program_changes_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    line = [sys.executable, "-c", _CHANGES]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    assert done.stdout == "[1, 1, 1, 2]\n"


def test_nothing_is_kept_where_flags_lie_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_jax.so").write_bytes(b"library")
    assert _identify(tmp_path, monkeypatch, CPUINFO)
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags.txt"))
    assert _identify(tmp_path, monkeypatch, CPUINFO) == ""


def test_nothing_is_kept_where_the_processor_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert graph_keys.identify_machine(tmp_path) == ""
    (tmp_path / "_jax.so").write_bytes(b"library")
    assert _identify(tmp_path, monkeypatch, "processor\t: 0\n") == ""
    monkeypatch.setattr(processors, "_CPUINFO", tmp_path / "missing")
    assert graph_keys.identify_machine(tmp_path) == ""
    assert graph_keys.identify_machine(tmp_path / "missing") == ""


# Where the interface is another


def _library() -> SimpleNamespace:
    module = importlib.import_module("jaxlib._jax")
    return SimpleNamespace(**{name: getattr(module, name) for name in dir(module)})


@pytest.mark.parametrize(
    "name",
    [
        "batched_device_put",
        "array_result_handler",
        "collect_garbage",
        "get_tfrt_cpu_client",
        "DeviceList",
        "SingleDeviceSharding",
    ],
)
@pytest.mark.usefixtures("unopened")
def test_a_missing_or_changed_interface_closes_the_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise TypeError("no such argument")

    library = _library()
    monkeypatch.setitem(sys.modules, "jaxlib._jax", library)
    if name not in {"array_result_handler", "collect_garbage"}:  # These are for executables.
        setattr(library, name, refuse)
        assert executable.open_runtime() is None
        executable.open_runtime.cache_clear()
    delattr(library, name)
    assert executable.open_runtime() is None


@pytest.mark.usefixtures("unopened")
def test_no_executable_is_no_error() -> None:
    runtime = executable.open_runtime()
    assert runtime is not None
    assert runtime.load(b"", SPEC) is None
    assert runtime.load(b"no executable", SPEC) is None
    assert executable.serialized(None) is None


def _outputs_of_failing_graph(rows: np.ndarray) -> tuple[list[bytes], str]:
    """Return what a kept graph gives that fails at its second batch, and the way it took."""
    from l2cli.graph.backends.load import load_backend

    backend = load_backend("jax", "cpu")
    assert isinstance(backend, jax.JaxBackend)
    assert backend._runtime is not None
    load = backend._runtime.load
    attempts: list[None] = []

    def load_failing(content: bytes, spec: GraphSpec) -> Any:
        attempt = load(content, spec)
        assert attempt is not None

        def failing(*arrays: np.ndarray) -> Any:
            attempts.append(None)
            return attempt(*arrays) if len(attempts) < 2 else None

        return failing

    backend._runtime.load = load_failing  # type: ignore[method-assign]
    graph = backend.compile(GraphSpec("normalize", rows.shape, "float32", "float32", (1,), 1e-12))
    contents = [graph(rows)[0].tobytes() for _ in range(4)]
    assert len(attempts) == 2
    return contents, backend.route


def test_a_graph_that_fails_is_made_anew(kept_graphs_process: KeptGraphsProcess) -> None:
    rows = np.random.default_rng(1).standard_normal((16, 9)).astype("f4")
    expected = kept_graphs_process.run(rows)[0].tobytes()
    contents, route = kept_graphs_process.find_anew(_outputs_of_failing_graph, rows)
    assert contents == [expected] * 4
    assert route == "through jax: the executable that was kept failed"


# Memory and threads


def _growth(rows: np.ndarray, num_batches: int) -> int:
    """Return by how many bytes the process grows while it runs a graph over and over."""
    from l2cli.graph.backends.load import load_backend

    dtype = rows.dtype.name
    spec = GraphSpec("normalize", rows.shape, dtype, dtype, (1,), 1e-12)
    graph = load_backend("jax", "cpu").compile(spec)
    first = [output.copy() for output in graph(rows)]
    for _ in range(num_batches // 10):
        graph(rows)
    before = _resident()
    for _ in range(num_batches):
        outputs = graph(rows)
    assert [output.tobytes() for output in outputs] == [output.tobytes() for output in first]
    return _resident() - before


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def _lifetimes(rows: np.ndarray) -> tuple[bool, bool, bool]:
    """Return whether an input is let go after the call, and an output lives and is no input."""
    from l2cli.graph.backends.load import load_backend

    spec = GraphSpec("normalize", rows.shape, "float32", "float32", (1,), 1e-12)
    graph = load_backend("jax", "cpu").compile(spec)
    memory = np.empty(rows.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    aligned = memory[start : start + rows.nbytes].view(rows.dtype).reshape(rows.shape)
    aligned[:] = rows
    count = sys.getrefcount(aligned)
    outputs = graph(aligned)
    contents = [output.tobytes() for output in outputs]
    is_free = sys.getrefcount(aligned) == count
    is_apart = not any(np.shares_memory(aligned, output) for output in outputs)
    aligned[:] = 7
    del graph
    for _ in range(100):
        load_backend("jax", "cpu").compile(spec)(aligned)
    lives = [output.tobytes() for output in outputs] == contents
    return is_free, is_apart, lives


def test_memory_lives_as_long_as_it_must(kept_graphs_process: KeptGraphsProcess) -> None:
    rows = np.random.default_rng(7).standard_normal((256, 64)).astype("f4")
    kept_graphs_process.run(rows)
    assert kept_graphs_process.find(_lifetimes, rows) == (True, True, True)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_many_batches_take_no_more_memory(kept_graphs_process: KeptGraphsProcess) -> None:
    rows = np.random.default_rng(2).standard_normal((64, 64)).astype("f4")
    kept_graphs_process.run(rows)
    growth = kept_graphs_process.find(_growth, rows, 10_000)
    assert growth < 100 * rows.nbytes  # Of 10,000.


def _results_of_threads(arrays: list[np.ndarray]) -> list[bytes]:
    """Return the results of one graph that many threads run, while others' are dropped."""
    from concurrent.futures import ThreadPoolExecutor

    from l2cli.graph.backends.load import load_backend

    dtype = arrays[0].dtype.name
    spec = GraphSpec("normalize", arrays[0].shape, dtype, dtype, (1,), 1e-12)
    graph = load_backend("jax", "cpu").compile(spec)

    def result(array: np.ndarray) -> np.ndarray:
        output: np.ndarray = graph(array.copy())[0]
        return output

    with ThreadPoolExecutor(8) as pool:
        futures: list[Future[np.ndarray]] = [
            pool.submit(result, array) for _ in range(20) for array in arrays
        ]
        return [future.result().tobytes() for future in futures]


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_threads_share_a_graph(kept_graphs_process: KeptGraphsProcess, dtype: str) -> None:
    from l2cli.dtypes import numpy_dtype

    generator = np.random.default_rng(3)
    arrays = [generator.standard_normal((64, 33)).astype(numpy_dtype(dtype)) for _ in range(10)]
    expected = [kept_graphs_process.run(array)[0].tobytes() for array in arrays]
    assert kept_graphs_process.find(_results_of_threads, arrays) == expected * 20


# Numbers of rows


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_few_graphs_serve_arrays_of_all_lengths(
    kept_graphs_process: KeptGraphsProcess, dtype: str
) -> None:
    from l2cli.dtypes import numpy_dtype

    rows = np.random.default_rng(4).standard_normal((1100, 700)).astype(numpy_dtype(dtype))
    rows[5, 3], rows[6] = np.nan, 0
    whole = kept_graphs_process.run(rows, nonfinite="keep")[0].tobytes()
    size = rows[0].nbytes
    for num_rows in (1, 2, 10, 100, 1000):
        result = kept_graphs_process.run(rows[:num_rows], nonfinite="keep")[0]
        assert result.tobytes() == whole[: num_rows * size]
