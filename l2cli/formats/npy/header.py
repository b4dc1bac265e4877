"""The header of an ``.npy`` array: parsed as hostile, written back byte for byte.

The format is NEP 1's: a magic string, a version, a length, and a Python dict literal padded
with spaces. NumPy's own parser is private for version 3.0. It also drops the byte order of
``<V2``, which is how bfloat16 is recognized. All of ``npy`` and ``npz`` use it; it never reads
the numbers.
"""

from __future__ import annotations

import ast
import io
import math
import tokenize
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from l2cli.arrays import ArraySpec
from l2cli.dtypes import FLOAT_DTYPES, INTEGER_DTYPES, numpy_dtype
from l2cli.errors import FormatError

MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_MAX_HEADER = 2**20
_MAX_SIZE = 2**63 - 1
_WHITESPACE = " \t\n\r\f"
"""What Python's grammar takes for space, as NumPy does; ``str.strip`` knows more of it."""
_NOT_A_LITERAL = (
    ValueError,
    SyntaxError,
    TypeError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)
_NOT_A_DTYPE = (
    TypeError,
    ValueError,
    LookupError,
    SyntaxError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
)


class Readable(Protocol):
    """What gives bytes, fewer than asked for only at its end."""

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes."""


@dataclass(frozen=True)
class NpyHeader:
    """What stands before the numbers.

    Attributes
    ----------
    raw : bytes
        The header's bytes, the magic string included.
    descr : object
        The dtype as it was written: ``<f4``, ``|V2``, or a list for a structured one.
    """

    raw: bytes
    version: tuple[int, int]
    descr: Any
    fortran_order: bool
    shape: tuple[int, ...]
    assume_bfloat16: bool = False

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of the bytes in the file, byte order included."""
        if self.is_bfloat16:
            return numpy_dtype("bfloat16")
        return np.lib.format.descr_to_dtype(self.descr)

    @property
    def is_bfloat16(self) -> bool:
        """Whether components are bfloat16: ml_dtypes saves them as ``<V2``."""
        return self.descr == "<V2" or (self.assume_bfloat16 and self.descr == "|V2")

    @property
    def num_bytes(self) -> int:
        """Bytes of the numbers that follow."""
        return math.prod(self.shape) * self.stored_dtype.itemsize

    def spec(self, name: str, layout: str = "") -> ArraySpec:
        """Return the array that this header describes."""
        dtype = self.stored_dtype
        dtype_name, refusal, may_be_vectors = dtype.name, "", True
        if self.descr == "|V2" and not self.is_bfloat16:
            refusal = "2 bytes of no type a component; if they are bfloat16, use `dtype='bfloat16'`"
        elif dtype.hasobject:
            dtype_name, refusal = "object", "Python objects in a pickle, which l2norm never loads"
        elif dtype.names is not None:
            dtype_name = "structured"
            refusal = (
                "a structured dtype within another or of a single record; "
                "save its field as an array"
            )
        elif dtype_name not in (*FLOAT_DTYPES, *INTEGER_DTYPES):
            may_be_vectors = dtype.kind in "fcV"
            refusal = f"{dtype_name} is not a float type that l2norm normalizes"
        elif not self.shape:
            may_be_vectors = False
            refusal = "a single number, not a vector"
        order = "Fortran order" if self.fortran_order else "C order"
        endian = "big-endian" if dtype.byteorder == ">" else ""
        layout = ", ".join(filter(None, (order, endian, layout)))
        is_blocking = bool(refusal) and may_be_vectors
        return ArraySpec(name, self.shape, dtype_name, layout, refusal, may_be_vectors=is_blocking)

    def for_array(self, output: ArraySpec) -> NpyHeader:
        """Return this header for ``output``: the same bytes where nothing differs."""
        shape = tuple(length or 0 for length in output.shape)
        if output.dtype == self.stored_dtype.name:
            descr = self.descr
        elif output.dtype == "bfloat16":
            descr = "<V2"
        else:
            dtype = numpy_dtype(output.dtype)
            descr = dtype.newbyteorder(">" if self.stored_dtype.byteorder == ">" else "<").str
        if (descr, shape) == (self.descr, self.shape):
            return self
        return replace(self, raw=self._encode(descr, shape), descr=descr, shape=shape)

    def with_descr(self, descr: list[Any]) -> NpyHeader:
        """Return this header with another structured dtype; itself where it is the same."""
        if descr == self.descr:
            return self
        return replace(self, raw=self._encode(descr, self.shape), descr=descr)

    def _encode(self, descr: Any, shape: tuple[int, ...]) -> bytes:
        fields = {"descr": descr, "fortran_order": self.fortran_order, "shape": shape}
        text = "{" + "".join(f"{key!r}: {value!r}, " for key, value in fields.items()) + "}"
        length_bytes = _LENGTH_BYTES[self.version]
        before = len(MAGIC) + 2 + length_bytes
        padding = -(before + len(text) + 1) % np.lib.format.ARRAY_ALIGN
        body = (text + " " * padding + "\n").encode(_encoding(self.version))
        return MAGIC + bytes(self.version) + len(body).to_bytes(length_bytes, "little") + body


