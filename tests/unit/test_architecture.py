"""The layering: imports point downward, siblings don't import each other, heavy waits."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import l2cli
from l2cli.formats.registry import NAMES

PACKAGE = Path(l2cli.__file__).parent

LAYERS = {
    "": """
        __main__
        cli
        bench
        store
        normalization
        checking
        engine
        graph
        io
        formats
        filesystem
        options
        runtime
        arrays report
        text
        dtypes errors
    """,
    "cli": """
        commands
        stores
        child summaries tables
        options errors streams
        progress
        log_lines
        terminal
        bars
    """,
    "formats": f"""
        summaries unread
        registry
        {" ".join(set(NAMES) - {"npy"})}
        npy tabular
        create
        base hints sparse
        errors
    """,
}
"""Of the package, and inside the two whose parts are strangers, what lies where, from the top.

A part imports from lower lines only: not from higher ones, and not from its own line. Formats are
strangers to each other, but for npy, of which npz is made.
"""

OWNERS = {
    "click": {"cli"},
    "tqdm": {"cli"},
    "h5py": {"formats/hdf5"},
    "hdf5plugin": {"formats/hdf5"},
    "isal": {"formats/hdf5"},
    "pyarrow": {"formats/arrow", "formats/parquet", "formats/tabular"},
    "zipfile": {"formats/npz"},
    "keras": {"graph"},
    "jax": {"graph"},
    "jaxlib": {"graph/backends"},
    "tensorflow": {"graph"},
    "matplotlib": {"checking/render"},
    "platformdirs": {"graph"},
}
"""Which folder alone may import a library."""

OPEN_FORMATS = {"registry", "summaries", "unread", "base", "create", "errors", "hints", "tabular"}
"""What the rest of the package may import from ``formats``: the packages of formats it may not."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _parts(folder: str) -> list[list[str]]:
    return [line.split() for line in LAYERS[folder].split("\n") if line.strip()]


@pytest.mark.parametrize("folder", LAYERS)
def test_every_part_has_a_line(folder: str) -> None:
    there = {
        path.stem for path in (PACKAGE / folder).iterdir() if path.suffix == ".py" or path.is_dir()
    }
    assert {part for line in _parts(folder) for part in line} == there - {"__init__", "__pycache__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    module = path.relative_to(PACKAGE).with_suffix("").parts
    for folder in LAYERS:
        prefix = folder.split() if folder else []
        if list(module[: len(prefix)]) != prefix or (
            module[-1] == "__init__" and len(module) == len(prefix) + 1
        ):
            continue
        lines = {part: number for number, line in enumerate(_parts(folder)) for part in line}
        here = module[len(prefix)]
        for name in _imports(path):
            target = name.split(".")
            inside = target[: 1 + len(prefix)] == ["l2cli", *prefix]
            part = target[1 + len(prefix)] if inside and len(target) > 1 + len(prefix) else here
            if part in lines and part != here:
                assert lines[part] > lines[here], f"{'.'.join(module)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_has_one_owner(path: Path) -> None:
    module = path.relative_to(PACKAGE).as_posix()
    for name in _imports(path):
        owners = OWNERS.get(name.partition(".")[0])
        assert owners is None or any(module.startswith(f"{owner}/") for owner in owners), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_format_is_reached_through_the_registry(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "formats"):
        return
    for name in _imports(path):
        if name.startswith("l2cli.formats."):
            assert name.split(".")[2] in OPEN_FORMATS, name


def _loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {
    "numpy",
    "matplotlib",
    "keras",
    "jax",
    "tensorflow",
    "h5py",
    "pyarrow",
    "tqdm",
    "ml_dtypes",
}


def test_help_loads_nothing_heavy() -> None:
    code = "import l2cli.cli as c\nfor n in ([], *([n] for n in c.cli.names)):\n" + (
        "    c.cli.main([*n, '--help'], standalone_mode=False)"
    )
    assert not _loaded(code) & HEAVY


def test_inspecting_and_dry_runs_load_no_backend(tmp_path: Path) -> None:
    sample = PACKAGE.parent / "sample_data" / "glove-50d.npy"
    code = (
        "from pathlib import Path\nfrom l2cli.io.inspection import inspect_file\n"
        "from l2cli.normalization.file import normalize_file\n"
        "from l2cli.options import FileOptions\n"
        f"path = Path({str(sample)!r})\ninspect_file(path)\n"
        f"normalize_file(path, Path({str(tmp_path / 'x.npy')!r}), files=FileOptions(dry_run=True))"
    )
    assert _loaded(code) & HEAVY <= {"numpy", "ml_dtypes"}


def test_an_npy_run_loads_no_other_format(tmp_path: Path) -> None:
    sample = PACKAGE.parent / "sample_data" / "glove-50d.npy"
    code = (
        "from pathlib import Path\nfrom l2cli.normalization.file import normalize_file\n"
        f"normalize_file(Path({str(sample)!r}), Path({str(tmp_path / 'x.npy')!r}))"
    )
    loaded = _loaded(code)
    assert loaded & {"jax", "jaxlib"}
    assert not loaded & {"l2cli.formats.hdf5", "l2cli.formats.parquet", "tensorflow", "click"}
