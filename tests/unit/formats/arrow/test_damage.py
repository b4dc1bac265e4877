"""Damaged Arrow IPC: one line that says that it is, where, and what to do. Seeded mutants."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from l2cli.errors import FormatError, L2NormError
from l2cli.formats.arrow.reader import ArrowReader
from l2cli.formats.registry import detect
from l2cli.formats.tabular.errors import as_format_error
from l2cli.normalization.file import normalize_file
from tests.support import tables
from tests.support.arrow_files import file_of, stream_of
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path

F4 = pa.float32()
ROWS: list[Any] = [[1, 2, 3], None, [4, 5, 6], [7, 8, 9], None, [10, 11, 12]]
LISTS = [pa.list_(F4), pa.list_(F4, 3), pa.list_view(F4), pa.large_list_view(F4)]
INTEGERS = [b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff"]


def table(column: Any) -> Any:
    words = pa.array(["à", "b", "c"] * 2).dictionary_encode()
    content = tables.table(column, words=words, metadata={"a": "b"})
    return content.rename_columns(["idé", "emb", "word"])


def contents() -> list[bytes]:
    nested = pa.array([[[1.0, 2.0], [3.0, 4.0]], None] * 3)
    structs = pa.array([{"n": 1, "v": [1.0, 2.0]}, None] * 3)
    columns = [*(pa.array(ROWS, arrow_type) for arrow_type in LISTS), nested, structs]
    return [
        make(table(column), compression=codec)
        for column in columns
        for make in (file_of, stream_of)
        for codec in (None, "zstd")
    ]


def mutant(content: bytes, chance: random.Random) -> bytes:
    """Change some bytes, lose some, or cut it off."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4])):
        way, place = chance.random(), chance.randrange(len(changed))
        if way < 0.6:
            changed[place] = chance.choice([0, 1, 128, 255, chance.randrange(256)])
        elif way < 0.8:
            changed[place : place + 4] = chance.choice(INTEGERS)
        elif way < 0.9:
            del changed[place : place + chance.randrange(1, 16)]
        else:
            changed = changed[: max(place, 8)]
    return bytes(changed)


def read_all(path: Path) -> Any:
    content = path.read_bytes()
    is_file = content.startswith(b"ARROW1")
    opened = pa.ipc.open_file(content) if is_file else pa.ipc.open_stream(content)
    return opened.read_all()


def compare(source: Path) -> None:
    """Double what can be, which must be the rows that pyarrow reads."""
    with ArrowReader(source) as reader:
        names = [spec.name for spec in reader.arrays() if not spec.refusal]
    for name in names:
        destination = double(source, name)
        before, after = read_all(source), read_all(destination)
        top = name.partition(".")[0]
        assert after.drop([top]).equals(before.drop([top]))
        assert after[top].is_null().equals(before[top].is_null())


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("seed", range(4))
def test_mutants_are_read_as_pyarrow_does_or_refused(tmp_path: Path, seed: int) -> None:
    chance, source = random.Random(seed), tmp_path / "x.arrow"
    sound, refusals = contents(), []
    for _ in range(100):
        source.write_bytes(mutant(chance.choice(sound), chance))
        try:
            detect(source)
            compare(source)
        except L2NormError as exc:
            refusals.append(str(exc))
    assert len(refusals) > 20
    assert [words for words in refusals if "\n" in words or "x.arrow" not in words] == []


@pytest.mark.parametrize("make", [file_of, stream_of])
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("idé".encode(), b"id\xff\xff", r"is damaged \(a text in its metadata isn't UTF-8"),
        (b"emb\0", b"\xff\xfe\xfd\0", r"is damaged \(a text in its metadata isn't UTF-8"),
    ],
)
def test_names_that_are_no_text(
    tmp_path: Path, make: Any, old: bytes, new: bytes, words: str
) -> None:
    content = make(table(pa.array(ROWS, pa.list_(F4))))
    source = tmp_path / "x.arrow"
    source.write_bytes(content.replace(old, new))
    with pytest.raises(FormatError, match=words + ".*copy it again, or write it anew"):
        ArrowReader(source)


def test_the_record_batch_is_named(tmp_path: Path) -> None:
    content = file_of(table(pa.array(ROWS, pa.list_(F4))), compression="zstd")
    magic = b"\x28\xb5\x2f\xfd"
    place = content.rindex(magic)
    source = tmp_path / "x.arrow"
    source.write_bytes(content[:place] + bytes(4) + content[place + 4 :])
    with pytest.raises(
        FormatError, match=r"x\.arrow is damaged \(record batch 1: .*ZSTD"
    ) as caught:
        double(source, "emb")
    assert str(caught.value).endswith("; copy it again, or write it anew")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (IndexError("Out of range"), r"x is damaged \(here: Out of range\); copy it again"),
        (KeyError("emb"), r"x is damaged \(here: emb\); copy it again"),
        (pa.ArrowInvalid("Bad\nthings."), r"x is damaged \(here: Bad things\); copy it again"),
        (OSError("Corrupt"), r"x is damaged \(here: Corrupt\); copy it again"),
        (
            pa.ArrowNotImplementedError("Union"),
            r"x holds what pyarrow .* can't read, .*here: Union",
        ),
        (MemoryError("malloc"), r"x asks for more memory than there is \(here: malloc\)"),
        (RecursionError(), r"x is damaged \(here: RecursionError\)"),
        (ValueError("it is cut off"), r"^x: it is cut off$"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "bad"), r"isn't UTF-8: b'a\\xff'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_of_a_library_gets_a_verdict(error: Exception, words: str) -> None:
    with pytest.raises(FormatError, match=words), as_format_error("x", "here"):  # type: ignore[arg-type]
        raise error


def test_an_error_of_the_system_passes() -> None:
    with pytest.raises(OSError, match="full"), as_format_error("x"):  # type: ignore[arg-type]
        raise OSError(28, "full")


def test_lengths_of_text_that_are_false_are_refused_in_a_conversion(tmp_path: Path) -> None:
    """pyarrow believes them, and crashes or asks for exabytes when it writes Parquet."""
    offsets = pa.py_buffer(np.array([0, 1, 2**31 - 1, 3], "i4").tobytes())
    text = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abc")])
    rows = pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32()))
    batch = pa.RecordBatch.from_arrays([text, rows], ["text", "embedding"])
    with (
        pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, batch.schema) as writer,
    ):
        writer.write_batch(batch)
    with pytest.raises(FormatError, match=r"x\.arrow: it is damaged \(.*offset.*copy it again"):
        normalize_file(tmp_path / "x.arrow", tmp_path / "y.parquet")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.arrow"]
