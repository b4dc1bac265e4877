"""The keys under which graphs are kept: they change with all that a graph or its code depends on.

The JAX backend looks up what it keeps by them. What was made by other versions, or for another
machine, has another key, and so is never found. Nothing here knows where graphs are kept.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.runtime.distributions import version_of
from l2cli.runtime.processors import num_processors, processor_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.graph.spec import GraphSpec

_GRAPH = Path(__file__).parent
_SETTINGS = ("JAX", "LLVM", "NPROC", "PJRT", "TF_XLA", "XLA")
_HARMLESS = "XLA_PYTHON_CLIENT_"
"""How variables in the environment begin that may change code, and those of them that don't."""


def make_key(spec: GraphSpec, platform: str, packages: Sequence[str]) -> str:
    """Return the name of the graph of ``spec``: it changes with all that a graph depends on.

    It begins with the versions, for people. It is empty where a version or our own code can't be
    told, so that nothing is to be kept.

    Parameters
    ----------
    platform : str
        What it is compiled for: ``cpu``, ``cuda`` or ``rocm``.
    packages : sequence of str
        The distributions that make it beside Keras. Their versions count. Of our own code the
        text counts, because a checkout keeps its version while its code changes.
    """
    versions = {name: version_of(name) for name in (*packages, "keras")}
    code = _digest_of_code()
    if not code or not all(versions.values()):
        return ""
    digest = hashlib.sha256(repr((spec, platform, versions, code)).encode())
    return "_".join([*(f"{name}-{told}" for name, told in versions.items()), digest.hexdigest()])


def make_executable_key(spec: GraphSpec, graph_key: str, machine: str) -> str:
    """Return the name of the executable of ``spec``: it changes with all that code depends on.

    Parameters
    ----------
    spec : GraphSpec
        With the number of rows that it is compiled for.
    graph_key : str
        What :func:`make_key` returned for the graph that it is compiled from.
    machine : str
        What :func:`identify_machine` returned.
    """
    if not graph_key or not machine:
        return ""
    digest = hashlib.sha256(repr((graph_key, spec, machine)).encode())
    return "_".join([*graph_key.split("_")[:-1], digest.hexdigest()])


def identify_machine(libraries: Path) -> str:
    """Return what code depends on beside its graph; empty where that can't be told.

    It is the processors, the settings in the environment, and the libraries that compile the code
    and run it. To be called before they are imported, for they change the environment.

    Parameters
    ----------
    libraries : Path
        Their folder. Their sizes and times count: a build of one's own keeps its version.
    """
    processor = processor_identity()
    try:
        with os.scandir(libraries) as entries:
            statuses = [(entry.name, entry.stat()) for entry in entries if _is_library(entry.name)]
    except OSError:
        return ""
    if not processor or not statuses or _has_settings_in_file():
        return ""
    files = sorted((name, status.st_size, status.st_mtime_ns) for name, status in statuses)
    settings = [
        (name, value)
        for name, value in sorted(os.environ.items())
        if name.startswith(_SETTINGS) and not name.startswith(_HARMLESS)
    ]
    return repr((files, settings, processor, num_processors()))


@cache
def _digest_of_code() -> str:
    """Return the digest of the code that makes graphs; empty where its text is not there."""
    digest = hashlib.sha256()
    try:
        for path in (_GRAPH.parent / "dtypes.py", *sorted(_GRAPH.rglob("*.py"))):
            digest.update(path.read_bytes())
    except OSError:  # It is in an archive, or compiled.
        return ""
    return digest.hexdigest()


def _has_settings_in_file() -> bool:
    """Whether the environment names a file of flags, which XLA reads."""
    values = (os.environ.get(name, "").strip() for name in ("XLA_FLAGS", "TF_XLA_FLAGS"))
    return any(value and not value.startswith("-") for value in values)


def _is_library(name: str) -> bool:
    return name.endswith((".so", ".dylib", ".pyd"))
