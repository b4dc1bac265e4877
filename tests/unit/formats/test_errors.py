"""What a format's library raises is an error of the source, and nothing else is."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.checking.check import check
from l2cli.errors import DestinationError, FormatError, OptionError, SelectionError, SourceError
from l2cli.formats import base
from l2cli.formats.base import DEFAULT_OPENING
from l2cli.formats.errors import reading
from l2cli.formats.registry import by_suffix, open_reader
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIXES = ["npy", "npz", "h5", "parquet", "arrow"]


def _source(folder: Path, suffix: str) -> Path:
    path = folder / f"x.{suffix}"
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype("f4")
    table = pa.table({"embedding": list(rows)})
    if suffix == "npy":
        np.save(path, rows)
    elif suffix == "npz":
        np.savez(path, embedding=rows)
    elif suffix == "h5":
        with h5py.File(path, "w") as file:
            file["embedding"] = rows
    elif suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (IndexError("list index out of range"), "x is damaged .*: list index out of range; copy"),
        (KeyError("no\nsuch  key"), "x is damaged .*: no such key; copy it again$"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "x is damaged .* invalid .*|codec"),
        (AssertionError(), "x is damaged or not what it claims to be: AssertionError; copy it"),
        (RecursionError("too deep."), "claims to be: too deep; copy it again$"),
        (OSError("bad magic"), "x is damaged .*: bad magic; copy it again$"),
        (ValueError("a" * 5000), r"claims to be: a{200} …; copy it again$"),
        (NotImplementedError("codec 9"), "x is damaged, or holds what can't be read: codec 9; .*"),
        (FormatError("the file is encrypted"), "^x: the file is encrypted$"),
        (FormatError("x is encrypted"), "^x is encrypted$"),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_what_a_library_raises_is_the_sources(raised: Exception, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught, reading("x"):
        raise raised
    assert "\n" not in str(caught.value)
    assert raised in (caught.value, caught.value.__cause__)


def test_what_the_system_refuses_is_told_from_damage() -> None:
    with pytest.raises(SourceError, match=r"^x can't be read: Input/output error$"), reading("x"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        ImportError("no h5py"),
        KeyboardInterrupt(),
        OptionError("no"),
        DestinationError("disk full"),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_what_is_not_the_sources_fault_passes(raised: BaseException) -> None:
    with pytest.raises(type(raised), match=f"^{raised}$") as caught, reading("x"):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize("method", ["__init__", "arrays", "batches"])
@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_every_reader_names_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, method: str
) -> None:
    """Whatever it raises, in every command, and nothing is left."""
    source = _source(tmp_path, suffix)
    variant = by_suffix(source)
    assert variant is not None
    with open_reader(source, variant, DEFAULT_OPENING) as reader:
        owner = next(entry for entry in type(reader).__mro__ if method in vars(entry))

    def fail(*arguments: Any, **named: Any) -> Any:
        raise IndexError("index 7 is out of bounds")

    failing = fail if method == "__init__" else base._only_reading(fail)
    monkeypatch.setattr(owner, method, failing)
    message = rf"x\.{suffix} is damaged or .*: index 7 is out of bounds; copy it again$"
    with pytest.raises(FormatError, match=message):
        normalize_file(source, tmp_path / f"y.{suffix}")
    with pytest.raises(FormatError, match=message):
        check([source])
    if method != "batches":
        with pytest.raises(FormatError, match=message):
            inspect_file(source)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_a_new_reader_is_guarded_as_it_is_made() -> None:
    """A method that only reads, written in a reader, is wrapped without a word about it."""

    class Broken(base.Reader):
        def arrays(self) -> Any:
            return [][1]

        def batches(self, arrays: Any, batch_size: int | None) -> Any:
            yield from ()
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

        def writer(self, path: Any, outputs: Any) -> Any:
            raise KeyError(path)

        def close(self) -> None:
            pass

    label: Any = "x.new"
    reader = Broken(label)
    with pytest.raises(FormatError, match=r"x\.new is damaged .* index out of range"):
        reader.arrays()
    with pytest.raises(FormatError, match=r"x\.new is damaged .* invalid start byte"):
        list(reader.batches([], None))
    with pytest.raises(KeyError, match=r"x\.new"):  # A writer's errors are for it to tell apart.
        reader.writer(label, {})


class _OwnError(Exception):
    pass


@pytest.mark.parametrize("raised", [_OwnError("stop"), KeyError("stop"), SelectionError("stop")])
@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_what_progress_raises_comes_out_as_it_is(
    tmp_path: Path, suffix: str, raised: Exception
) -> None:
    source = _source(tmp_path, suffix)

    def advance(done: int, total: int) -> None:
        raise raised

    for work in (
        lambda: normalize_file(source, tmp_path / f"y.{suffix}", progress=advance),
        lambda: check([source], progress=advance),
    ):
        with pytest.raises(type(raised), match="stop"):
            work()
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
