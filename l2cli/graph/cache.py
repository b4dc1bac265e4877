"""Graphs that are kept between runs, in the user's cache folder.

The JAX backend keeps here what Keras made of a spec. Graphs that are missing, damaged, made by
other versions or owned by somebody else are made again without a warning; a folder that can't be
written is not an error. The content of a file is bytes to this module, whatever made them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.graph.spec import GraphSpec

_GRAPH = Path(__file__).parent
_DIGEST_BYTES = 32


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
    versions = [_version(name) for name in (*packages, "keras")]
    digest = hashlib.sha256(repr((spec, platform, versions)).encode())
    for path in (_GRAPH.parent / "dtypes.py", *sorted(_GRAPH.rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def load_graph(key: str) -> bytes | None:
    """Return what was saved under ``key``; ``None`` where that is nothing, or damaged."""
    try:
        with _path(key).open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if digest == _digest(key, content) else None


def save_graph(key: str, content: bytes) -> None:
    """Save ``content`` under ``key``, in one step, if the folder can be written."""
    path = _path(key)
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


def _path(key: str) -> Path:
    folder = os.environ.get("L2NORM_CACHE_DIR")
    if not folder:
        from platformdirs import user_cache_dir

        folder = user_cache_dir("l2norm")
        if not os.path.isabs(folder):  # "~" stays as it is for a user without a home.
            folder = os.devnull
    return Path(folder, f"{key}.stablehlo")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # A nightly build goes by another name.
        return ""


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
