"""What the package imports is declared, and what is missing is named with what installs it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import l2cli
from tests.support.commands import SAMPLES

PACKAGE = Path(l2cli.__file__).parent
PROJECT = PACKAGE.parent / "pyproject.toml"

INDIRECT = {"jax.export": "flatbuffers"}
"""What a library imports that it does not itself depend on, by what we import of it."""
OPTIONAL = {"matplotlib": "plot", "hdf5plugin": "dev"}
"""What a file may do without, and the extra that it is in."""


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", entry)[0].replace("-", "_") for entry in requirements}


def _imported() -> set[str]:
    """Return the dotted name of all that the package imports, wherever that stands."""
    result: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                result |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                result |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Call) and node.args:
                name = ast.unparse(node.func).rpartition(".")[2]
                argument = node.args[0]
                if name in {"import_module", "_import", "import_library"} and isinstance(
                    argument, ast.Constant
                ):
                    result.add(str(argument.value))
    return result


def test_all_that_is_imported_is_declared_and_nothing_else() -> None:
    project: dict[str, Any] = tomllib.loads(PROJECT.read_text())["project"]
    imported = _imported()
    libraries = {name.partition(".")[0] for name in imported} - {"l2cli", "__future__"}
    libraries -= sys.stdlib_module_names
    assert set(INDIRECT) <= imported
    optional = libraries & set(OPTIONAL)
    declared = _names(project["dependencies"])
    assert declared == (libraries - optional) | set(INDIRECT.values())
    for name in optional:
        assert name in _names(project["optional-dependencies"][OPTIONAL[name]])


_WITHOUT = """
import sys
missing = sys.argv.pop(1).split(",")

class Finder:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in missing:
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Finder, sys.meta_path)
from l2cli.cli import main
main()
"""


def _without(missing: str, *arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, missing, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("missing", "source", "name"),
    [
        ("pyarrow", "glove-50d.parquet", "pyarrow"),
        ("pyarrow,h5py", "empty.arrow", "pyarrow"),
        ("h5py", "glove-50d-angular.hdf5", "h5py"),
        ("isal", "glove-50d-angular.hdf5", "isal"),
        ("jax,tensorflow", "glove-50d.npy", "jax"),
        ("jax,jaxlib,keras", "glove-50d.npy", "keras"),
    ],
)
def test_a_missing_library_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, source: str, name: str
) -> None:
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "empty.arrow").write_bytes(b"ARROW1\0\0")
    path = SAMPLES / source if (SAMPLES / source).exists() else tmp_path / source
    code, message = _without(missing, "normalize", path, "-o", tmp_path / f"x{path.suffix}")
    assert (code, message.count("\n")) == (2, 1)
    assert f"{name} is not installed: pip install {name}" in message
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_other_commands_name_it_too(command: str) -> None:
    code, message = _without("pyarrow", command, SAMPLES / "glove-50d.parquet")
    assert (code != 0, message.count("\n")) == (True, 1)
    assert message.endswith("pyarrow is not installed: pip install pyarrow\n")


def test_graphs_are_made_but_not_kept_without_flatbuffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    source = SAMPLES / "glove-50d.npy"
    code, message = _without(
        "flatbuffers,tensorflow", "normalize", source, "-o", tmp_path / "x.npy"
    )
    assert (code, message.count("\n")) == (0, 1)
    assert not list((tmp_path / "cache").glob("*.stablehlo"))
    norms = np.linalg.norm(np.load(tmp_path / "x.npy").astype("f8"), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-6)
    code, message = _without(
        "flatbuffers,tensorflow", "export", tmp_path / "x.stablehlo", "--dim", "4"
    )
    assert (code, message) == (
        2,
        "l2norm: jax writes StableHLO with flatbuffers: pip install it\n",
    )
    assert not (tmp_path / "x.stablehlo").exists()
