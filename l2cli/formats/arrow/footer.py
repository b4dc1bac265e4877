"""The footer of an Arrow IPC file, which lists where its dictionaries and record batches are.

A file need not hold a stream: messages may stand in any order, with gaps between them, without a
schema before them or an end mark behind them. What counts is what the footer lists, in its order.
pyarrow reads by the footer without checking it, and the file may be hostile; so the reader checks
it here first. Nothing here reads rows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from l2cli.formats.arrow.flatbuffers_reader import FlatTable
from l2cli.formats.arrow.messages import (
    DICTIONARY_BATCH,
    MAX_METADATA,
    RECORD_BATCH,
    Message,
    read_message,
)

if TYPE_CHECKING:
    from l2cli.formats.arrow.messages import Seekable

FILE_MAGIC = b"ARROW1"
_FILE_START = 8
"""What a file begins with: the magic, padded."""
_FILE_END = 4 + len(FILE_MAGIC)
"""What a file ends with: the length of the footer, and the magic."""
_DICTIONARIES, _RECORD_BATCHES = 2, 3
_BLOCK = "<qi4xq"
_SEARCHED_BYTES = 2**20


@dataclass(frozen=True, order=True)
class Block:
    """Where a message is, and how long its metadata and its body are."""

    offset: int
    metadata_bytes: int
    body_bytes: int

    @property
    def stop(self) -> int:
        """Where the next may begin."""
        return self.offset + self.metadata_bytes + self.body_bytes


def listed_record_batches(file: Seekable, num_bytes: int) -> list[Message]:
    """Return the record batches that the footer lists, without reading their rows.

    Parameters
    ----------
    num_bytes : int
        The length of the file.

    Raises
    ------
    ValueError
        Where the footer or what it lists makes no sense, or where several files were put end to
        end, of which the last footer tells nothing.
    """
    try:
        return _listed(file, num_bytes)
    except ValueError:
        _check_one_file(file, _FILE_START, num_bytes)
        raise


def _listed(file: Seekable, num_bytes: int) -> list[Message]:
    footer_start, footer = _read_footer(file, num_bytes)
    try:
        root = FlatTable.root(footer)
        dictionaries, batches = (
            [Block(*block) for block in root.structs(field, _BLOCK)]
            for field in (_DICTIONARIES, _RECORD_BATCHES)
        )
    except struct.error as exc:
        raise ValueError("it is damaged: its footer makes no sense") from exc
    blocks = [*dictionaries, *batches]
    _check_places(blocks, footer_start)
    _check_one_file(file, max((b.stop for b in blocks), default=_FILE_START), footer_start)
    for block in dictionaries:
        _read_block(file, block, DICTIONARY_BATCH)
    return [_read_block(file, block, RECORD_BATCH) for block in batches]


def _read_footer(file: Seekable, num_bytes: int) -> tuple[int, bytes]:
    """Return where the footer begins, and its bytes."""
    file.seek(max(0, num_bytes - _FILE_END))
    end = file.read(_FILE_END)
    if num_bytes < _FILE_START + _FILE_END or not end.endswith(FILE_MAGIC):
        raise ValueError(
            "it doesn't end with a footer, as an Arrow file does: it is cut off, or more follows it"
        )
    length = int.from_bytes(end[:4], "little", signed=True)
    start = num_bytes - _FILE_END - length
    if not 0 < length <= MAX_METADATA or start < _FILE_START:
        raise ValueError(
            f"it is damaged: it claims a footer of {length} bytes, the file has {num_bytes}"
        )
    file.seek(start)
    return start, file.read(length)


def _check_places(blocks: list[Block], footer_start: int) -> None:
    """Check that all that is listed lies between the start and the footer, each for itself."""
    for block in blocks:
        is_whole = block.metadata_bytes >= 8 and block.body_bytes >= 0
        if not is_whole or block.offset < _FILE_START or block.stop > footer_start:
            raise ValueError(
                f"it is damaged: its footer lists a message at byte {block.offset}, of "
                f"{block.metadata_bytes} + {block.body_bytes} bytes, which isn't there"
            )
    for one, following in pairwise(sorted(blocks)):
        if following.offset < one.stop:
            raise ValueError(
                f"it is damaged: its footer lists messages that overlap at byte {following.offset}"
            )


def _check_one_file(file: Seekable, start: int, stop: int) -> None:
    """Check that no file ends and another begins between the last message and the footer.

    There is nothing there as a rule, or the mark of a stream's end.
    """
    joint = FILE_MAGIC + FILE_MAGIC
    file.seek(start)
    before = b""
    while start < stop:
        read_bytes = file.read(min(_SEARCHED_BYTES, stop - start))
        if joint in before + read_bytes:
            raise ValueError(
                "it is several Arrow files put end to end, of which readers see one; "
                "take them apart and normalize each by itself"
            )
        before, start = read_bytes[-len(joint) :], start + _SEARCHED_BYTES


def _read_block(file: Seekable, block: Block, message_type: int) -> Message:
    """Return the message that is listed in ``block``, which must be of this type."""
    file.seek(block.offset)
    message = read_message(file)
    if message is None or message.type != message_type:
        raise ValueError(
            f"it is damaged: at byte {block.offset} isn't the message that its footer lists there"
        )
    if message.body_bytes != block.body_bytes:
        raise ValueError(
            f"it is damaged: the message at byte {block.offset} has a body of "
            f"{message.body_bytes} bytes, the footer lists {block.body_bytes}"
        )
    return message
