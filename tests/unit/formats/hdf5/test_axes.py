"""Arrays of MATLAB, Octave and Julia, whose axes HDF5 has in reverse order: the axis is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.checking.check import check
from l2cli.errors import SourceError
from l2cli.normalization.file import normalize_file
from l2cli.options import CheckOptions, FileOptions, NormalizeOptions
from tests.support.commands import l2norm

if TYPE_CHECKING:
    from pathlib import Path

Rows = np.ndarray[Any, Any]
ROWS = np.random.default_rng(0).standard_normal((20, 6))
"""As MATLAB shows them: a row is a vector."""

MATLAB = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Nov 26 05:00:00 2026 HDF5 schema"
JLD2 = b"HDF5-based Julia Data Format, version 0.2.0"
JLD = b"Julia data file (HDF5), version 0.1.3"


def save(path: Path, user_block: bytes, **attributes: Any) -> Path:
    """Write ROWS as a language does that stores columns one after the other."""
    size = 512 if user_block else 0
    with h5py.File(path, "w", userblock_size=size) as file:
        file["embedding"] = ROWS.T
        file["embedding"].attrs.update(attributes)
    if user_block:
        with path.open("r+b") as file:
            file.write(user_block.ljust(512, b" "))
    return path


def load(path: Path, name: str = "embedding") -> Rows:
    with h5py.File(path) as file:
        rows: Rows = file[name][()]
    return rows


def unit(rows: Rows, axis: int) -> Rows:
    quotient: Rows = rows / np.linalg.norm(rows, axis=axis, keepdims=True)
    return quotient


@pytest.mark.parametrize(
    ("user_block", "attributes", "language"),
    [
        (MATLAB, {"MATLAB_class": np.bytes_(b"double")}, "MATLAB"),
        (MATLAB, {}, "MATLAB"),
        (b"", {"MATLAB_class": np.bytes_(b"double")}, "MATLAB"),
        (JLD2, {}, "Julia"),
        (JLD, {}, "Julia"),
    ],
)
def test_the_axis_is_asked_for(
    tmp_path: Path, user_block: bytes, attributes: dict[str, Any], language: str
) -> None:
    source = save(tmp_path / "x.mat", user_block, **attributes)
    expected = (
        rf"'embedding' was stored by {language}, with its axes in reverse order: 20 × 6 there is "
        "6 × 20 here; choose `axis=0` if its rows there are the vectors, `axis=1` if its columns"
    )
    for options in (NormalizeOptions(), NormalizeOptions(select=("embedding",), truncate_dim=2)):
        with pytest.raises(SourceError, match=expected):
            normalize_file(
                source, tmp_path / "y.mat", options, files=FileOptions(source_format="hdf5")
            )
        with pytest.raises(SourceError, match=expected):
            normalize_file(source, tmp_path / "y.npy", options, files=FileOptions(dry_run=True))
    with pytest.raises(SourceError, match=expected):
        check([source])
    assert not (tmp_path / "y.mat").exists()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_axis_that_is_given_counts(tmp_path: Path, axis: int) -> None:
    source = save(tmp_path / "x.h5", MATLAB, MATLAB_class=np.bytes_(b"double"))
    options = NormalizeOptions(axis=(axis,), verify=True)
    normalize_file(source, tmp_path / "y.h5", options)
    np.testing.assert_allclose(load(tmp_path / "y.h5").T, unit(ROWS.T, axis).T, rtol=1e-12)
    assert check([tmp_path / "y.h5"], CheckOptions(axis=(axis,))).is_unit
    assert (tmp_path / "y.h5").read_bytes()[:10] == b"MATLAB 7.3"


def test_a_variable_of_octave(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["embedding/value"] = ROWS.T
        file["embedding/type"] = np.bytes_(b"matrix")
        file["embedding"].attrs["OCTAVE_NEW_FORMAT"] = np.uint8(1)
        file["beside/value"] = ROWS.T
    select = NormalizeOptions(select=("embedding/value",))
    with pytest.raises(SourceError, match="'embedding/value' was stored by Octave"):
        normalize_file(tmp_path / "x.h5", tmp_path / "y.h5", select)
    select = NormalizeOptions(select=("beside/value",))
    normalize_file(tmp_path / "x.h5", tmp_path / "y.h5", select)


def test_more_than_two_axes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["embedding"] = ROWS.reshape(4, 5, 6).T
        file["embedding"].attrs["MATLAB_class"] = np.bytes_(b"double")
    with pytest.raises(
        SourceError,
        match=r"4 × 5 × 6 there is 6 × 5 × 4 here; choose `axis=0` if a "
        "vector lies along the last axis there, `axis=2` if the first",
    ):
        normalize_file(tmp_path / "x.h5")


def test_other_files_are_not_asked_about(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", b"a user's own block")
    normalize_file(source, tmp_path / "y.h5")
    np.testing.assert_allclose(load(tmp_path / "y.h5"), unit(ROWS.T, -1), rtol=1e-12)


def test_the_command_asks_too(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", MATLAB)
    done = l2norm("normalize", source)
    assert (done.code, "stored by MATLAB" in done.err) == (3, True)
    assert l2norm("normalize", source, "--axis", "0", "-q").code == 0
    np.testing.assert_allclose(load(tmp_path / "x.normalized.h5"), unit(ROWS.T, 0), rtol=1e-12)
