"""Rows that the lower bound keeps from becoming unit are never passed off as normalized."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli import NormalizeOptions, normalize_file
from l2cli.store.run import normalize_store
from tests.support.commands import l2norm
from tests.support.workers import Here

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.store.report import StoreReport

Array = np.ndarray[Any, Any]
PRINTED = "100 rows are shorter than 1e-6 and did not become unit; --epsilon 0 makes them unit"
NOTE = PRINTED.replace("--epsilon 0", "`epsilon=0`")


def _rows(num_short: int = 100, norm: float = 1e-8, dtype: str = "f4") -> Array:
    """Return 200 rows of norm 3, but for the first ``num_short``, which are of ``norm``."""
    rows = np.random.default_rng(0).standard_normal((200, 8))
    rows *= 3 / np.linalg.norm(rows, axis=1, keepdims=True)
    rows[:num_short] *= norm / 3
    return rows.astype(dtype)


def _norms(path: Path) -> Array:
    norms: Array = np.linalg.norm(np.load(path).astype("f8"), axis=-1)
    return norms


@pytest.mark.parametrize("norm", [1e-8, 1e-30, 1e-44], ids=["ordinary", "extreme", "subnormal"])
def test_short_rows_are_a_note_and_become_unit_without_epsilon(tmp_path: Path, norm: float) -> None:
    rows = np.full((200, 8), norm, "f4")
    rows[100:] = 1
    np.save(tmp_path / "x.npy", rows)
    report = normalize_file(tmp_path / "x.npy", tmp_path / "y.npy")
    assert report.notes == report.warnings == report.as_dict()["notes"] == [NOTE]
    assert report.arrays[0].counts.floored == 100
    assert (_norms(tmp_path / "y.npy")[:100] < 0.1).all()
    exact = normalize_file(tmp_path / "x.npy", tmp_path / "z.npy", NormalizeOptions(epsilon=0))
    assert exact.notes == exact.warnings == []
    np.testing.assert_allclose(_norms(tmp_path / "z.npy"), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (NormalizeOptions(epsilon=1.0), "100 rows are shorter than 1 and did"),
        (NormalizeOptions(epsilon=25.0), "200 rows are shorter than 5 and did"),
        (NormalizeOptions(truncate_dim=2), "100 rows are shorter than 1e-6 and did"),
        (NormalizeOptions(axis=(1,), dtype="float16"), "100 rows are shorter than 1e-6 and did"),
        (NormalizeOptions(axis=(0,)), "1 row is shorter than 1e-6 and did not become unit"),
    ],
)
def test_the_bound_in_the_note_is_that_of_the_run(
    tmp_path: Path, options: NormalizeOptions, note: str
) -> None:
    rows = _rows(dtype="f8")
    if options.axis == (0,):
        rows[:, 3] *= 1e-9
    np.save(tmp_path / "x.npy", rows)
    report = normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", options)
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith(note)


def test_of_several_arrays_the_note_names_the_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train"], file["test"] = _rows(), _rows(0)
    options = NormalizeOptions(select=("train", "test"))
    report = normalize_file(tmp_path / "x.h5", tmp_path / "y.h5", options)
    assert report.warnings == [f"train: {NOTE}"]
    assert f"train: {NOTE}" in report.notes


def test_zero_and_null_rows_are_not_short(tmp_path: Path) -> None:
    table = pa.table({"emb": [None, [0.0, 0.0], [3.0, 4.0]]})
    pq.write_table(table, tmp_path / "x.parquet")
    report = normalize_file(tmp_path / "x.parquet", tmp_path / "y.parquet")
    assert report.warnings == report.notes == []


def test_the_command_says_it_even_if_it_is_to_be_quiet(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _rows())
    done = l2norm("normalize", "x.npy", cwd=tmp_path)
    assert (done.code, done.out) == (0, "")
    assert "200 × 8 float32 (100 too short to become unit); " in done.err
    assert done.err.endswith(f"note: {PRINTED}\n")
    done = l2norm("normalize", "x.npy", "-q", "-o", "q.npy", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", f"l2norm: q.npy: {PRINTED}\n")
    done = l2norm("normalize", "x.npy", "--json", "-o", "j.npy", cwd=tmp_path)
    assert json.loads(done.out)["notes"] == [PRINTED]
    assert done.err == ""


def test_verified_does_not_claim_that_all_rows_are_unit(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _rows())
    options = NormalizeOptions(verify=True)
    report = normalize_file(tmp_path / "x.npy", tmp_path / "y.npy", options)
    assert "; verified, 100 not unit; " in str(report)
    assert report.warnings == [NOTE]
    np.save(tmp_path / "x.npy", _rows(0))
    report = normalize_file(tmp_path / "x.npy", tmp_path / "z.npy", options)
    assert "; verified; " in str(report)


def _store(folder: Path) -> StoreReport:
    return normalize_store([folder], runner=Here())


def test_a_store_says_it_once_and_again_when_it_is_run_again(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for number, num_short in enumerate((60, 0, 40)):
        np.save(store / f"{number}.npy", _rows(num_short))
    for status in ("done", "skipped"):
        report = _store(store)
        assert report.shards[status] == 3
        assert report.notes == report.warnings == [f"0.npy and 1 more: {NOTE}"]
    lines = (tmp_path / "store.normalized" / ".l2norm.jsonl").read_text().splitlines()
    records = [entry for entry in map(json.loads, lines) if "shard" in entry]
    assert {entry["shard"]: entry["num_short"] for entry in records} == {
        "0.npy": 60,
        "1.npy": 0,
        "2.npy": 40,
    }
    np.save(store / "0.npy", _rows(0))
    assert _store(store).warnings == [f"2.npy: {NOTE.replace('100', '40')}"]


def test_the_command_says_it_of_a_store_even_if_it_is_to_be_quiet(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    np.save(tmp_path / "store" / "a.npy", _rows())
    done = l2norm("normalize", "store", "-q", "-o", "q", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", f"l2norm: q: a.npy: {PRINTED}\n")
    done = l2norm("normalize", "store", "--json", "-o", "j", cwd=tmp_path)
    shard, summary = map(json.loads, done.out.splitlines())
    assert shard["notes"] == [PRINTED]
    assert summary["summary"]["notes"] == [f"a.npy: {PRINTED}"]
