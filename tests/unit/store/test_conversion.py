"""Whole stores in another format: names, resumption, and what is not converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import OptionError
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.run import normalize_store
from tests.support.commands import l2norm
from tests.support.reference import worst_ulp
from tests.support.workers import Here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.store.report import StoreReport
    from l2cli.store.task import ShardReport

ROWS = [np.random.default_rng(seed).standard_normal((20, 8)).astype("f4") for seed in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One shard of each format, and what is no shard."""
    root = tmp_path / "store"
    (root / "deep").mkdir(parents=True)
    np.save(root / "a.npy", ROWS[0])
    np.savez(root / "deep" / "b.npz", emb=ROWS[1])
    with h5py.File(root / "deep" / "c.h5", "w") as file:
        file["emb"] = ROWS[2]
    pq.write_table(pa.table({"emb": list(ROWS[3])}), root / "deep" / "d.pq")
    np.save(root / "ids.npy", np.arange(20))
    pq.write_table(pa.table({"url": ["x"] * 20}), root / "metadata.parquet")
    (root / "README.md").write_text("# A store")
    return root


def _run(
    sources: Path | Sequence[Path], destination: Path | None = None, **files: Any
) -> StoreReport:
    sources = [sources] if isinstance(sources, Path) else sources
    return normalize_store(sources, destination, files=StoreOptions(**files), runner=Here())


def _names(folder: Path) -> list[str]:
    names = (str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if not path.is_dir())
    return sorted(names)


def _column(path: Path, name: str = "emb") -> Any:
    return np.stack(pq.read_table(path)[name].to_numpy())


def _some(report: StoreReport) -> dict[str, int]:
    return {status: count for status, count in report.shards.items() if count}


def test_every_shard_becomes_parquet_and_the_rest_stays(store: Path) -> None:
    report = _run(store, destination_format="parquet")
    assert _some(report) == {"done": 4, "copied": 2, "not read": 1}
    target = store.with_name("store.normalized")
    assert _names(target) == [
        "README.md",
        "a.parquet",
        "deep/b.parquet",
        "deep/c.parquet",
        "deep/d.pq",
        "ids.npy",
        "metadata.parquet",
    ]
    assert worst_ulp(_column(target / "a.parquet", "embedding"), ROWS[0]) <= 0.501
    for name, rows in (("b.parquet", ROWS[1]), ("c.parquet", ROWS[2]), ("d.pq", ROWS[3])):
        assert worst_ulp(_column(target / "deep" / name), rows) <= 0.501
    for name in ("ids.npy", "metadata.parquet", "README.md"):
        assert (target / name).read_bytes() == (store / name).read_bytes()


def test_every_shard_becomes_npy(store: Path) -> None:
    _run(store, destination_format="npy")
    target = store.with_name("store.normalized")
    for name, rows in zip(("a", "deep/b", "deep/c", "deep/d"), ROWS, strict=False):
        assert worst_ulp(np.load(target / f"{name}.npy"), rows) <= 0.501


def test_a_second_run_skips_and_does_what_changed(store: Path) -> None:
    target = store.with_name("store.normalized")
    _run(store, destination_format="parquet")
    assert _some(_run(store, destination_format="parquet")) == {"skipped": 7}
    (target / "deep" / "b.parquet").unlink()
    (target / "ids.npy").write_bytes(b"damaged")
    assert _some(_run(store, destination_format="parquet")) == {
        "done": 1,
        "copied": 1,
        "skipped": 5,
    }
    assert worst_ulp(_column(target / "deep" / "b.parquet"), ROWS[1]) <= 0.501
    np.testing.assert_array_equal(np.load(target / "ids.npy"), np.arange(20))


def test_another_format_than_before_is_refused(store: Path) -> None:
    _run(store, destination_format="parquet")
    with pytest.raises(OptionError, match="with other options: to parquet, now npy; name another"):
        _run(store, destination_format="npy")
    with pytest.raises(OptionError, match="with other options: to parquet, now none"):
        _run(store)


def test_two_shards_of_one_new_name_are_refused(store: Path) -> None:
    np.savez(store / "a.npz", emb=ROWS[4])
    with pytest.raises(
        OptionError, match=r"a\.npy and .*a\.npz would both become .*a\.parquet; leave one out"
    ):
        _run(store, destination_format="parquet")
    assert not store.with_name("store.normalized").exists()
    report = _run(store, destination_format="parquet", exclude=("a.npy",))
    assert report.shards["done"] == 4


def test_a_shard_that_takes_the_name_of_a_copy_is_refused(store: Path) -> None:
    np.savez(store / "metadata.npz", emb=ROWS[4])
    with pytest.raises(OptionError, match=r"would both become .*metadata\.parquet"):
        _run(store, destination_format="parquet")


def test_in_place_keeps_formats(store: Path) -> None:
    with pytest.raises(OptionError, match="each shard, so it takes no `destination_format`"):
        _run(store, destination_format="npy", in_place=True)


def test_a_link_to_a_shard_is_read_as_one(store: Path) -> None:
    (store / "latest").symlink_to("deep/c.h5")
    (store / "about").symlink_to("README.md")
    for source_format in (None, "npy"):
        target = store.with_name(f"from {source_format}")
        _run(store, target, source_format=source_format, destination_format="npy")
        assert worst_ulp(np.load(target / "latest.npy"), ROWS[2]) <= 0.501
        assert (target / "about").read_text() == "# A store"
        assert (target / "about").is_symlink() == (source_format is None)


