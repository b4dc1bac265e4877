"""A store in which several things could be meant: none is passed over for another by chance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.commands import l2norm
from tests.support.reference import worst_ulp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS = np.random.default_rng(5).standard_normal((20, 16)).astype("f4")


def _statuses(store: Path, *options: str) -> dict[str, tuple[str, str]]:
    """Return what became of each file: its status, and why."""
    done = l2norm("normalize", store, "--json", "-j", "1", *options)
    lines = [json.loads(line) for line in done.out.splitlines()]
    return {
        line["shard"]: (line["status"], line.get("error", "") + line.get("reason", ""))
        for line in lines
        if "shard" in line
    }


def _save(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, rows)


def _hdf5(path: Path, name: str, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[name] = rows


def _table(path: Path, names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: list(map(list, ROWS)) for name in names}), path)


def test_of_two_arrays_that_as_many_files_hold_none_is_taken(tmp_path: Path) -> None:
    for index in range(2):
        _hdf5(tmp_path / "s" / "img" / f"{index}.h5", "features", ROWS)
        _hdf5(tmp_path / "s" / "txt" / f"{index}.h5", "hidden", ROWS[:, :12])
    statuses = _statuses(tmp_path / "s")
    assert {status for status, _ in statuses.values()} == {"failed"}
    assert "choose with -s features or -s hidden" in statuses["img/0.h5"][1]
    statuses = _statuses(tmp_path / "s", "-s", "features", "-s", "hidden", "--overwrite")
    assert {status for status, _ in statuses.values()} == {"done"}


def test_of_rows_of_two_lengths_in_as_many_files_none_is_taken(tmp_path: Path) -> None:
    _save(tmp_path / "s" / "image_features" / "0.npy", ROWS)
    _save(tmp_path / "s" / "text_features" / "0.npy", ROWS[:, :12])
    statuses = _statuses(tmp_path / "s")
    assert {status for status, _ in statuses.values()} == {"failed"}
    assert "-s '*' takes all" in statuses["text_features/0.npy"][1]


@pytest.mark.parametrize("folder", ["mel", "spec"])
def test_one_vector_a_file_in_a_folder_of_embeddings_comes_first(
    tmp_path: Path, folder: str
) -> None:
    store = tmp_path / "s"
    for index in range(3):
        _save(store / "embeddings" / f"{index}.npy", ROWS[index])
        _save(store / folder / f"{index}.npy", np.tile(ROWS, 5))
    statuses = _statuses(store)
    assert {name: status for name, (status, _) in statuses.items()} == {
        **{f"embeddings/{index}.npy": "done" for index in range(3)},
        **{f"{folder}/{index}.npy": "bystander" for index in range(3)},
    }
    result = np.load(tmp_path / "s.normalized" / "embeddings" / "0.npy")
    assert worst_ulp(result[None], ROWS[:1]) <= 0.501


def test_what_most_files_hold_is_not_passed_over_for_one_with_a_name(tmp_path: Path) -> None:
    for index in range(3):
        _table(tmp_path / "s" / f"part-{index}.parquet", ["features"])
    _table(tmp_path / "s" / "queries.parquet", ["embedding"])
    statuses = _statuses(tmp_path / "s")
    assert statuses["part-0.parquet"][0] == "failed"
    assert "hold 'embedding', which may be meant as well" in statuses["part-0.parquet"][1]


def test_a_shard_that_lacks_one_of_two_does_not_choose_for_the_rest(tmp_path: Path) -> None:
    both = ["image_embedding", "text_embedding"]
    for index in range(3):
        _table(tmp_path / "s" / f"part-{index}.parquet", both if index else both[:1])
    statuses = _statuses(tmp_path / "s")
    assert statuses["part-1.parquet"][0] == statuses["part-2.parquet"][0] == "failed"
    assert "choose with -s image_embedding or -s text_embedding" in statuses["part-1.parquet"][1]


def test_an_embedding_beside_the_one_that_is_taken_is_noted(tmp_path: Path) -> None:
    for index in range(2):
        _table(tmp_path / "s" / f"part-{index}.parquet", ["embedding", "title_embedding"])
    _table(tmp_path / "s" / "part-2.parquet", ["embedding"])
    done = l2norm("normalize", tmp_path / "s")
    assert done.code == 0
    assert "part-0.parquet and 1 more: 'title_embedding' stayed as it was" in done.err


def test_a_named_embedding_is_taken_though_no_file_like_it_was_looked_into(tmp_path: Path) -> None:
    for index in range(205):
        letters = "".join("abcdefghij"[int(digit)] for digit in f"{index:03}")
        name = "vectors" if index == 100 else "embedding"
        _table(tmp_path / "s" / f"{letters}.parquet", [name])
    statuses = _statuses(tmp_path / "s")
    assert {status for status, _ in statuses.values()} == {"done"}


def test_labels_as_many_as_the_rows_of_a_square_do_not_vote(tmp_path: Path) -> None:
    for index in range(3):
        _save(tmp_path / "s" / "emb" / f"{index}.npy", ROWS[:5])
        _save(tmp_path / "s" / "attn" / f"{index}.npy", ROWS[:5, :5])
        _save(tmp_path / "s" / "y" / f"{index}.npy", ROWS[0, :5])
    statuses = _statuses(tmp_path / "s")
    assert {name[:-6] for name, (status, _) in statuses.items() if status == "done"} == {"emb"}
