"""The levels of Parquet pages: known however they are encoded, and told from any others."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2cli.formats.parquet.dense.levels import are_of_rows, definition_levels, repetition_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Levels = list[int]


def number(bits: Iterator[int], size: int) -> int:
    return sum([next(bits) << place for place in range(size)])


def decoded(raw: bytes, bit_width: int, num_values: int) -> Levels:
    """Decode levels as plainly as can be; fewer than ``num_values`` where they are cut off."""
    bits = iter([byte >> place & 1 for byte in raw for place in range(8)])
    result: Levels = []
    try:
        while len(result) < num_values:
            header = place = 0
            more = 1
            while more:
                byte = number(bits, 8)
                header |= (byte & 0x7F) << place
                more, place = byte >> 7, place + 7
            if header & 1:
                for _ in range((header >> 1) * 8):
                    result.append(number(bits, bit_width))
            else:
                result += [number(bits, 8)] * min(header >> 1, num_values)
    except StopIteration:
        pass
    return result[:num_values]


def encoded(levels: Levels, bit_width: int, draw: Callable[[st.SearchStrategy[int]], int]) -> bytes:
    """Encode levels in one of the many ways that there are."""
    output, start = b"", 0
    while start < len(levels):
        run = len(list(next(groupby(levels[start:]))[1]))
        size = draw(st.integers(-3, run))
        if size > 0:
            output += bytes([size << 1 & 0x7F | 0x80, size >> 6, levels[start]])
        else:
            num_groups = 1 - size
            packed = levels[start : start + 8 * num_groups]
            whole = sum(level << bit_width * place for place, level in enumerate(packed))
            output += bytes([(1 - size) << 1 | 1]) + whole.to_bytes(
                (1 - size) * bit_width, "little"
            )
            size = len(packed)
        start += size
    return output


def are_dense(levels: tuple[bytes, bytes], num_values: int, level: int, length: int) -> bool:
    repetition = [int(place % length > 0) for place in range(num_values)]
    return (
        decoded(levels[0], 1, num_values) == repetition
        and decoded(levels[1], level.bit_length(), num_values) == [level] * num_values
    )


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 31, 32, 33, 48, 768])
@pytest.mark.parametrize("num_rows", [1, 2, 9])
def test_what_is_encoded_is_known(num_rows: int, length: int) -> None:
    num_values = num_rows * length
    for level in (1, 2, 3):
        levels = repetition_levels(num_rows, length), definition_levels(num_values, level)
        assert are_dense(levels, num_values, level, length)
        assert are_of_rows(levels, num_values, level, length)
        assert not are_of_rows(levels, num_values, level + 1, length)
        assert not are_of_rows(levels, num_values + 8, level, length)
        assert num_rows == 1 or not are_of_rows(levels, num_values, level, length + 1)


@given(st.data(), st.integers(1, 3), st.integers(1, 30), st.integers(1, 60))
def test_any_encoding_is_known(
    data: st.DataObject, level: int, length: int, num_values: int
) -> None:
    repetition = [int(place % length > 0) for place in range(num_values)]
    levels = (
        encoded(repetition, 1, data.draw),
        encoded([level] * num_values, level.bit_length(), data.draw),
    )
    assert are_of_rows(levels, num_values, level, length)


@given(st.data(), st.integers(1, 3), st.integers(1, 9), st.integers(1, 30))
def test_other_levels_are_not(
    data: st.DataObject, level: int, length: int, num_values: int
) -> None:
    repetition = data.draw(st.lists(st.integers(0, 1), min_size=num_values, max_size=num_values))
    definition = data.draw(
        st.lists(st.integers(level - 1, level), min_size=num_values, max_size=num_values)
    )
    width = level.bit_length()
    levels = encoded(repetition, 1, data.draw), encoded(definition, width, data.draw)
    assert are_of_rows(levels, num_values, level, length) == are_dense(
        levels, num_values, level, length
    )


@given(st.binary(max_size=8), st.binary(max_size=8), st.integers(1, 3), st.integers(1, 40))
def test_garbage_is_known_as_such(one: bytes, another: bytes, level: int, num_values: int) -> None:
    for length in (1, 3):
        assert are_of_rows((one, another), num_values, level, length) == are_dense(
            (one, another), num_values, level, length
        )
