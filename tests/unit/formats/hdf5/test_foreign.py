"""Rows in other files: looked for beside the file, from every working directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.checking.check import check
from l2cli.errors import SelectionError
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file
from l2cli.options import CheckOptions, NormalizeOptions, OpenOptions

if TYPE_CHECKING:
    from pathlib import Path

Rows = np.ndarray[Any, Any]
ROWS = np.random.default_rng(0).standard_normal((20, 6)).astype("f4")
OTHERS = ROWS[::-1] + 100
"""What lies in the working directory under the same names."""
UNLIMITED = h5py.h5f.UNLIMITED
HOW = ["raw", "virtual", "link"]


def write(folder: Path, how: str, rows: Rows) -> None:
    folder.mkdir(exist_ok=True)
    if how == "raw":
        rows.tofile(folder / "other.bin")
    else:
        with h5py.File(folder / "other.bin", "w") as file:
            file["x"] = rows


def save(folder: Path, how: str, name: str = "other.bin") -> Path:
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "s.h5", "w") as file:
        if how == "raw":
            file.create_dataset("embedding", (20, 6), "f4", external=[(name, 0, UNLIMITED)])
        elif how == "virtual":
            layout = h5py.VirtualLayout((20, 6), "f4")
            layout[:] = h5py.VirtualSource(name, "x", (20, 6))
            file.create_virtual_dataset("embedding", layout)
        else:
            file["embedding"] = h5py.ExternalLink(name, "/x")
    return folder / "s.h5"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that holds other rows under the same name."""
    for name in ("HDF5_EXTFILE_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def normalized(source: Path, destination: Path) -> Rows:
    options = NormalizeOptions(allow_external=True, verify=True)
    normalize_file(source, destination, options)
    with h5py.File(destination) as file:
        rows: Rows = file["embedding"][()]
    return rows


def unit(rows: Rows) -> Rows:
    quotient: Rows = rows / np.linalg.norm(rows.astype("f8"), axis=-1, keepdims=True)
    return quotient


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("how", HOW)
def test_the_folder_of_the_file_counts(tmp_path: Path, how: str, relative: bool) -> None:
    write(tmp_path / "d", how, ROWS)
    write(tmp_path / "cwd", how, OTHERS)
    source = save(tmp_path / "d", how)
    if relative:
        source = type(source)(os.path.relpath(source))
    np.testing.assert_allclose(normalized(source, tmp_path / "y.h5"), unit(ROWS), atol=1e-6)
    report = check([source], CheckOptions(allow_external=True))
    assert report.summary.norms is not None
    largest = np.linalg.norm(ROWS.astype("f8"), axis=1).max()
    assert report.summary.norms.largest == pytest.approx(largest)


@pytest.mark.parametrize("how", HOW)
def test_the_working_directory_does_not(tmp_path: Path, how: str) -> None:
    write(tmp_path / "cwd", how, OTHERS)
    source = save(tmp_path / "d", how)
    variable = {"raw": "EXTFILE", "virtual": "VDS", "link": "EXT"}[how]
    expected = (
        rf"the file that it (lies in|leads to) is missing \(other.bin, looked for in "
        rf"{tmp_path / 'd'}; HDF5_{variable}_PREFIX names another folder\)"
    )
    with pytest.raises(SelectionError, match=expected):
        normalized(source, tmp_path / "y.h5")
    with pytest.raises(SelectionError, match=expected):
        check([source], CheckOptions(allow_external=True))
    (array,) = inspect_file(source, OpenOptions(allow_external=True)).arrays
    assert "is missing" in array.reason


@pytest.mark.parametrize("how", HOW)
def test_the_variables_of_hdf5_name_another_folder(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "third", how, ROWS)
    write(tmp_path / "cwd", how, OTHERS)
    source = save(tmp_path / "d", how)
    variable = {"raw": "EXTFILE", "virtual": "VDS", "link": "EXT"}[how]
    # HDF5 expands ${ORIGIN} for all but links.
    for prefix in [str(tmp_path / "third"), *(["${ORIGIN}/../third"] if how != "link" else [])]:
        monkeypatch.setenv(f"HDF5_{variable}_PREFIX", prefix)
        result = normalized(source, tmp_path / f"{len(prefix)}.h5")
        np.testing.assert_allclose(result, unit(ROWS), atol=1e-6)


def test_raw_data_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "d", "raw")
    ROWS[:19].tofile(tmp_path / "d" / "other.bin")
    expected = r"is cut off \(other.bin\): it holds 456 bytes, expected 480"
    with pytest.raises(SelectionError, match=expected):
        normalized(source, tmp_path / "y.h5")


def test_raw_data_in_pieces(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a").write_bytes(b"head" + ROWS[:5].tobytes())
    (folder / "b").write_bytes(ROWS[5:].tobytes())
    (tmp_path / "cwd" / "b").write_bytes(OTHERS.tobytes())
    with h5py.File(folder / "s.h5", "w") as file:
        pieces = [("a", 4, 120), ("b", 0, UNLIMITED)]
        file.create_dataset("embedding", (20, 6), "f4", external=pieces)
    result = normalized(folder / "s.h5", tmp_path / "y.h5")
    np.testing.assert_allclose(result, unit(ROWS), atol=1e-6)


def test_a_source_that_is_missing_is_not_read_as_fill_values(tmp_path: Path) -> None:
    source = save(tmp_path / "d", "virtual")
    with h5py.File(tmp_path / "d" / "other.bin", "w") as file:
        file["y"] = ROWS
    with pytest.raises(SelectionError, match=r"a source of it is missing \('x' in other.bin\)"):
        normalized(source, tmp_path / "y.h5")
    (tmp_path / "d" / "other.bin").write_bytes(b"no HDF5")
    write(tmp_path / "cwd", "virtual", OTHERS)
    with pytest.raises(SelectionError, match=r"lies in is no HDF5 file \(other.bin\)"):
        normalized(source, tmp_path / "y.h5")


def test_raw_data_behind_a_virtual_dataset(tmp_path: Path) -> None:
    write(tmp_path / "d", "raw", ROWS)
    write(tmp_path / "cwd", "raw", OTHERS)
    with h5py.File(tmp_path / "d" / "s.h5", "w") as file:
        file.create_dataset("raw", (20, 6), "f4", external=[("other.bin", 0, UNLIMITED)])
        layout = h5py.VirtualLayout((20, 6), "f4")
        layout[:] = h5py.VirtualSource(".", "raw", (20, 6))
        file.create_virtual_dataset("embedding", layout)
    expected = r"lies in another file \(other.bin\), which HDF5 would look for in the working"
    with pytest.raises(SelectionError, match=expected):
        normalized(tmp_path / "d" / "s.h5", tmp_path / "y.h5")


def test_nothing_of_it_is_read_unasked(tmp_path: Path) -> None:
    for how in HOW:
        write(tmp_path / how, how, ROWS)
        source = save(tmp_path / how, how)
        with pytest.raises(SelectionError, match=r"file \(other.bin\); `allow_external=True`"):
            normalize_file(source, tmp_path / "y.h5")
