"""What ``import l2cli`` offers: names, arrays in memory, and files."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import l2cli
from l2cli.errors import OptionError, RowError, SourceError
from tests.support.commands import SAMPLES, l2norm
from tests.support.reference import BFLOAT16, rows_of_all_sizes, true_quotient, worst_ulp

if TYPE_CHECKING:
    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]

SAMPLE = SAMPLES / "glove-50d.npy"


def test_the_public_names_are_these() -> None:
    assert l2cli.__all__ == [
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
    assert set(l2cli.__all__) <= set(dir(l2cli))
    with pytest.raises(AttributeError, match="module 'l2cli' has no attribute 'denormalize'"):
        _ = l2cli.denormalize


_NAMES = """
import sys, l2cli
assert not {"numpy", "keras", "jax", "tensorflow", "h5py", "pyarrow"} & set(sys.modules)
graph = {"L2Normalization", "build_model", "l2_normalize"}
for name in set(l2cli.__all__) - graph:
    getattr(l2cli, name)
assert not {"keras", "jax", "tensorflow", "h5py", "pyarrow"} & set(sys.modules)
for name in l2cli.__all__:
    public = getattr(l2cli, name)
    assert public.__name__ == name and public.__module__.startswith("l2cli."), name
    assert public.__doc__
"""


def test_names_are_loaded_when_they_are_used() -> None:
    environ = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", _NAMES], check=True, env=environ)


def test_no_module_hides_a_public_name() -> None:
    package = Path(l2cli.__file__).parent
    parts = {path.stem for path in package.iterdir()}
    assert not parts & set(l2cli.__all__)


_PROGRAM = """
from pathlib import Path

import l2cli

options = l2cli.NormalizeOptions(dtype="float16", axis=(-1,))
files = l2cli.FileOptions(overwrite=True)
report: l2cli.Report = l2cli.normalize_file("x.npy", "y.npy", options)
stores = l2cli.StoreOptions(jobs=2, overwrite=files.overwrite)
store: l2cli.StoreReport = l2cli.normalize_store([Path("a")], Path("b"), options, stores)
checked: l2cli.CheckReport = l2cli.check([Path("x.npy")], l2cli.CheckOptions(tolerance=1e-3))
inspection: l2cli.Inspection = l2cli.inspect_file("x.npy", l2cli.OpenOptions())
exported = l2cli.export_model("x.keras", (4,))
model = l2cli.build_model((4,))
layer = l2cli.L2Normalization()
array = l2cli.normalize([[3.0, 4.0]])
tensor = l2cli.l2_normalize(array)
print(report.seconds + store.seconds + checked.seconds, inspection.format, exported.axes)


def line_of(error: l2cli.L2NormError) -> str:
    if isinstance(error, (l2cli.OptionError, l2cli.BackendError, l2cli.DestinationError)):
        return "not yours"
    if isinstance(error, (l2cli.FormatError, l2cli.SelectionError, l2cli.RowError)):
        return "the source"
    return str(isinstance(error, (l2cli.NoArrayError, l2cli.OtherArraysError, l2cli.SourceError)))
