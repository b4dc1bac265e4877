"""Exports: written by the command, loaded where ``l2cli`` isn't, and whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.errors import DestinationError, OptionError
from l2cli.filesystem.atomic_folder import replacing_folder
from l2cli.graph.export import export_model
from tests.support.commands import l2norm
from tests.support.reference import BFLOAT16

if TYPE_CHECKING:
    from tests.support.workers import BackendProcess

Array = np.ndarray[Any, Any]

_CASES: dict[str, tuple[tuple[int, ...], int | tuple[int, ...]]] = {
    "float16": ((20,), -1),
    "bfloat16": ((20,), -1),
    "float32": ((20,), -1),
    "float64": ((20,), -1),
    "blocks": ((4, 3), (1, 2)),
}
"""Of each export, the shape of a row and the axis."""

_LOADING = """
import os, sys
import ml_dtypes, numpy as np
sys.modules["l2cli"] = None  # Whoever imports it fails.

def keras_model(path, name):
    import keras
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
    return keras.saving.load_model(path)

def saved_model(path, name):
    import tensorflow as tf
    loaded = tf.saved_model.load(path)
    signature = loaded.signatures["serving_default"]
    assert tuple(signature.structured_input_signature[1]["rows"].shape)[0] is None
    def call(rows):
        served = signature(rows=tf.constant(rows))["output_0"].numpy()
        assert served.tobytes() == loaded.serve(rows).numpy().tobytes()
        return served
    return call

def stable_hlo(path, name):
    import jax
    jax.config.update("jax_enable_x64", name == "float64")
    return jax.export.deserialize(bytearray(open(path, "rb").read())).call

for argument in sys.argv[1:]:
    load, maker, path, name = argument.split(",")
    call = globals()[load](path, name)
    rows = np.load(name + ".npy")
    rows = rows.view(ml_dtypes.bfloat16) if name == "bfloat16" else rows
    expected = np.load(f"{name}.{maker}.npy")
    for size in (len(rows), 1):
        assert np.asarray(call(rows[:size])).tobytes() == expected[:size].tobytes(), path
