"""What people do with unit vectors next: an inner-product index that ranks by cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import h5py
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from l2cli.normalization.file import normalize_file
from l2cli.options import NormalizeOptions
from tests.support.commands import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]


def _search(vectors: Array, queries: Array, num_neighbors: int) -> Array:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    result: Array = index.search(queries, num_neighbors)[1]
    return result


def _same_up_to_ties(result: Array, expected: Array, cosines: Array) -> bool:
    """Whether two rankings agree, but where float32 can't tell two cosines apart."""
    ours = np.take_along_axis(cosines, result, axis=1)
    theirs = np.take_along_axis(cosines, expected, axis=1)
    return bool(np.abs(ours - theirs).max() <= 1e-6) and bool((result == expected).mean() >= 0.999)


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_an_inner_product_index_ranks_by_cosine(tmp_path: Path, scale: float) -> None:
    raw = np.load(SAMPLES / "glove-50d.npy") * np.float32(scale)
    raw *= np.random.default_rng(0).uniform(0.1, 10, (len(raw), 1)).astype("f4")
    np.save(tmp_path / "x.npy", raw)
    normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", NormalizeOptions(epsilon=0))
    unit = np.load(tmp_path / "y.npy")
    cosines = cosine_similarity(raw[:200].astype("f8"), raw.astype("f8"))
    expected = np.argsort(-cosines, axis=1, kind="stable")[:, :20]
    assert _same_up_to_ties(_search(unit, unit[:200], 20), expected, cosines)
    # And raw inner products do not: else nothing was shown.
    assert not _same_up_to_ties(_search(raw, raw[:200], 20), expected, cosines)


def test_the_neighbors_of_an_ann_benchmarks_file_are_found_again(tmp_path: Path) -> None:
    source = SAMPLES / "glove-50d-angular.hdf5"
    normalize_file(source, tmp_path / "x.hdf5")
    with h5py.File(source) as raw, h5py.File(tmp_path / "x.hdf5") as unit:
        expected = raw["neighbors"][:]
        result = _search(unit["train"][:], unit["test"][:], expected.shape[1])
        cosines = cosine_similarity(raw["test"][:].astype("f8"), raw["train"][:].astype("f8"))
        assert _same_up_to_ties(result, expected, cosines)
