"""The layering: imports point downward, siblings don't import each other, heavy waits."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import l2cli

PACKAGE = Path(l2cli.__file__).parent

LAYERS = [
    ["__main__"],
    ["cli"],
    ["store", "inspection", "bench", "check", "page", "plot"],
    ["settled"],
    ["plan", "manifest", "workers", "worker", "inputs"],
    ["companions", "shards"],
    ["tables"],
    ["rewriting", "walk"],
    ["normalization"],
    ["passes", "verification"],
    ["measuring"],
    ["conversion", "routes", "survey"],
    ["sources", "destinations"],
    ["direct", "backend_server"],
    ["selection", "pipeline", "normalizer", "export", "norms", "tally", "comparison"],
    ["mending", "vectors", "formats", "findings"],
    ["graph"],
    ["atomic_folder", "inlet", "kept_norms", "streams"],
    ["atomic"],
    ["siblings"],
    ["picture"],
    ["backend", "cache", "models", "exact", "options", "distribution"],
    ["layers"],
    ["formula"],
    [
        "arguments",
        "array_names",
        "forking",
        "jax_settings",
        "processors",
        "report",
        "spec",
        "suggestions",
        "summation",
        "tuning",
    ],
    ["arrays", "reading"],
    ["errors"],
]
"""From the top down. A module imports from lower layers, or from its own layer nothing."""

OWNERS = {
    "click": {"cli"},
    "tqdm": {"cli"},
    "h5py": {"formats/hdf5"},
    "hdf5plugin": {"formats/hdf5"},
    "isal": {"formats/hdf5"},
    "pyarrow": {"formats/parquet", "formats/arrow"},
    "zipfile": {"formats/npz"},
    "keras": {"formula", "layers", "models", "graph"},
    "jax": {"export", "formula", "graph", "jax_settings"},
    "tensorflow": {"graph"},
    "matplotlib": {"plot"},
    "platformdirs": {"cache"},
}
"""Who alone may import a library."""

SHARED = {"formats/npz": {"npy"}, "formats/parquet": {"arrow"}}
"""What a format may import besides ``base``, ``fresh`` and ``raw``."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def _unit(path: Path) -> str:
    """Return the module, or the folder of one layer or format, that a file belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] == "formats" and len(parts) > 1:
        return f"formats/{parts[1].partition('_')[0]}"
    return parts[0]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _layer(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    own = _unit(path).partition("/")[0]
    if own == "__init__":
        return
    for name in _imports(path):
        package, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if package == "l2cli" and target != own and (PACKAGE / target).exists():
            assert _layer(target) > _layer(own), f"{own} imports {target}"
        if package == "l2cli" and (PACKAGE / f"{target}.py").exists() and target != own:
            assert _layer(target) > _layer(own), f"{own} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_formats_do_not_import_each_other(path: Path) -> None:
    own = _unit(path)
    if not own.startswith("formats/") or own == "formats/":
        return
    for name in _imports(path):
        if name.startswith("l2cli.formats."):
            target = name.split(".")[2].partition("_")[0]
            shared = {"base", "fresh", "raw", *SHARED.get(own, ())}
            assert f"formats/{target}" == own or target in shared, f"{own} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_has_one_owner(path: Path) -> None:
    for name in _imports(path):
        owners = OWNERS.get(name.partition(".")[0])
        assert owners is None or _unit(path) in owners, f"{_unit(path)} imports {name}"


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
        "from pathlib import Path\nfrom l2cli.inspection import inspect_file\n"
        "from l2cli.normalization import normalize_file\n"
        f"path = Path({str(sample)!r})\ninspect_file(path)\n"
        f"normalize_file(path, Path({str(tmp_path / 'x.npy')!r}), dry_run=True)"
    )
    assert _loaded(code) & HEAVY <= {"numpy", "ml_dtypes"}


def test_an_npy_run_loads_no_other_format(tmp_path: Path) -> None:
    sample = PACKAGE.parent / "sample_data" / "glove-50d.npy"
    code = (
        "from pathlib import Path\nfrom l2cli.normalization import normalize_file\n"
        f"normalize_file(Path({str(sample)!r}), Path({str(tmp_path / 'x.npy')!r}))"
    )
    loaded = _loaded(code)
    assert "jax" in loaded
    assert not loaded & {"l2cli.formats.hdf5", "l2cli.formats.parquet", "tensorflow", "click"}
