"""Graphs that are kept between runs, in the user's cache folder.

A cache owes nothing: what is not there, broken, made by other versions, somebody else's, or
can't be written is passed over without a word, and made anew.
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
    from l2cli.graph.spec import GraphSpec

_MAKERS = ("jax", "jaxlib", "keras")
_CODE = ("backends/load.py", "formula.py", "layers.py", "models.py", "spec.py", "summation.py")
"""What a graph is made by: of our own modules the text, for in a checkout no version tells."""
_DIGEST_BYTES = 32


def make_key(spec: GraphSpec, platform: str) -> str:
    """Return the name of the graph of ``spec`` on ``platform``, as the installed versions make it.

    Parameters
    ----------
    platform
        ``cpu``, ``cuda`` or ``rocm``.
    """
    digest = hashlib.sha256(repr((spec, platform, [_version(name) for name in _MAKERS])).encode())
    for name in _CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def kept(key: str) -> bytes | None:
    """Return what was kept under ``key``; ``None`` where that is nothing, or not whole."""
    try:
        with _path(key).open("rb") as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if digest == _digest(key, content) else None


def keep(key: str, content: bytes) -> None:
    """Keep ``content`` under ``key``, in one step, where that can be done."""
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
