"""Graphs that are kept between runs, in the user's cache folder.

The JAX backend keeps here what Keras made of a spec, and beside it the executables that XLA made
of that for this machine. What is missing, damaged, made by other versions, made on another machine
or owned by somebody else is made again without a warning; a folder that can't be written is not an
error. The content of a file is bytes to this module, whatever made them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.runtime.distributions import version_of
from l2cli.runtime.processors import num_processors, processor_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.graph.spec import GraphSpec

_GRAPH = Path(__file__).parent
_DIGEST_BYTES = 32
_SETTINGS = ("JAX", "LLVM", "PJRT", "TF_XLA", "XLA")
_HARMLESS = "XLA_PYTHON_CLIENT_"
"""How variables in the environment begin that may change code, and those of them that don't."""


def make_key(spec: GraphSpec, platform: str, packages: Sequence[str]) -> str:
    """Return the name of the graph of ``spec``: it changes with all that a graph depends on.

    Parameters
    ----------
    platform : str
        What it is compiled for: ``cpu``, ``cuda`` or ``rocm``.
    packages : sequence of str
        The distributions that make it beside Keras. Their versions count. Of our own code the
        text counts, because a checkout keeps its version while its code changes.
    """
    versions = [version_of(name) for name in (*packages, "keras")]
    digest = hashlib.sha256(repr((spec, platform, versions)).encode())
    for path in (_GRAPH.parent / "dtypes.py", *sorted(_GRAPH.rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
    return hashlib.sha256(repr((graph_key, spec, machine)).encode()).hexdigest()


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
    if not processor or not statuses:
        return ""
    files = sorted((name, status.st_size, status.st_mtime_ns) for name, status in statuses)
    settings = [
        (name, value)
        for name, value in sorted(os.environ.items())
        if name.startswith(_SETTINGS) and not name.startswith(_HARMLESS)
    ]
    return repr((files, settings, processor, num_processors()))


def load_graph(key: str, suffix: str = ".stablehlo") -> bytes | None:
    """Return what was saved under ``key``; ``None`` where that is nothing, or damaged."""
    try:
        with _path(key, suffix).open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if digest == _digest(key, content) else None


def save_graph(key: str, content: bytes, suffix: str = ".stablehlo") -> None:
    """Save ``content`` under ``key``, in one step, if the folder can be written."""
    import tempfile

    path = _path(key, suffix)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(key, content) + content)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _path(key: str, suffix: str) -> Path:
    folder = os.environ.get("L2NORM_CACHE_DIR")
    if not folder:
        from platformdirs import user_cache_dir

        folder = user_cache_dir("l2norm")
        if not os.path.isabs(folder):  # "~" stays as it is for a user without a home.
            folder = os.devnull
    return Path(folder, f"{key}{suffix}")


def _is_library(name: str) -> bool:
    return name.endswith((".so", ".dylib", ".pyd"))


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
