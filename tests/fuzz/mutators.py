"""How a good file is damaged."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zipfile
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Mutator = Callable[[random.Random, bytes, bytes], bytes]

_BYTES = (0x00, 0x01, 0x0F, 0x10, 0x19, 0x1C, 0x20, 0x7F, 0x80, 0x81, 0xF0, 0xFE, 0xFF)
_SIZES = (0, 1, 2, 7, 8, 9, 19, 20, 21, 255, 256)
_LIMITS = (2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_INTEGERS = (*_SIZES, *_LIMITS)
_EDGE_BYTES = 400
"""Where headers and footers are, most of the time."""


def mutate(rng: random.Random, content: bytes, second: bytes) -> bytes:
    """Return ``content`` damaged once to three times, by the choices of ``rng``.

    Parameters
    ----------
    other
        Another good file, for pieces of it.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if content[:4] == b"PK\x03\x04" and rng.random() < 0.5:
            content = _inside_zip(rng, content, second)
        else:
            content = _damage(rng, content, second)
    return content


def _damage(rng: random.Random, content: bytes, second: bytes) -> bytes:
    mutator = rng.choices(_MUTATORS, _WEIGHTS)[0]
    return mutator(rng, content, second) if content else second[: rng.randrange(64)]


def _inside_zip(rng: random.Random, content: bytes, second: bytes) -> bytes:
    """Damage a member and write the archive anew, so that its checksums are right."""
    stream = io.BytesIO()
    with contextlib.suppress(Exception):
        with (
            zipfile.ZipFile(io.BytesIO(content)) as archive,
            zipfile.ZipFile(stream, "w") as damaged,
        ):
            infos = archive.infolist()
            chosen = rng.choice(infos)
            for info in infos:
                member = archive.read(info)
                if info is chosen:
                    member = _damage(rng, member, second)
                damaged.writestr(zipfile.ZipInfo(info.filename), member, info.compress_type)
        return stream.getvalue()
    return _damage(rng, content, second)


def _position(rng: random.Random, content: bytes) -> int:
    """Choose a byte, mostly near the beginning or the end."""
    near = rng.randrange(min(len(content), _EDGE_BYTES))
    return rng.choice((near, len(content) - 1 - near, rng.randrange(len(content))))


def _replaced(content: bytes, position: int, piece: bytes) -> bytes:
    return (content[:position] + piece + content[position + len(piece) :])[: len(content)]


def _flip(rng: random.Random, content: bytes, second: bytes) -> bytes:
    position = _position(rng, content)
    return _replaced(content, position, bytes([content[position] ^ 1 << rng.randrange(8)]))


def _overwrite(rng: random.Random, content: bytes, second: bytes) -> bytes:
    count = rng.choice((1, 1, 2, 4, 8, 32))
    piece = rng.choice((bytes(rng.choices(_BYTES, k=count)), bytes(count), b"\xff" * count))
    return _replaced(content, _position(rng, content), piece)


def _truncate(rng: random.Random, content: bytes, second: bytes) -> bytes:
    cut = rng.choice((rng.randrange(len(content)), max(0, len(content) - rng.randrange(1, 64))))
    return content[:cut]


def _insert(rng: random.Random, content: bytes, second: bytes) -> bytes:
    position, count = _position(rng, content), rng.choice((1, 2, 4, 8, 64))
    piece = rng.choice((bytes(count), rng.randbytes(count), content[position : position + count]))
    return content[:position] + piece + content[position:]


def _delete(rng: random.Random, content: bytes, second: bytes) -> bytes:
    position = _position(rng, content)
    return content[:position] + content[position + rng.choice((1, 2, 4, 8, 64)) :]


def _splice(rng: random.Random, content: bytes, second: bytes) -> bytes:
    begin, length = rng.randrange(len(second)), rng.choice((4, 16, 64, 512))
    piece = second[begin : begin + length]
    end = content[: _position(rng, content)] + second[begin:]
    return rng.choice((_replaced(content, _position(rng, content), piece), end, content + piece))


def _edit_integer(rng: random.Random, content: bytes, second: bytes) -> bytes:
    """Overwrite what may be a length, with one near it or with a telling one."""
    size = rng.choice((1, 2, 4, 4, 8, 8))
    position = _position(rng, content) // rng.choice((1, size)) * rng.choice((1, size))
    position = min(position, max(0, len(content) - size))
    order: Literal["little", "big"] = rng.choice(("little", "little", "big"))
    before = int.from_bytes(content[position : position + size], order)
    near = (before + 1, before - 1, before * 2, before // 2, before + 8, len(content))
    value = rng.choice((rng.choice(near), rng.choice(_INTEGERS))) % 2 ** (8 * size)
    return _replaced(content, position, value.to_bytes(size, order))


def _edit_number(rng: random.Random, content: bytes, second: bytes) -> bytes:
    """Put another number where one is written in digits, as in npy headers and JSON."""
    result = list(re.finditer(rb"\d+", content[:_EDGE_BYTES]))
    if not result:
        return _edit_integer(rng, content, second)
    match = rng.choice(result)
    number = rng.choice((*_INTEGERS, int(match[0]) + 1, int(match[0]) * 2))
    return content[: match.start()] + str(number).encode() + content[match.end() :]


def _put_float(rng: random.Random, content: bytes, second: bytes) -> bytes:
    """Put a number in that is not an ordinary one, where rows may be."""
    value = rng.choice((float("nan"), float("inf"), 0.0, -0.0, 1e-45, 3e38, 1e-30))
    code = rng.choice(["<f", ">f", "<d"])
    try:
        piece = struct.pack(code, value)
    except OverflowError:
        piece = struct.pack("<d", value)
    position = rng.randrange(len(content)) // 4 * 4
    return _replaced(content, position, piece * rng.choice((1, 8)))


_WEIGHTED: tuple[tuple[Mutator, int], ...] = (
    (_flip, 5),
    (_overwrite, 4),
    (_truncate, 1),
    (_insert, 2),
    (_delete, 2),
    (_splice, 2),
    (_edit_integer, 5),
    (_edit_number, 1),
    (_put_float, 2),
)
_MUTATORS = [mutator for mutator, _ in _WEIGHTED]
_WEIGHTS = [weight for _, weight in _WEIGHTED]
