"""How the code is cut: its lines and functions, and what one run of the command goes through.

    python -m benchmarks.figures.source

A call counts once for each pair of a calling module and a called function, both of ``l2cli`` and
not of one module, whichever process or thread made it. Modules are counted without the
``__init__`` of packages that hold nothing but a docstring.
"""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import l2cli

PACKAGE = Path(l2cli.__file__).parent

_TRACED = """
import os, sys, threading

lines = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
seen = set()


def note(frame, event, argument):
    if event != "call" or frame.f_back is None:
        return
    caller, callee = (f.f_globals.get("__name__", "") for f in (frame.f_back, frame))
    name = frame.f_code.co_qualname
    if not (caller.startswith("l2cli") and callee.startswith("l2cli")) or caller == callee:
        return
    if name.endswith(">") or (caller, callee, name) in seen:
        return
    seen.add((caller, callee, name))
    os.write(lines, f"call {caller} {callee} {name}\\n".encode())


def leave(code, exit=os._exit):
    sys.setprofile(None)
    for name, module in list(sys.modules.items()):
        if name.startswith("l2cli"):
            os.write(lines, f"module {module.__file__}\\n".encode())
    exit(code)


os._exit = leave
sys.argv[:] = ["l2norm", *sys.argv[2:]]
threading.setprofile(note)
sys.setprofile(note)
from l2cli.__main__ import main

main()
"""


def main() -> None:
    """Print the figures."""
    files = sorted(PACKAGE.rglob("*.py"))
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    lengths = sorted(length for path in files for length in _function_lengths(path))
    print(f"entries in l2cli/: {len(entries)}")
    print(f"modules: {len(files)}, lines: {sum(map(_num_lines, files)):,}")
    print(f"longest module: {max(map(_num_lines, files))} lines")
    ninetieth = lengths[len(lengths) * 9 // 10]
    print(f"functions: {len(lengths):,}, lines without docstring: median", end=" ")
    print(f"{statistics.median(lengths):.0f}, 90th percentile {ninetieth}, most {lengths[-1]}")
    modules, calls = _trace()
    print(f"l2norm normalize x.npy: {modules} modules, {calls} calls between modules")


def _num_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _function_lengths(path: Path) -> list[int]:
    """Return the lines of each function, decorators and docstrings apart."""
    lengths = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                length -= (first.end_lineno or first.lineno) - first.lineno + 1
            lengths.append(length)
    return lengths


def _trace() -> tuple[int, int]:
    """Return how many modules and calls one warm run of the command has."""
    with tempfile.TemporaryDirectory() as folder:
        rows = np.random.default_rng(0).standard_normal((1000, 64)).astype("float32")
        np.save(Path(folder, "x.npy"), rows)
        for lines in ("cold", "warm"):
            arguments = [str(Path(folder, lines)), "normalize", str(Path(folder, "x.npy")), "-q"]
            subprocess.run(
                [sys.executable, "-c", _TRACED, *arguments, "--overwrite"],
                check=True,
                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
            )
        traced = set(Path(folder, "warm").read_text().splitlines())
    calls = sum(line.startswith("call ") for line in traced)
    loaded = [Path(line.removeprefix("module ")) for line in traced if line.startswith("module ")]
    return sum(not _is_empty(path) for path in loaded), calls


def _is_empty(path: Path) -> bool:
    """Whether a module holds a docstring only."""
    return len(ast.parse(path.read_text()).body) < 2


if __name__ == "__main__":
    main()
