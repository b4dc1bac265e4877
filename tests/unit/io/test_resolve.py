"""Names and contents that disagree: nothing is written under a name that says something else."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest

from l2cli.errors import OptionError
from l2cli.io.resolve import resolve
from l2cli.options import FileOptions

ROWS = np.arange(1, 41, dtype="f4").reshape(10, 4)
NAMES = {"npy": "npy", "npz": "npz", "hdf5": "HDF5", "parquet": "Parquet", "arrow": "Arrow"}
SUFFIXES = {"npy": ".npy", "npz": ".npz", "hdf5": ".h5", "parquet": ".parquet", "arrow": ".arrow"}


def _save(path: Path, word: str) -> Path:
    table = pa.table({"emb": pa.array(list(ROWS))})
    if word == "npy":
        with path.open("wb") as file:
            np.save(file, ROWS)
    elif word == "npz":
        with path.open("wb") as file:
            np.savez(file, emb=ROWS)
    elif word == "hdf5":
        with h5py.File(path, "w") as h5:
            h5["emb"] = ROWS
    elif word == "parquet":
        pq.write_table(table, path)
    else:
        pf.write_feather(table, path)
    return path


PAIRS = [(word, another) for word in SUFFIXES for another in SUFFIXES if word != another]


@pytest.mark.parametrize(("word", "another"), PAIRS)
def test_a_source_named_like_another_format_is_refused(
    tmp_path: Path, word: str, another: str
) -> None:
    source = _save(tmp_path / f"x{SUFFIXES[another]}", word)
    right = f"{word}|{NAMES[word]}"
    what = rf"is ({right}).* inside, but named like {NAMES[another]}"
    with pytest.raises(OptionError, match=what) as caught:
        resolve(source)
    target = str(caught.value).partition("name the result: `destination='")[2].removesuffix("'`")
    assert target == str(tmp_path / f"x.normalized{SUFFIXES[word]}")
    assert resolve(source, Path(target)).file_format.name == word
    with pytest.raises(OptionError, match=what) as caught:
        resolve(source, files=FileOptions(in_place=True))
    old, new = shlex.split(str(caught.value).partition("rename it first: mv ")[2])
    assert resolve(Path(old).rename(new), files=FileOptions(in_place=True)).file_format.name == word


@pytest.mark.parametrize(("word", "another"), PAIRS)
def test_the_format_that_was_asked_for_names_the_result(
    tmp_path: Path, word: str, another: str
) -> None:
    source = _save(tmp_path / f"x{SUFFIXES[another]}", word)
    for asked in (word, another):
        resolution = resolve(source, files=FileOptions(destination_format=asked))
        assert resolution.destination.label == str(tmp_path / f"x.normalized{SUFFIXES[asked]}")
        assert resolution.file_format.name == asked


@pytest.mark.parametrize(
    "name", ["x.csv", "x.pt", "x.npy.gz", "x.npy.zst", "x.gz", "x y.safetensors"]
)
def test_a_source_named_like_what_is_never_written_is_refused(tmp_path: Path, name: str) -> None:
    source = _save(tmp_path / name, "npy")
    with pytest.raises(OptionError, match=r"but named like .*; name the result") as e:
        resolve(source)
    stem = name.partition(".")[0]
    target = str(e.value).partition("name the result: `destination='")[2].removesuffix("'`")
    assert target == str(tmp_path / f"{stem}.normalized.npy")
    with pytest.raises(OptionError, match="rename it first: mv"):
        resolve(source, files=FileOptions(in_place=True))


@pytest.mark.parametrize("options", [{}, {"destination_format": "npy"}])
@pytest.mark.parametrize(
    ("suffix", "program"), [(".gz", "gzip"), (".zst", "zstd"), (".bz2", "bzip2"), (".xz", "xz")]
)
def test_nothing_plain_is_written_under_the_name_of_a_compressed_file(
    tmp_path: Path, suffix: str, program: str, options: dict[str, Any]
) -> None:
    source, target = _save(tmp_path / "x.npy", "npy"), tmp_path / f"y.npy{suffix}"
    with pytest.raises(
        OptionError, match=rf"put a pipe behind it: `destination='-'` \| {program} > .*{suffix}"
    ):
        resolve(source, target, FileOptions(**options))


@pytest.mark.parametrize("name", ["x.npy", "x.NPY", "x.bin", "x", "x.v1.5"])
def test_a_name_that_says_nothing_else_stays(tmp_path: Path, name: str) -> None:
    source = _save(tmp_path / name, "npy")
    expected = tmp_path / f"{source.stem}.normalized{source.suffix}"
    assert resolve(source).destination.label == str(expected)
    assert resolve(source, files=FileOptions(in_place=True)).file_format.title == "npy"


def test_a_format_that_was_named_is_believed_where_it_is_true(tmp_path: Path) -> None:
    source = _save(tmp_path / "x.parquet", "npy")
    with pytest.raises(OptionError, match="npy inside, but named like Parquet"):
        resolve(source, files=FileOptions(source_format="npy"))
    assert (
        resolve(source, files=FileOptions(source_format="npz")).file_format.title == "npz"
    )  # Its reader says better.
    assert (
        resolve(source, tmp_path / "y.npy", FileOptions(source_format="npy")).file_format.title
        == "npy"
    )


@pytest.mark.parametrize("destination", ["unit/", "unit"])
def test_a_folder_takes_the_name_of_the_source(tmp_path: Path, destination: str) -> None:
    source = _save(tmp_path / "x.npy", "npy")
    (tmp_path / "unit").mkdir()
    target = f"{tmp_path}/{destination}"
    assert resolve(source, target).destination.label == str(tmp_path / "unit" / "x.npy")
    options = FileOptions(destination_format="parquet")
    label = resolve(source, target, options).destination.label
    assert label == str(tmp_path / "unit" / "x.parquet")
    with (
        source.open("rb", buffering=0) as stream,
        pytest.raises(OptionError, match="is a folder; name a file for standard input"),
    ):
        resolve(stream, target)
    with pytest.raises(OptionError, match="`destination` is empty"):
        resolve(source, "")