def test_a_shard_that_the_format_lacks_fails_alone(store: Path) -> None:
    ragged = pa.table({"emb": [[1.0, 2.0], [3.0]]})
    pq.write_table(ragged, store / "ragged.parquet")
    report = _run(store, destination_format="npy")
    assert (report.exit_code, report.shards["done"], report.shards["failed"]) == (4, 4, 1)
    target = store.with_name("store.normalized")
    assert not [name for name in _names(target) if name.startswith("ragged")]


def test_what_no_destination_could_hold_names_its_shard(store: Path) -> None:
    np.savez(store / "two.npz", emb=ROWS[0], other=ROWS[1][:9])
    options = NormalizeOptions(select=("emb", "other"))
    events: list[Any] = []
    files = StoreOptions(destination_format="parquet", include=("two.npz",))
    normalize_store([store], None, options, files, runner=Here(), on_event=events.append)
    (error,) = (event.error for event in events if getattr(event, "error", ""))
    assert error.startswith(f"{store}/two.npz: Parquet holds columns of one length")


def test_what_has_no_place_is_named_with_its_shard(store: Path) -> None:
    report = _run(store, destination_format="npy", only_arrays=True)
    assert not report.notes
    pq.write_table(pa.table({"emb": list(ROWS[3]), "id": range(20)}), store / "e.parquet")
    report = _run(store, destination_format="npy", only_arrays=True)
    assert report.notes == ["e.parquet: left out, as npy has no place for it: 'id'"]


def test_several_sources_are_converted(store: Path, tmp_path: Path) -> None:
    sources = [store / "a.npy", store / "deep" / "d.pq"]
    target = tmp_path / "all"
    _run(sources, target, destination_format="npz")
    assert _names(target) == ["a.npz", "d.npz"]
    _run(sources, destination_format="parquet")
    assert worst_ulp(_column(store / "a.normalized.parquet", "embedding"), ROWS[0]) <= 0.501
    assert worst_ulp(_column(store / "deep" / "d.normalized.pq"), ROWS[3]) <= 0.501
    np.savez(store / "a.npz", emb=ROWS[4])
    with pytest.raises(OptionError, match="would both become"):
        _run([store / "a.npy", store / "a.npz"], tmp_path / "x", destination_format="hdf5")


def test_files_without_a_suffix_are_taken_if_they_begin_like_the_format_named(
    store: Path, tmp_path: Path
) -> None:
    for name in ("emb_0", "v1.2"):
        with (store / name).open("wb") as file:
            np.save(file, ROWS[4])
    with (store / "table").open("wb") as file:
        pq.write_table(pa.table({"emb": list(ROWS[4])}), file)
    assert _some(_run(store, tmp_path / "one")) == {"done": 4, "copied": 2, "not read": 4}
    report = _run(store, tmp_path / "two", source_format="npy")
    assert _some(report) == {"done": 6, "copied": 2, "not read": 2}
    assert worst_ulp(np.load(tmp_path / "two" / "emb_0"), ROWS[4]) <= 0.501
    assert (tmp_path / "two" / "table").read_bytes() == (store / "table").read_bytes()
    assert _some(_run(store, tmp_path / "two", source_format="npy")) == {"skipped": 10}
    _run(store, tmp_path / "three", source_format="npy", destination_format="hdf5")
    assert {"emb_0.h5", "v1.2.h5", "table", "README.md"} <= set(_names(tmp_path / "three"))


def test_a_shard_that_is_named_like_another_format_has_failed_unless_converted(
    store: Path, tmp_path: Path
) -> None:
    (store / "deep" / "d.pq").rename(store / "deep" / "d.npy")
    assert _run(store).shards["failed"] == 1
    _run(store, tmp_path / "tables", destination_format="parquet")
    assert worst_ulp(_column(tmp_path / "tables" / "deep" / "d.parquet"), ROWS[3]) <= 0.501


def test_a_dry_run_names_what_would_be_written(store: Path) -> None:
    events: list[Any] = []
    files = StoreOptions(destination_format="parquet", dry_run=True)
    normalize_store([store], files=files, runner=Here(), on_event=events.append)
    reports: list[ShardReport] = [event for event in events if getattr(event, "report", None)]
    assert [report.report.destination for report in reports if report.report] == [
        f"{store}.normalized/{name}"
        for name in ("a.parquet", "deep/b.parquet", "deep/c.parquet", "deep/d.pq")
    ]
    assert not store.with_name("store.normalized").exists()


def test_the_command_converts_a_folder_and_into_a_folder(store: Path, tmp_path: Path) -> None:
    done = l2norm("normalize", store, "--to", "parquet", "--include", "a.npy", "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out.splitlines()[0])
    assert record["destination"] == f"{store}.normalized/a.parquet"
    done = l2norm("normalize", store / "a.npy", "--to", "parquet", "-o", tmp_path)
    assert done.code == 0, done.err
    assert worst_ulp(_column(tmp_path / "a.parquet", "embedding"), ROWS[0]) <= 0.501