def new_header(dtype: str, shape: tuple[int, ...]) -> NpyHeader:
    """Return the header of a new array, as ``numpy.save`` would write it."""
    descr = "<V2" if dtype == "bfloat16" else numpy_dtype(dtype).newbyteorder("<").str
    header = NpyHeader(b"", (1, 0), descr, False, shape)
    return replace(header, raw=header._encode(descr, shape))


def parse_header(stream: Readable, label: str, *, assume_bfloat16: bool = False) -> NpyHeader:
    """Read the header at the stream's position, and leave the stream behind it.

    Parameters
    ----------
    label : str
        What to call the source in an error.
    assume_bfloat16 : bool
        Whether ``|V2`` is bfloat16 too: what NumPy makes of a bfloat16 array that it saves
        again without ml_dtypes.

    Raises
    ------
    FormatError
        Where the header is cut off, isn't one, or describes an impossible array.
    """
    start = _read(stream, len(MAGIC) + 2, label)
    version = (start[-2], start[-1])
    if not start.startswith(MAGIC):
        raise FormatError(f"{label} is not an npy array: it begins with {start[:6]!r}")
    if version not in _LENGTH_BYTES:
        raise FormatError(f"{label} has npy version {start[-2]}.{start[-1]}, expected 1.0 to 3.0")
    length_field = _read(stream, _LENGTH_BYTES[version], label)
    length = int.from_bytes(length_field, "little")
    if length > _MAX_HEADER:
        raise FormatError(f"{label} claims a header of {length:,} bytes, expected a few hundred")
    body = _read(stream, length, label)
    fields = _parse_fields(body, label, _encoding(version))
    header = NpyHeader(
        start + length_field + body,
        version,
        fields["descr"],
        fields["fortran_order"],
        fields["shape"],
        assume_bfloat16,
    )
    _check(header, label)
    return header


def _read(stream: Readable, size: int, label: str) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise FormatError(f"{label} is cut off in its header: {len(content)} bytes of {size}")
    return content


def _parse_fields(body: bytes, label: str, encoding: str) -> dict[str, Any]:
    try:
        fields = _literal(body.decode(encoding).strip(_WHITESPACE))
        valid = set(fields) == {"descr", "fortran_order", "shape"}
    except _NOT_A_LITERAL as exc:
        raise FormatError(f"{label} has a damaged npy header: {body[:60]!r}") from exc
    if not valid:
        raise FormatError(f"{label} has a damaged npy header: {body[:60]!r}")
    return dict(fields)


def _literal(text: str) -> Any:
    """Evaluate a literal of Python, or of Python 2, whose long integers end in ``L``."""
    try:
        return ast.literal_eval(text)
    except SyntaxError:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        kept = [
            token[:2]
            for before, token in zip([None, *tokens], tokens, strict=False)
            if not (before and before.type == tokenize.NUMBER and token.string == "L")
        ]
        return ast.literal_eval(tokenize.untokenize(kept).strip(_WHITESPACE))


def _encoding(version: tuple[int, int]) -> str:
    return "utf-8" if version == (3, 0) else "latin1"


def _check(header: NpyHeader, label: str) -> None:
    shape = header.shape
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise FormatError(f"{label} has the shape {shape!r}, expected lengths of 0 or more")
    if not isinstance(header.fortran_order, bool):
        raise FormatError(f"{label} has fortran_order {header.fortran_order!r}, expected a bool")
    try:
        itemsize = header.stored_dtype.itemsize
    except _NOT_A_DTYPE as exc:
        raise FormatError(f"{label} has the dtype {header.descr!r}, which NumPy lacks") from exc
    if len(shape) > 64 or math.prod(n or 1 for n in shape) * max(1, itemsize) > _MAX_SIZE:
        raise FormatError(f"{label} has the shape {shape!r}, more than any machine can address")
