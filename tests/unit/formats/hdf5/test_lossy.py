"""Filters that store other numbers than they are given. Checked with h5py."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from l2cli.checking.check import check
from l2cli.errors import DestinationError
from l2cli.formats.hdf5 import Hdf5Reader
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    from pathlib import Path

Rows = np.ndarray[Any, Any]
ROWS = np.random.default_rng(0).standard_normal((40, 8)).astype("f4")


def save(path: Path, rows: Rows = ROWS, name: str = "embedding", **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=rows, chunks=(10, 8), **options)
    return path


def plugin(name: str, **options: Any) -> dict[str, Any]:
    return dict(getattr(pytest.importorskip("hdf5plugin"), name)(**options))


def unit(rows: Rows) -> Rows:
    quotient: Rows = rows / np.linalg.norm(rows.astype("f8"), axis=-1, keepdims=True)
    return quotient


LOSSY: dict[str, tuple[str, dict[str, Any]]] = {
    "zfp": ("Zfp", {"accuracy": 0.01}),
    "zfp at a rate": ("Zfp", {"rate": 16}),
    "SZ": ("SZ", {"absolute": 0.01}),
    "SZ3": ("SZ3", {"absolute": 0.01}),
    "SPERR": ("Sperr", {"rate": 8}),
    "Blosc2": ("Blosc2", {"filters": 4}),
}


@pytest.mark.parametrize("name", ["scaleoffset", *LOSSY])
def test_a_lossy_filter_is_refused(tmp_path: Path, name: str) -> None:
    if name == "scaleoffset":
        source = save(tmp_path / "x.h5", scaleoffset=2)
    else:
        made, arguments = LOSSY[name]
        source = save(tmp_path / "x.h5", **plugin(made, **arguments))
    for options in (NormalizeOptions(verify=True), NormalizeOptions(dtype="float64")):
        with pytest.raises(
            DestinationError,
            match=rf"'embedding' is stored through the lossy filter {name.split()[0]}, which would "
            r"change its unit rows: first take that out \(h5repack -f embedding:GZIP=4 OLD NEW\), "
            r"or write another format \(`destination='FILE.npy'`\)",
        ):
            normalize_file(source, tmp_path / "y.h5", options)
    assert not (tmp_path / "y.h5").exists()


def test_the_ways_out(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", scaleoffset=2)
    with h5py.File(source) as file:
        stored = file["embedding"][()]
    report = normalize_file(source, tmp_path / "y.npy")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), unit(stored), atol=1e-6)
    assert report.notes == [
        "array 'embedding' was stored through the lossy filter scaleoffset, so its numbers differ "
        "from those that were written"
    ]
    if shutil.which("h5repack") is None:
        pytest.skip("h5repack isn't installed")
    command = ["h5repack", "-f", "embedding:GZIP=4", str(source), str(tmp_path / "z.h5")]
    subprocess.run(command, check=True)
    normalize_file(tmp_path / "z.h5", tmp_path / "w.h5", NormalizeOptions(verify=True))
    with h5py.File(tmp_path / "w.h5") as file:
        np.testing.assert_allclose(file["embedding"][()], unit(stored), atol=1e-6)


def test_datasets_that_are_not_touched_have_no_note(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", compression="gzip")
    with h5py.File(source, "r+") as file:
        for number in range(18):
            file.create_dataset(f"d{number}", data=ROWS, chunks=(10, 8), scaleoffset=2)
    options = NormalizeOptions(select=("embedding",), verify=True)
    assert normalize_file(source, tmp_path / "y.h5", options).notes == []
    notes = normalize_file(source, tmp_path / "y.npz", options).notes
    assert sum("lossy" in note for note in notes) == 1


def test_a_name_that_a_shell_would_take_apart_is_quoted(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", name="my vectors", scaleoffset=2)
    with pytest.raises(DestinationError, match=r"h5repack -f 'my vectors:GZIP=4' OLD NEW"):
        normalize_file(source, tmp_path / "y.h5")


def test_inspect_and_check_mention_it(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", unit(ROWS).astype("f4"), scaleoffset=2)
    (array,) = inspect_file(source).arrays
    assert array.layout == "chunks 10×8, scaleoffset, lossy"
    report = check([source])
    assert not report.is_unit
    (file,) = report.files
    assert [note for note in file.notes if "lossy filter scaleoffset" in note]


LOSSLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "Bitshuffle": ("Bitshuffle", {}),
    "Blosc2": ("Blosc2", {"filters": 2}),
    "Blosc2 without shuffle": ("Blosc2", {"filters": 0}),
    "Zstd": ("Zstd", {}),
    "BZip2": ("BZip2", {}),
}


@pytest.mark.parametrize("dtype", ["same", "float64"])
@pytest.mark.parametrize("name", LOSSLESS)
def test_what_loses_nothing_passes(tmp_path: Path, name: str, dtype: Any) -> None:
    made, arguments = LOSSLESS[name]
    source = save(tmp_path / "x.h5", **plugin(made, **arguments))
    report = normalize_file(source, tmp_path / "y.h5", NormalizeOptions(dtype=dtype, verify=True))
    assert report.notes == []
    with h5py.File(tmp_path / "y.h5") as file:
        np.testing.assert_allclose(file["embedding"][()], unit(ROWS), atol=1e-6)


def test_zfp_loses_nothing_of_its_own_type_if_it_is_reversible(tmp_path: Path) -> None:
    source = save(tmp_path / "x.h5", **plugin("Zfp", reversible=True))
    normalize_file(source, tmp_path / "y.h5", NormalizeOptions(verify=True))
    with h5py.File(tmp_path / "y.h5") as file:
        np.testing.assert_allclose(file["embedding"][()], unit(ROWS), atol=1e-6)
    # It would read float64 as the float32 that it was made for.
    with pytest.raises(DestinationError, match="is stored through the lossy filter zfp"):
        normalize_file(source, tmp_path / "z.h5", NormalizeOptions(dtype="float64"))


def test_nbit_loses_nothing_of_ieee_types(tmp_path: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((10, 8))
    properties.set_filter(h5py.h5z.FILTER_NBIT, h5py.h5z.FLAG_MANDATORY, ())
    space = h5py.h5s.create_simple(ROWS.shape)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = h5py.h5d.create(file.id, b"embedding", h5py.h5t.IEEE_F32LE, space, properties)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, ROWS)
    normalize_file(tmp_path / "x.h5", tmp_path / "y.h5", NormalizeOptions(verify=True))
    with h5py.File(tmp_path / "y.h5") as file:
        np.testing.assert_allclose(file["embedding"][()], unit(ROWS), atol=1e-6)


def test_integers_that_become_floats_leave_it(tmp_path: Path) -> None:
    rows = np.arange(320).reshape(40, 8)
    source = save(tmp_path / "x.h5", rows, scaleoffset=0)
    options = NormalizeOptions(select=("embedding",), dtype="float32", verify=True)
    normalize_file(source, tmp_path / "y.h5", options)
    with h5py.File(tmp_path / "y.h5") as file:
        np.testing.assert_allclose(file["embedding"][()], unit(rows), atol=1e-6)


def test_a_filter_that_nobody_knows_is_not_believed(tmp_path: Path) -> None:
    h5z = pytest.importorskip("hdf5plugin")  # What loads filters that h5py has not.
    assert h5z is not None
    source = save(tmp_path / "x.h5", **plugin("Zstd"))
    raw = source.read_bytes()
    assert raw.count(b"\x0f\x7d") == 1
    source.write_bytes(raw.replace(b"\x0f\x7d", b"\xfe\xff"))
    with Hdf5Reader(source) as reader:
        (array,) = reader.arrays()
    assert "lossy" in array.layout
    assert "filter 65534" in array.refusal