"""


def _rows(name: str) -> Array:
    dtype: Any = {"bfloat16": BFLOAT16, "blocks": "float32"}.get(name, name)
    rng = np.random.default_rng(0)
    shape, _ = _CASES[name]
    sizes = np.exp(rng.standard_normal((50, *[1] * len(shape))))
    return (rng.standard_normal((50, *shape)) * sizes).astype(dtype)


def _export_all(folder: str, suffix: str) -> None:
    for name, (shape, axis) in _CASES.items():
        dtype = "float32" if name == "blocks" else name
        report = export_model(f"{folder}/unit-{name}{suffix}", shape, axis, dtype=dtype)
        assert report.shape == shape


@pytest.mark.parametrize(
    ("user", "forms"),
    [
        ("tensorflow", [("jax", ".keras", "keras_model"), ("tensorflow", "", "saved_model")]),
        ("jax", [("tensorflow", ".keras", "keras_model"), ("jax", ".stablehlo", "stable_hlo")]),
    ],
    ids=["keras and savedmodel on tensorflow", "keras and stablehlo on jax"],
)
def test_an_export_gives_the_bytes_of_the_command_where_l2cli_is_not(
    jax_process: BackendProcess,
    tensorflow_process: BackendProcess,
    tmp_path: Path,
    user: str,
    forms: list[tuple[str, str, str]],
) -> None:
    processes = {"jax": jax_process, "tensorflow": tensorflow_process}
    arguments = []
    for maker, suffix, load in forms:
        processes[maker].call(_export_all, str(tmp_path), suffix)
        for name, (_, axis) in _CASES.items():
            rows = _rows(name)
            axes = axis if isinstance(axis, tuple) else (axis,)
            np.save(tmp_path / f"{name}.npy", rows)
            np.save(tmp_path / f"{name}.{maker}.npy", processes[maker].run(rows, axis=axes)[0])
            arguments.append(f"{load},{maker},unit-{name}{suffix},{name}")
    environ = {"KERAS_BACKEND": user, "JAX_ENABLE_X64": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _LOADING, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stderr


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    done = l2norm("export", "unit.keras", "--dim", "12", "--summary", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.err == ("unit.keras: Keras model, rows of 12 float32 along axis 1, epsilon 1e-12\n")
    assert "l2_normalization" in done.out
    assert "Total params: 0" in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["unit.keras"]


def _export_blocks(path: str) -> None:
    export_model(path, (4, 3), (1, 2), dtype="float16")


def test_the_command_replaces_a_folder_if_that_was_said(
    tensorflow_process: BackendProcess, tmp_path: Path
) -> None:
    options = ("--shape", "4,3", "--axis", "1,2", "--dtype", "float16", "-q")
    tensorflow_process.call(_export_blocks, str(tmp_path / "unit"))
    before = (tmp_path / "unit" / "saved_model.pb").stat().st_ino
    refused = l2norm("export", "unit", *options, cwd=tmp_path, backend="tensorflow")
    assert (refused.code, refused.err) == (
        3,
        "l2norm: unit exists; replace it with --overwrite, or name another\n",
    )
    done = l2norm("export", "unit", *options, "--overwrite", cwd=tmp_path, backend="tensorflow")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (tmp_path / "unit" / "saved_model.pb").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["unit"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x.h5", "--dim", "4"], 2, "x.h5: no graph is written as '.h5'; name it *.keras or"),
        (["x.keras", "--dim", "0"], 2, "(0,), expected lengths of 1 or more"),
        (["x.keras", "--dim", "4,x"], 2, "'4,x' is not INT or INT,INT…"),
        (["x.keras", "--dim", "4", "--axis", "0"], 2, "--axis is (0,), and axis 0 is the batch"),
        (["x.keras", "--dim", "4", "--epsilon", "-1"], 2, "--epsilon is -1.0, expected a finite"),
        (["x.keras", "--dim", "4", "--to", "stablehlo"], 2, "is named like a Keras model"),
        (["no/x.keras", "--dim", "4"], 3, "there is no folder"),
        (["x.keras"], 2, "Missing option '--dim' / '--shape'"),
        ([".", "--dim", "4", "--overwrite"], 3, "is a folder of other things (it has no saved_"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "mine.txt").touch()
    done = l2norm("export", *arguments, cwd=tmp_path)
    assert done.code == code, done.err
    assert message in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("to", ["onnx", ""])
def test_an_unknown_form_is_refused(tmp_path: Path, to: str) -> None:
    with pytest.raises(OptionError, match="expected keras, savedmodel, stablehlo"):
        export_model(tmp_path / "x", (4,), to=to)


def _export_on_another_backend(path: str) -> str:
    from l2cli.errors import BackendError

    try:
        export_model(path, (4,))
    except BackendError as exc:
        return str(exc)
    return ""


def test_a_form_of_another_backend_needs_another_process(
    jax_process: BackendProcess, tmp_path: Path
) -> None:
    message = jax_process.call(_export_on_another_backend, str(tmp_path / "x"))
    assert message.startswith("Keras already runs on jax in this process, so tensorflow can't be")
    assert list(tmp_path.iterdir()) == []


class TestReplacingFolder:
    """A folder appears whole, or what was there stays."""

    @staticmethod
    def _write(folder: Path, text: str, *, overwrite: bool = False) -> None:
        with replacing_folder(folder, marker="marker", overwrite=overwrite) as made:
            (made / "marker").write_text(text)
            (made / "inner").mkdir()
            (made / "inner" / "file").touch()

    @staticmethod
    def _fail(folder: Path, error: type[BaseException]) -> None:
        with replacing_folder(folder, marker="marker", overwrite=True) as made:
            (made / "marker").write_text("half")
            raise error("stop")

    @staticmethod
    def _all(folder: Path) -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

    def test_a_new_one_has_the_usual_permissions(self, tmp_path: Path) -> None:
        self._write(tmp_path / "x", "new")
        (tmp_path / "usual").mkdir()
        assert (tmp_path / "x").stat().st_mode == (tmp_path / "usual").stat().st_mode
        assert self._all(tmp_path) == ["usual", "x", "x/inner", "x/inner/file", "x/marker"]

    def test_a_folder_with_the_marker_is_replaced_if_that_was_said(self, tmp_path: Path) -> None:
        self._write(tmp_path / "x", "old")
        with pytest.raises(DestinationError, match="exists; replace it with `overwrite=True`"):
            self._write(tmp_path / "x", "new")
        assert (tmp_path / "x" / "marker").read_text() == "old"
        self._write(tmp_path / "x", "new", overwrite=True)
        assert (tmp_path / "x" / "marker").read_text() == "new"
        assert [path.name for path in tmp_path.iterdir()] == ["x"]

    def test_an_empty_one_is_filled_and_no_other_is_touched(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        self._write(tmp_path / "x", "new")
        (tmp_path / "y").mkdir()
        (tmp_path / "y" / "mine").touch()
        with pytest.raises(DestinationError, match=r"folder of other things \(it has no marker\)"):
            self._write(tmp_path / "y", "new", overwrite=True)
        with pytest.raises(DestinationError, match="is a file, expected a folder"):
            self._write(tmp_path / "y" / "mine", "new", overwrite=True)
        with pytest.raises(DestinationError, match="there is no folder"):
            self._write(tmp_path / "z" / "x", "new")
        assert self._all(tmp_path / "y") == ["mine"]

    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    def test_an_error_leaves_what_was_there(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
        self._write(tmp_path / "x", "old")
        with pytest.raises(error, match="stop"):
            self._fail(tmp_path / "x", error)
        assert (tmp_path / "x" / "marker").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["x"]

    def test_a_failing_rename_puts_the_old_one_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._write(tmp_path / "x", "old")
        rename = Path.rename

        def fail(path: Path, target: Path) -> Path:
            if path.name == "made":
                raise OSError("no")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="no"):
            self._write(tmp_path / "x", "new", overwrite=True)
        assert (tmp_path / "x" / "marker").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