"""


def test_a_users_program_sees_the_types(tmp_path: Path) -> None:
    assert (Path(l2cli.__file__).parent / "py.typed").exists()
    names = set(re.findall(r"l2cli\.(\w+)", _PROGRAM))
    assert names == set(l2cli.__all__)
    (tmp_path / "program.py").write_text(_PROGRAM + "\nl2cli.NormalizeOptions(epsilon='x')\n")
    # As mypy reads what is installed: only of a package with py.typed, and without its settings.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "l2cli").symlink_to(Path(l2cli.__file__).parent)
    arguments = f"--strict --config-file {os.devnull} --follow-imports silent --cache-dir cache"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments.split(), "program.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if line.startswith("program.py")]
    assert len(errors) == 1, done.stdout
    assert 'incompatible type "str"; expected "float"' in errors[0]


# One array.


def _normalize(array: Array, options: dict[str, Any]) -> Array:
    return l2cli.normalize(array, **options)


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16, "float32", "float64"], ids=str)
def test_an_array_gets_the_bytes_of_the_command(
    backend: BackendProcess, dtype: Any, tmp_path: Path
) -> None:
    rows = rows_of_all_sizes(dtype, 300, 24)
    before = rows.tobytes()
    np.save(tmp_path / "x.npy", rows)
    same = "bfloat16" if rows.dtype == BFLOAT16 else "same"  # An npy doesn't say that it is that.
    command = ("normalize", "x.npy", "-o", "y.npy", "--backend", backend.name, "--dtype", same)
    done = l2norm(*command, "--device", "cpu", cwd=tmp_path, backend=backend.name)
    assert done.code == 0, done.err
    written = np.load(tmp_path / "y.npy")
    assert backend.call(_normalize, rows, {}).tobytes() == written.tobytes()
    for options in ({}, {"epsilon": 0.0}, {"axis": 0}, {"dtype": "float32"}):
        axis = options.get("axis", -1)
        requested = {**options, "axis": (axis,)}
        expected = backend.run(rows, **requested)[0]
        result = backend.call(_normalize, rows, options)
        assert result.dtype == expected.dtype
        assert result.tobytes() == expected.tobytes()
    assert rows.tobytes() == before


def test_byte_order_and_memory_order_stay() -> None:
    rows = np.asfortranarray(np.random.default_rng(0).standard_normal((50, 20)).astype(">f8"))
    result = l2cli.normalize(rows)
    assert result.dtype == rows.dtype
    assert result.flags.f_contiguous
    assert worst_ulp(result.astype("f8"), rows) <= 4


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0, 5), (5, 0)])
@pytest.mark.parametrize("axis", [-1, 0, (0, -1)])
def test_arrays_of_any_shape(shape: tuple[int, ...], axis: Any) -> None:
    if len(shape) == 1 and axis == (0, -1):
        axis = 0
    rows = np.random.default_rng(0).standard_normal(shape).astype("f4")
    result = l2cli.normalize(rows, axis)
    norms = np.sqrt((rows.astype("f8") ** 2).sum(axis, keepdims=True))
    np.testing.assert_allclose(result, rows / np.maximum(norms, 1e-6), rtol=1e-6)


def test_batches_change_no_bit() -> None:
    rows = np.random.default_rng(0).standard_normal((100, 20)).astype("f4")
    assert l2cli.normalize(rows, batch_size=7).tobytes() == l2cli.normalize(rows).tobytes()


def test_options_are_those_of_the_command() -> None:
    rows = np.array([[3, 4], [0, 0], [np.nan, 1]], "f4")
    with pytest.raises(RowError, match="row 2 holds NaN or Inf"):
        l2cli.normalize(rows)
    kept = l2cli.normalize(rows, nonfinite="keep")
    np.testing.assert_array_equal(kept, np.array([[0.6, 0.8], [0, 0], [np.nan, 1]], "f4"))
    with pytest.raises(RowError, match="row 1 is all zeros"):
        l2cli.normalize(rows[:2], zero_rows="error")
    assert l2cli.normalize(rows[:1], truncate_dim=1).tolist() == [[1.0]]
    with pytest.raises(OptionError, match="`epsilon` is -1, expected a finite number"):
        l2cli.normalize(rows, epsilon=-1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        l2cli.normalize(rows, colour="red")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": None}, "`axis` is None, expected an integer, or several"),
        ({"axis": ()}, "`axis` is empty, expected at least one axis"),
        ({"axis": "a"}, "`axis` is 'a', expected an integer, or several"),
        ({"axis": 1.0}, "`axis` is 1.0, expected an integer, or several"),
        ({"axis": True}, "`axis` is True, expected an integer, or several"),
        ({"axis": (0, None)}, "`axis` is None, expected an integer, or several"),
        ({"axis": (1, 1)}, r"`axis=\(1, 1\)` names one axis twice"),
        ({"epsilon": None}, "`epsilon` is None, expected a finite number, 0 or more"),
        ({"epsilon": float("nan")}, "`epsilon` is nan, expected a finite number, 0 or more"),
        ({"epsilon": 1j}, "`epsilon` is 1j, expected a finite number, 0 or more"),
        ({"epsilon": "1e-6"}, "`epsilon` is 1e-6, expected a finite number, 0 or more"),
        ({"epsilon": True}, "`epsilon` is True, expected a finite number, 0 or more"),
        ({"dtype": None}, "`dtype` is None, expected same, float16"),
        ({"dtype": np.float32}, "`dtype` is <class 'numpy.float32'>, expected same, float16"),
        ({"dtype": np.dtype("f4")}, r"`dtype` is dtype\('float32'\), expected same, float16"),
        ({"dtype": ["float32"]}, r"`dtype` is \['float32'\], expected same"),
        ({"batch_size": 0}, "`batch_size` is 0, expected an integer, 1 or more"),
        ({"batch_size": -1}, "`batch_size` is -1, expected an integer, 1 or more"),
        ({"batch_size": 1.5}, "`batch_size` is 1.5, expected an integer, 1 or more"),
        ({"batch_size": "9"}, "`batch_size` is '9', expected an integer, 1 or more"),
        ({"truncate_dim": 2.0}, "`truncate_dim` is 2.0, expected an integer, 1 or more"),
        ({"device": None}, "`device` is None, expected auto, cpu, gpu or gpu:N"),
        ({"device": "tpu"}, "device`? is 'tpu', expected auto, cpu, gpu or gpu:N"),
        ({"device": ["cpu"]}, r"`device` is \['cpu'\], expected auto, cpu, gpu or gpu:N"),
        ({"backend": "torch"}, "`backend` is 'torch', expected auto, jax, tensorflow"),
        ({"backend": None}, "`backend` is None, expected auto, jax, tensorflow"),
        ({"nonfinite": 3}, "`nonfinite` is 3, expected error, keep, zero"),
    ],
    ids=str,
)
def test_an_option_of_another_type_or_range_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        l2cli.normalize(np.ones((2, 3), "f4"), **options)


def test_an_axis_that_is_named_twice_is_refused_everywhere(tmp_path: Path) -> None:
    rows = np.ones((2, 3), "f4")
    with pytest.raises(SourceError, match=r"`axis=\(1, -1\)` names one axis of array twice"):
        l2cli.normalize(rows, (1, -1))
    with pytest.raises(ValueError, match=r"`axis=\(1, 1\)` names one axis of the input twice"):
        l2cli.build_model((3,), (1, 1))
    np.save(tmp_path / "x.npy", rows)
    for axis, what in (("1,1", "one axis twice"), ("1,-1", "one axis of array twice")):
        done = l2norm("normalize", "x.npy", "--axis", axis, cwd=tmp_path)
        assert (done.code, done.err.count("\n")) == (2 if axis == "1,1" else 3, 1)
        assert f"--axis {axis} names {what}" in done.err


def test_numbers_of_numpy_are_options_too() -> None:
    rows = np.array([[3, 4], [0, 2]], "f4")
    options: dict[str, Any] = {"epsilon": np.float32(0), "batch_size": np.int64(1)}
    result = l2cli.normalize(rows, np.int32(1), **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result, np.array([[0.6, 0.8], [0, 1]], "f4"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3), "int64"), "array is int64, and unit vectors need a float type"),
        (np.ones((2, 3), "complex64"), "array is complex64, expected numbers, such as float32"),
        (np.array(["a"]), "expected numbers, such as float32"),
        (np.float32(1), "array is a single number, expected at least one axis"),
        (np.ones((2, 3), "f4"), r"array has rank 2, so axis 5 is out of range; expected -2 to 1"),
    ],
)
def test_an_array_that_cannot_be_normalized_is_refused(array: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        l2cli.normalize(array, 5 if "rank" in message else -1)


def test_integers_become_floats_where_a_dtype_says_so() -> None:
    result = l2cli.normalize(np.array([[3, 4]]), dtype="float64")
    assert result.dtype == "float64"
    np.testing.assert_allclose(result, [[0.6, 0.8]], rtol=1e-15)


# Files.


def _check(report: l2cli.Report, destination: Path) -> None:
    rows = np.load(SAMPLE)
    np.testing.assert_array_equal(np.load(destination), true_quotient(rows).astype("f4"))
    assert isinstance(report, l2cli.Report)
    assert report.arrays[0].counts.num_rows == len(rows)


def test_a_file_is_named_by_a_string_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    threads: set[threading.Thread] = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.current_thread())

    destination = tmp_path / "x.npy"
    options = l2cli.NormalizeOptions(batch_size=500)
    report = l2cli.normalize_file(str(SAMPLE), str(destination), options, progress=progress)
    _check(report, destination)
    assert told == sorted(told)
    assert told[-1] == (report.num_bytes, report.num_bytes)
    assert threads == {threading.current_thread()}
    inspection = l2cli.inspect_file(str(SAMPLE))
    assert isinstance(inspection, l2cli.Inspection)
    assert inspection.arrays[0].shape == (2000, 50)


def test_what_progress_raises_ends_the_run_and_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        l2cli.normalize_file(SAMPLE, tmp_path / "x.npy", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_normalized_in_threads(tmp_path: Path) -> None:
    reports: dict[int, l2cli.Report] = {}

    def work(number: int) -> None:
        reports[number] = l2cli.normalize_file(SAMPLE, tmp_path / f"{number}.npy")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        _check(reports[number], tmp_path / f"{number}.npy")


def test_a_file_is_normalized_where_an_event_loop_runs(tmp_path: Path) -> None:
    async def cell() -> l2cli.Report:
        return l2cli.normalize_file(SAMPLE, tmp_path / "x.npy")

    _check(asyncio.run(cell()), tmp_path / "x.npy")


def _settings() -> tuple[bool, str]:
    import jax
    import keras

    l2cli.normalize(np.ones((2, 3), "f8"))
    l2cli.l2_normalize(np.ones((2, 3), "f8"))
    return bool(jax.config.jax_enable_x64), str(keras.config.dtype_policy().name)


def test_a_users_settings_stay_as_they_were(jax_process: BackendProcess) -> None:
    assert jax_process.call(_settings) == (False, "float32")


def test_paths_are_strings_or_path_objects_one_or_several(tmp_path: Path) -> None:
    for shard in ("a", "b"):
        np.save(tmp_path / f"{shard}.npy", np.ones((3, 4), "f4"))
    folder, file = str(tmp_path), str(tmp_path / "a.npy")
    several: list[Any] = [folder, tmp_path, [folder], (tmp_path,)]
    for number, sources in enumerate(several):
        target = tmp_path.with_name(f"unit-{number}")
        report = l2cli.normalize_store(sources, str(target))
        assert report.shards["done"] == 2
        assert l2cli.check(folder, against=str(target)).is_unit
    for one in (file, [file], Path(file), iter([file])):
        (checked,) = l2cli.check(one).files
        assert (checked.source, checked.arrays[0].summary.non_unit) == (file, 3)
    with Path(file).open("rb", buffering=0) as stream:
        assert l2cli.check(stream).files[0].source == "standard input"
    assert l2cli.inspect_file(file).arrays == l2cli.inspect_file(Path(file)).arrays


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (l2cli.normalize_file, (5,), "5 is no source; expected a path or a binary stream"),
        (l2cli.normalize_file, (b"x.npy",), "b'x.npy' is no source; expected a path"),
        (l2cli.normalize_file, (SAMPLE, b"x"), "`destination` is b'x', expected a path"),
        (l2cli.normalize_store, ([],), "`sources` is empty; name a file or folder"),
        (l2cli.normalize_store, (SAMPLE, ""), "`destination` is empty; name a folder"),
        (l2cli.normalize_store, (SAMPLE, 5), "5 is no path; expected a string or a pathlib"),
        (l2cli.normalize_store, ([io.BytesIO()],), "give a stream to `normalize_file`"),
        (l2cli.check, ([5],), "5 is no source; expected a path or a binary stream"),
        (l2cli.check, (None,), "None is no source; expected a path or a binary stream"),
        (l2cli.inspect_file, (None,), "None is no path; expected a string or a pathlib.Path"),
    ],
)
def test_what_is_no_path_is_refused(
    function: Any, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        function(*arguments)
