"""What a file of no known format seems to be, and what to do with it.

One byte is no evidence: a file of raw numbers begins with any. So each hint rests on a
signature of three bytes or more, or on a beginning that is text from end to end.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SIGNATURES = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; run `git lfs pull`",
    b"FEA1": "a Feather file of version 1; write it anew with pyarrow.feather.write_feather",
}
_COMPRESSED = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
"""The program that made it, which writes what was in it to standard output with ``-dc``."""
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_COMPRESSED_SUFFIXES = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".xz": "xz",
    ".lz4": "lz4",
    ".bz2": "bzip2",
}
_SUFFIX_HINTS = {
    ".fbin": "a big-ann .fbin file; convert it to .npy",
    ".fvecs": "a texmex .fvecs file; convert it to .npy",
    ".bvecs": "a texmex .bvecs file; convert it to .npy",
    ".csv": "text; convert it to Parquet or .npy",
    ".safetensors": "a safetensors file; convert it to .npy",
    ".pt": "a PyTorch file; save its tensor with numpy.save",
}
_MARKUP = re.compile(r"\s*<(!doctype|html|head|\?xml|!--)", re.IGNORECASE)
_JSON = re.compile(r"\s*([{]\s*[\"}]|\[\s*[\[{\"\d\]tfn-])")
_PICKLE_PROTOCOLS = range(2, 6)
_CUT_OFF = ("exhausted", "not enough data", "but only", "no newline found")
"""What pickletools says of a pickle of which it has the beginning alone."""
_DIMS = (1536, 1024, 768, 512, 384, 300, 256, 200, 128, 100, 96, 64, 50, 32)
"""Lengths that rows often have."""
_RAW_ITEM_BYTES = 4
_LEAST_RAW_BYTES = 64


def describe(start: bytes, path: Path | None = None, *, is_npy: bool = False) -> str:
    """Return what a file seems to be, and what to do; empty where nothing tells.

    Parameters
    ----------
    start : bytes
        Its first bytes.
    path : Path or None
        The file; ``None`` for a stream.
    is_npy : bool
        Whether it is named like an npy file.
    """
    if not start:
        return "empty"
    return (
        _by_signature(start)
        or _compressed(start, path)
        or _by_text(start)
        or _pickle(start, path)
        or (_SUFFIX_HINTS.get(path.suffix.lower(), "") if path is not None else "")
        or (_broken_npy(start, path) if is_npy and path is not None else "")
        or ("text; convert it to Parquet or .npy" if "\n" in _text(start) else "")
        or (_raw(path) if is_npy and path is not None else "")
    )


def foreign(path: Path) -> str:
    """Return what a suffix stands for that is never written; empty where it stands for nothing."""
    return _SUFFIX_HINTS.get(path.suffix.lower(), "").partition(";")[0]


def compressed(path: Path) -> str:
    """Return the program that writes files of such a suffix; empty for any other suffix."""
    return _COMPRESSED_SUFFIXES.get(path.suffix.lower(), "")


def _by_signature(start: bytes) -> str:
    return next((hint for magic, hint in _SIGNATURES.items() if start.startswith(magic)), "")


def _compressed(start: bytes, path: Path | None) -> str:
    program = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), "")
    if _BZIP2.match(start):
        program = "bzip2"
    if not program:
        return ""
    if path is None:
        return f"compressed with {program}; put {program} -dc before it in the pipe"
    target = path.with_suffix("") if compressed(path) else _beside(path, "normalized")
    source, result = shlex.quote(str(path)), shlex.quote(str(target))
    return (
        f"compressed with {program}; decompress it in a pipe: "
        f"{program} -dc {source} | l2norm normalize -o {result}"
    )


def _by_text(start: bytes) -> str:
    text = _text(start)
    if _MARKUP.match(text):
        return "an HTML or XML page, perhaps a failed download"
    return "JSON text" if _JSON.match(text) else ""


def _text(start: bytes) -> str:
    """Return ``start`` as text, empty where it is none."""
    text = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "ignore")
    is_whole = len(text.encode()) >= len(start) - 6  # A mark, and a character that was cut off.
    return text if is_whole and all(c.isprintable() or c in "\t\r\n" for c in text) else ""


def _pickle(start: bytes, path: Path | None) -> str:
    """Tell a pickle by its opcodes: all must be such, and several of them or its end be there."""
    if start[:1] != b"\x80" or start[1:2] == b"" or start[1] not in _PICKLE_PROTOCOLS:
        return ""
    import pickletools  # Seldom needed, and slow to import.

    size = math.inf if path is None else path.stat().st_size
    num_opcodes = 0
    try:
        for opcode, argument, _ in pickletools.genops(start):
            if opcode.name == "FRAME" and isinstance(argument, int) and argument > size:
                return ""
            num_opcodes += 1
    except ValueError as exc:
        if not any(words in str(exc) for words in _CUT_OFF):
            return ""
    if num_opcodes < 3 and not (path is not None and _ends_with(path, b".")):
        return ""
    return "a Python pickle, which l2norm never loads; save it with numpy.save"


def _ends_with(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(-len(end), os.SEEK_END)
        return file.read() == end


def _broken_npy(start: bytes, path: Path) -> str:
    if b"NUMPY" not in start and b"'descr'" not in start:
        return ""
    return f"its beginning is damaged ({start[:8]!r}); copy it again"


def _raw(path: Path) -> str:
    """Say how an array gets a header that was written without one, as by ``numpy.memmap``."""
    size = path.stat().st_size
    num_items, rest = divmod(size, _RAW_ITEM_BYTES)
    dims = [] if rest else [dim for dim in _DIMS if num_items % dim == 0][:3]
    if size < _LEAST_RAW_BYTES:
        return ""
    shapes = " or ".join(f"({num_items // dim}, {dim})" for dim in dims)
    hint = f", as float32 perhaps {shapes}" if shapes else ""
    array = f"np.memmap({str(path)!r}, 'float32', 'r').reshape(-1, DIM)"
    code = f"import numpy as np; np.save({str(_beside(path, 'header'))!r}, {array})"
    return (
        f"seems to be raw numbers without a header (a memmap), {size:,} bytes{hint}; "
        f"give it one, with its true dtype and the length of its rows: "
        f"python -c {_in_double_quotes(code)}"
    )


def _beside(path: Path, infix: str) -> Path:
    return path.with_name(f"{path.stem}.{infix}{path.suffix}")


def _in_double_quotes(code: str) -> str:
    """Quote code with single quotes in it for a shell, legibly where that can be."""
    return shlex.quote(code) if re.search(r'["$`\\!]', code) else f'"{code}"'
