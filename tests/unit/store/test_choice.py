"""What of a store is normalized: its arrays, not the bystanders, and nothing passed over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.checking.check import check
from l2cli.errors import NoArrayError
from l2cli.io.families import families_of
from l2cli.io.store_state import FILE_NAME
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.report import StoreProgress, StoreReport
from l2cli.store.run import normalize_store
from tests.support.reference import worst_ulp
from tests.support.workers import Here

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.store.task import ShardReport

ROWS = np.random.default_rng(3).standard_normal((20, 8)).astype("f4")


def _run(store: Path, **options: Any) -> tuple[StoreReport, dict[str, ShardReport]]:
    """Return what became of the store, and of each of its files by name."""
    reports: dict[str, Any] = {}

    def note(event: Any) -> None:
        if hasattr(event, "status"):
            reports[event.name] = event

    select = options.pop("select", ())
    report = normalize_store(
        [store],
        None,
        NormalizeOptions(select=select),
        StoreOptions(**options),
        runner=Here(),
        on_event=note,
    )
    return report, reports


def _statuses(reports: dict[str, ShardReport]) -> dict[str, str]:
    return {name: report.status for name, report in reports.items()}


def _table(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": pa.array(range(20)), **columns}), path)


def _lists(rows: Any = ROWS, arrow_type: Any = None) -> Any:
    return pa.array([list(row) for row in rows], arrow_type or pa.list_(pa.float32()))


DRIFTED = {
    "integers": pa.array([[1, 2]] * 20, pa.list_(pa.int64())),
    "json": pa.array(["[0.1, 0.2]"] * 20),
    "nothing": pa.array([None] * 20),
    "binary": pa.array([b"\0\0\0\0"] * 20),
    "scalar": pa.array([0.5] * 20),
    "struct": pa.array([{"model": "a", "size": 3}] * 20),
}


@pytest.mark.parametrize("drift", DRIFTED)
def test_a_shard_whose_column_drifted_has_failed(tmp_path: Path, drift: str) -> None:
    store = tmp_path / "store"
    for index in range(3):
        _table(store / f"part-{index}.parquet", embedding=_lists())
    _table(store / "part-3.parquet", embedding=DRIFTED[drift])
    report, reports = _run(store)
    assert report.exit_code == 4
    assert _statuses(reports) == {
        **{f"part-{index}.parquet": "done" for index in range(3)},
        "part-3.parquet": "failed",
    }
    assert "'embedding'" in reports["part-3.parquet"].error
    result = store.with_name("store.normalized")
    assert not (result / "part-3.parquet").exists()
    written = pq.read_table(result / "part-0.parquet")["embedding"].to_pylist()
    assert worst_ulp(np.array(written, "f4"), ROWS) <= 0.501


def test_a_shard_without_the_array_of_its_family_has_failed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for index in range(3):
        _table(store / f"part-{index}.parquet", embedding=_lists())
    _table(store / "part-3.parquet", features=_lists())
    _table(store / "part-4.parquet")
    _table(store / "metadata" / "part-0.parquet", caption=pa.array(["a"] * 20))
    report, reports = _run(store)
    assert (report.exit_code, report.shards["failed"], report.shards["copied"]) == (4, 2, 1)
    assert "holds no array 'embedding'" in reports["part-3.parquet"].error
    assert "others of the store's files" in reports["part-4.parquet"].error


def test_named_arrays_are_expected_of_their_family_too(tmp_path: Path) -> None:
    store = tmp_path / "store"
    _table(store / "part-0.parquet", a=_lists())
    _table(store / "part-1.parquet", b=_lists())
    report, reports = _run(store, select=("a",))
    assert _statuses(reports) == {"part-0.parquet": "done", "part-1.parquet": "failed"}
    assert report.exit_code == 4


@pytest.mark.parametrize("dtype", ["i4", "O", "g"])
def test_an_npy_shard_of_another_type_has_failed(tmp_path: Path, dtype: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "emb_0.npy", ROWS)
    np.save(store / "emb_1.npy", ROWS.astype(dtype), allow_pickle=True)
    report, reports = _run(store)
    assert _statuses(reports) == {"emb_0.npy": "done", "emb_1.npy": "failed"}
    assert report.exit_code == 4


def test_integers_as_long_as_the_vectors_may_be_some(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "first.npy", ROWS)
    np.save(store / "second.npy", ROWS.astype("i8"))
    np.save(store / "third.npy", np.zeros((20, 100), "i8"))
    np.save(store / "captions.npy", np.array(["a", None], dtype=object), allow_pickle=True)
    _, reports = _run(store)
    assert _statuses(reports) == {
        "captions.npy": "copied",
        "first.npy": "done",
        "second.npy": "failed",
        "third.npy": "copied",
    }


def test_bystanders_are_copied_and_counted(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "img_emb").mkdir(parents=True)
    for index in range(2):
        np.save(store / "img_emb" / f"img_emb_{index}.npy", ROWS)
        name = f"metadata_{index}.parquet"
        _table(store / "metadata" / name, bbox=_lists(ROWS[:, :4]), url=pa.array(["x"] * 20))
    np.save(store / "scores.npy", ROWS[:, 0])
    np.save(store / "boxes.npy", ROWS[:, :4])
    np.save(store / "other.npy", ROWS[:, :5])
    np.save(store / "similarity.npy", ROWS[:, :1])
    report, reports = _run(store)
    done = {name for name, status in _statuses(reports).items() if status == "done"}
    assert done == {"img_emb/img_emb_0.npy", "img_emb/img_emb_1.npy"}
    assert (report.exit_code, report.shards["bystander"]) == (0, 6)
    assert "6 bystanders" in str(report)
    assert "(bbox)" in reports["metadata/metadata_0.parquet"].reason
    result = store.with_name("store.normalized")
    for name in reports.keys() - done:
        assert (result / name).read_bytes() == (store / name).read_bytes()
    lines = [json.loads(line) for line in (result / FILE_NAME).read_text().splitlines()]
    assert {line["status"] for line in lines if "shard" in line} == {"done", "bystander"}
    assert lines[0]["choice"]["row_lengths"] == [8]


def test_most_shards_decide_where_no_name_does(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for index in range(3):
        (store / "a").mkdir(parents=True, exist_ok=True)
        np.save(store / "a" / f"{index}.npy", ROWS)
    np.savez(store / "one.npz", features=ROWS[:, :5])
    np.save(store / "b.npy", ROWS[:, :5])
    _, reports = _run(store)
    assert {n for n, status in _statuses(reports).items() if status == "bystander"} == {
        "b.npy",
        "one.npz",
    }


def test_files_of_one_vector_each_are_a_store_too(tmp_path: Path) -> None:
    store = tmp_path / "proteins"
    store.mkdir()
    for index, row in enumerate(ROWS):
        np.save(store / f"P{index}.npy", row)
    report, _ = _run(store)
    assert report.shards["done"] == 20
    result = np.stack([np.load(tmp_path / f"proteins.normalized/P{i}.npy") for i in range(20)])
    assert worst_ulp(result, ROWS) <= 0.501


def test_what_is_not_read_is_counted_by_suffix(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "0.npy", ROWS)
    for name in ("a.fvecs", "b.fvecs", "x.csv", "1.npy.gz", "README"):
        (store / name).write_bytes(b"1234")
    report, reports = _run(store)
    assert report.shards["not read"] == 5
    assert reports["a.fvecs"].status == "not read"
    what = "1 done, 5 files not read: 2 .fvecs, 1 .csv, 1 .npy.gz, 1 without a suffix"
    assert what in str(report)
    check_report = check([store])
    assert check_report.exit_code == 1
    assert check_report.verdict == (
        "no: 20 of 20 rows are not unit; 4 files that were not read may hold vectors: "
        "2 .fvecs, 1 .csv, 1 .npy.gz"
    )
    check_report = check([store.with_name("store.normalized")])
    assert (check_report.is_unit, check_report.exit_code) == (False, 3)
    assert check_report.verdict.startswith(
        "unknown: all 20 rows that were read are unit, but 4 files"
    )


def test_a_folder_in_which_nothing_is_normalized_is_an_error(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "a.fvecs").write_bytes(b"1234")
    with pytest.raises(NoArrayError, match="no file of it holds an array to normalize"):
        _run(store)
    np.save(store / "boxes.npy", ROWS[:, :4])
    with pytest.raises(NoArrayError, match=r"boxes\.npy .*something else \(boxes\).*`select='\*'`"):
        _run(store)
    assert not store.with_name("store.normalized").exists()
    report, _ = _run(store, select=("*",))
    assert report.shards["done"] == 1


def test_check_of_a_store_reads_what_normalize_takes(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "emb").mkdir(parents=True)
    unit = ROWS / np.linalg.norm(ROWS.astype("f8"), axis=1, keepdims=True)
    np.save(store / "emb" / "0.npy", unit.astype("f4"))
    np.save(store / "boxes.npy", ROWS[:, :4])
    check_report = check([store])
    assert (check_report.exit_code, check_report.summary.num_rows) == (0, 20)
    assert any("boxes.npy" in note for note in check_report.notes)
    _table(store / "part-0.parquet", embedding=DRIFTED["json"])
    check_report = check([store])
    assert check_report.exit_code == 3
    assert check_report.verdict.startswith("unknown:")


def test_a_dangling_link_in_a_shard_is_no_absence(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for index in range(2):
        with h5py.File(store / f"{index}.h5", "w") as file:
            file["embeddings"] = ROWS
    with h5py.File(store / "2.h5", "w") as file:
        file["embeddings"] = h5py.SoftLink("/nowhere")
    with h5py.File(store / "3.h5", "w") as file:
        file["embeddings"] = h5py.ExternalLink("other.h5", "/x")
    report, reports = _run(store)
    assert [reports[f"{index}.h5"].status for index in range(4)] == ["done"] * 2 + ["failed"] * 2
    assert report.exit_code == 4


def test_a_run_that_goes_on_keeps_to_what_was_chosen(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "a").mkdir(parents=True)
    np.save(store / "a" / "0.npy", ROWS)
    _run(store)
    (store / "emb").mkdir()
    np.save(store / "emb" / "0.npy", ROWS[:, :5])
    report, reports = _run(store)
    assert reports["emb/0.npy"].status == "bystander"
    assert report.shards["skipped"] == 1


def test_families_differ_in_numbers_only() -> None:
    names = ["a/part-0.npy", "a/part-17.npy", "a/x-0c1fa6b3e2.npy", "a/x-99aa88bb77.npy", "b/1.npy"]
    families = families_of(names)
    assert families[0] == families[1] != families[2] == families[3] != families[4]
    many = [f"a/{chr(97 + index // 26)}{chr(97 + index % 26)}.npy" for index in range(400)]
    assert set(families_of(many)) == {"a/*.npy"}


def test_a_shard_whose_suffix_is_that_of_another_format_has_failed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for index in range(2):
        np.save(store / f"{index}.npy", ROWS)
    (store / "2.parquet").write_bytes((store / "0.npy").read_bytes())
    report, reports = _run(store)
    assert report.exit_code == 4
    assert "2.parquet is npy inside, but named like Parquet" in reports["2.parquet"].error


def test_one_named_array_does_not_make_bystanders_of_most_files(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "deep").mkdir(parents=True)
    for index in range(3):
        np.save(store / "deep" / f"{index}.npy", ROWS)
    np.save(store / "other.npy", ROWS[:, :6])
    _table(store / "table.parquet", embedding=_lists(ROWS[:, :5]))
    report, reports = _run(store)
    assert report.shards["done"] == 4
    assert reports["other.npy"].status == "bystander"


@pytest.mark.parametrize(
    ("second", "status"),
    [
        (np.abs(ROWS[:, :1]), "bystander"),  # scores
        (ROWS[:, :2], "bystander"),  # places
        (ROWS[:, :4], "bystander"),  # boxes
        (np.arange(20), "copied"),  # labels
    ],
)
def test_a_name_that_says_nothing_makes_no_vectors_of_other_arrays(
    tmp_path: Path, second: Any, status: str
) -> None:
    for folder, array in (("emb", ROWS), ("other", second)):
        (tmp_path / "s" / folder).mkdir(parents=True)
        for number in range(3):
            np.savez(tmp_path / "s" / folder / f"{number}.npz", array)
    report, reports = _run(tmp_path / "s")
    expected = {f"{number}.npz": status for number in range(3)}
    assert _statuses(reports) == {
        **{f"emb/{name}": "done" for name in expected},
        **{f"other/{name}": status for name in expected},
    }
    assert report.exit_code == 0
    for name in expected:
        before, after = (
            (tmp_path / folder / "other" / name).read_bytes() for folder in ("s", "s.normalized")
        )
        assert before == after


def test_what_is_not_read_in_place_is_not_counted_as_done(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for number in range(3):
        np.save(tmp_path / "s" / f"{number}.npy", ROWS)
        (tmp_path / "s" / f"{number}.fvecs").write_bytes(bytes(100))
    events: list[Any] = []
    normalize_store(
        [tmp_path / "s"],
        options=NormalizeOptions(),
        files=StoreOptions(in_place=True),
        runner=Here(),
        on_event=events.append,
    )
    states = [event for event in events if isinstance(event, StoreProgress)]
    assert [(states[0].num_done, states[-1].num_done)] == [(0, 3)]
    assert {state.num_shards for state in states} == {3}


def test_embeddings_among_very_many_other_files_are_no_bystanders(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for number in range(205):
        name = f"{chr(97 + number // 26)}{chr(97 + number % 26)}"
        np.savez(tmp_path / "s" / f"{name}.npz", labels=np.arange(4))
    np.savez(tmp_path / "s" / "part.npz", embedding=ROWS)
    report, reports = _run(tmp_path / "s")
    assert (report.exit_code, report.shards["copied"]) == (0, 205)
    assert reports["part.npz"].status == "done"


def test_a_store_that_is_not_finished_is_not_said_to_be_unit(tmp_path: Path) -> None:
    store, result = tmp_path / "store", tmp_path / "store.normalized"
    store.mkdir()
    for index in range(3):
        np.save(store / f"{index}.npy", ROWS)
    whole = (store / "1.npy").read_bytes()
    (store / "1.npy").write_bytes(whole[:-9])
    assert _run(store)[0].exit_code == 4
    check_report = check([result])
    assert (check_report.is_unit, check_report.exit_code) == (False, 3)
    assert check_report.verdict == (
        f"unknown: all 40 rows that were read are unit, but {result} is not finished "
        "(1 file failed in the run that wrote it)"
    )
    (store / "1.npy").write_bytes(whole)
    assert _run(store)[0].exit_code == 0
    assert check([result]).verdict == "yes: all 60 rows in 3 arrays are unit"
    lines = (result / FILE_NAME).read_bytes().splitlines(keepends=True)
    (result / FILE_NAME).write_bytes(b"".join(lines[:-1]))
    assert "has not come to its end" in check([result]).verdict


def test_a_file_that_lacks_only_the_vectors_of_its_folder_has_failed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    _table(store / "data" / "train-0.parquet", text=pa.array(["a"] * 20), embedding=_lists())
    _table(store / "data" / "test-0.parquet", text=pa.array(["a"] * 20))
    _table(store / "data" / "licenses.parquet", name=pa.array(["a"] * 20))
    _table(store / "raw" / "train-0.parquet", text=pa.array(["a"] * 20))
    _, reports = _run(store)
    assert _statuses(reports) == {
        "data/licenses.parquet": "copied",
        "data/test-0.parquet": "failed",
        "data/train-0.parquet": "done",
        "raw/train-0.parquet": "copied",
    }
    assert "others of the store's files" in reports["data/test-0.parquet"].error
