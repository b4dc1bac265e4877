"""HDF5's chunk indexes: all of them are read and written, whatever axis may grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from tests.support.assertions import assert_doubled
from tests.unit.formats.hdf5.test_rewriting import (
    assert_only_values_differ,
    rewrite,
    rows_of,
)

if TYPE_CHECKING:
    from pathlib import Path

Limits = tuple[int | None, ...]

SHAPES: dict[str, tuple[tuple[int, ...], Limits, tuple[int, ...]]] = {
    "second axis": ((20, 30), (20, None), (5, 7)),
    "second axis, one chunk across": ((20, 30), (20, None), (6, 30)),
    "second axis, first may grow a little": ((20, 30), (40, None), (6, 7)),
    "both axes": ((20, 30), (None, None), (6, 7)),
    "first axis": ((20, 30), (None, 30), (6, 7)),
    "none": ((20, 30), (20, 30), (6, 7)),
    "limited": ((20, 30), (40, 50), (6, 7)),
    "one chunk": ((20, 30), (20, 30), (20, 30)),
    "rank 3, first axis": ((4, 20, 6), (None, 20, 6), (3, 6, 4)),
    "rank 3, second axis": ((4, 20, 6), (4, None, 6), (3, 6, 4)),
    "rank 3, last axis": ((4, 20, 6), (4, 20, None), (3, 6, 4)),
    "rank 3, all axes": ((4, 20, 6), (None, None, None), (3, 6, 4)),
    "rank 3, two axes": ((4, 20, 6), (4, None, None), (3, 6, 6)),
}


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
@pytest.mark.parametrize("options", [{"compression": "gzip", "shuffle": True}, {}], ids=str)
@pytest.mark.parametrize(("shape", "limits", "chunks"), SHAPES.values(), ids=SHAPES)
def test_chunks_of_every_index(
    tmp_path: Path,
    shape: tuple[int, ...],
    limits: Limits,
    chunks: tuple[int, ...],
    options: dict[str, object],
    libver: str,
) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w", libver=libver) as file:
        file["before"] = np.arange(7)
        data = rows_of(shape)
        file.create_dataset("x", data=data, maxshape=limits, chunks=chunks, **options)
        file["after"] = np.arange(7)
    rewrite(source, destination, "x", batch_size=7)
    assert_only_values_differ(source, destination, "x")
    assert_doubled(source, destination, "x")
    assert destination.stat().st_size <= source.stat().st_size + 4096
    with h5py.File(destination, "r+") as file:
        if limits[-1] is None:  # It may grow as before.
            file["x"].resize(shape[-1] + 9, axis=len(shape) - 1)
            np.testing.assert_array_equal(file["x"][..., : shape[-1]], rows_of(shape) * 2)


@pytest.mark.parametrize("limits", [(20, None), (None, None), (None, 30)])
def test_another_dtype_behind_every_index(tmp_path: Path, limits: Limits) -> None:
    source, destination = tmp_path / "s.h5", tmp_path / "d.h5"
    with h5py.File(source, "w", libver="latest") as file:
        data = rows_of((20, 30))
        file.create_dataset("x", data=data, maxshape=limits, chunks=(6, 7), compression="gzip")
    rewrite(source, destination, "x", dtype="float64")
    with h5py.File(destination) as file:
        np.testing.assert_array_equal(file["x"][()], (rows_of((20, 30)) * 2).astype("f8"))
        assert file["x"].maxshape == limits
