"""Whole stores, through the library and in this process: what is done, skipped and refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.errors import DestinationError, NoArrayError, OptionError, SelectionError, SourceError
from l2cli.filesystem.siblings import Owner, host_label, name_prefix
from l2cli.io.store_state import FILE_NAME
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.run import normalize_store
from tests.support.reference import worst_ulp
from tests.support.workers import Here

if TYPE_CHECKING:
    from typing import Any

    from l2cli.store.report import StoreReport


def _rows(seed: int, dtype: str = "f4") -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((20, 8)).astype(dtype)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The layout of LAION, and what lies about in such folders."""
    root = tmp_path / "store"
    (root / "img_emb").mkdir(parents=True)
    (root / "metadata").mkdir()
    (root / "empty").mkdir()
    for index in (0, 1, 2, 10):
        np.save(root / "img_emb" / f"img_emb_{index}.npy", _rows(index, "f2"))
        table = pa.table({"url": ["x"] * 20, "similarity": np.arange(20.0)})
        pq.write_table(table, root / "metadata" / f"metadata_{index}.parquet")
    np.save(root / "ids.npy", np.arange(20))
    np.save(root / "names.npy", np.array(["a", "b"]))
    (root / "README.md").write_text("# A store")
    return root


def _run(
    store: Path,
    destination: Path | None = None,
    options: NormalizeOptions | None = None,
    **files: Any,
) -> StoreReport:
    return normalize_store([store], destination, options, StoreOptions(**files), runner=Here())


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != FILE_NAME
    }


def _some(report: StoreReport) -> dict[str, int]:
    return {status: count for status, count in report.shards.items() if count}


def test_a_laion_layout_comes_out_right_without_an_option(store: Path) -> None:
    report = _run(store)
    assert _some(report) == {"done": 4, "copied": 6, "not read": 1}
    assert report.counts.num_rows == 80
    target = store.with_name("store.normalized")
    before, after = _tree(store), _tree(target)
    assert before.keys() == after.keys()
    assert (target / "empty").is_dir()
    for name in before:
        if name.startswith("img_emb/"):
            assert worst_ulp(np.load(target / name), np.load(store / name)) <= 0.501
        else:
            assert before[name] == after[name]


def test_a_second_run_skips_and_does_what_changed(store: Path) -> None:
    _run(store)
    target = store.with_name("store.normalized")
    assert _some(_run(store)) == {"skipped": 11}
    np.save(store / "img_emb" / "img_emb_1.npy", _rows(77, "f2"))
    (target / "img_emb" / "img_emb_2.npy").write_bytes(b"damaged")
    (target / "README.md").unlink()
    np.save(store / "new.npy", _rows(5))
    assert _some(_run(store)) == {"done": 3, "skipped": 8, "not read": 1}
    complete = store.with_name("fresh")
    _run(store, complete)
    assert _tree(complete) == _tree(target)


def test_a_change_that_left_time_and_size_as_they_were_is_seen_if_the_file_was_young(
    store: Path,
) -> None:
    path = store / "README.md"
    path.write_text("# A store")
    # A time to come can't be trusted: the next change may well have the same.
    future = path.stat().st_mtime_ns + 3_600_000_000_000
    os.utime(path, ns=(future, future))
    _run(store)
    assert _some(_run(store)) == {"skipped": 11}
    path.write_text("# B store")
    os.utime(path, ns=(future, future))
    assert _some(_run(store)) == {"skipped": 10, "not read": 1}


def test_a_torn_manifest_is_repaired(store: Path) -> None:
    _run(store)
    manifest = store.with_name("store.normalized") / FILE_NAME
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:4]) + b"\0\0\0\n" + lines[4][:20])
    assert _some(_run(store)) == {"done": 3, "copied": 5, "skipped": 3}
    assert _some(_run(store)) == {"skipped": 11}


def test_other_options_are_refused_unless_overwritten(store: Path) -> None:
    _run(store)
    half = NormalizeOptions(truncate_dim=4)
    with pytest.raises(OptionError, match=r"truncate_dim none, now 4; name.*`overwrite=True`"):
        _run(store, options=half)
    assert _some(_run(store, options=NormalizeOptions(batch_size=3))) == {"skipped": 11}
    assert _some(_run(store, options=half, overwrite=True)) == {
        "done": 4,
        "copied": 6,
        "not read": 1,
    }
    result = np.load(store.with_name("store.normalized") / "img_emb" / "img_emb_0.npy")
    assert result.shape == (20, 4)


def test_a_run_that_came_to_nothing_binds_nobody(store: Path) -> None:
    report = _run(store, options=NormalizeOptions(truncate_dim=1000))
    assert set(_some(report)) == {"failed", "copied", "not read"}
    four = NormalizeOptions(truncate_dim=4)
    assert _some(_run(store, options=four, dry_run=True))["done"]
    assert set(_some(_run(store, options=four))) == {"done", "copied", "not read"}


def test_results_whose_source_is_gone_are_named(store: Path) -> None:
    _run(store)
    (store / "img_emb" / "img_emb_0.npy").unlink()
    note = "what became of img_emb/img_emb_0.npy stays, though the source is gone or left out"
    assert note in _run(store).notes


def test_another_version_and_another_source_are_refused(store: Path) -> None:
    _run(store)
    target = store.with_name("store.normalized")
    second = store.with_name("other")
    shutil.copytree(store, second)
    with pytest.raises(OptionError, match=r"was begun from .*store; name another"):
        _run(second, target)
    manifest = target / FILE_NAME
    header, rest = manifest.read_bytes().split(b"\n", 1)
    older = json.dumps(json.loads(header) | {"l2norm": "0.0.1"}).encode()
    manifest.write_bytes(older + b"\n" + rest)
    with pytest.raises(OptionError, match=r"begun by l2norm 0\.0\.1, and this is"):
        _run(store)


def test_a_folder_of_somebody_elses_is_refused_and_kept(store: Path) -> None:
    target = store.with_name("theirs")
    (target / "img_emb").mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    (target / "img_emb" / "img_emb_0.npy").write_text("old")
    with pytest.raises(DestinationError, match="exists and l2norm did not make it"):
        _run(store, target)
    assert sorted(path.name for path in target.iterdir()) == ["img_emb", "mine.txt"]
    _run(store, target, overwrite=True)
    assert (target / "mine.txt").read_text() == "mine"
    assert np.load(target / "img_emb" / "img_emb_0.npy").shape == (20, 8)


def test_a_bad_shard_is_named_and_tried_again(store: Path) -> None:
    bad = store / "img_emb" / "img_emb_1.npy"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-7])
    np.savez(store / "two.npz", a=_rows(1), b=_rows(2))
    events: list[Any] = []
    report = normalize_store([store], on_event=events.append, runner=Here())
    errors = [event.error for event in events if getattr(event, "error", "")]
    assert (report.exit_code, report.shards["failed"], report.shards["done"]) == (4, 2, 3)
    assert "img_emb_1.npy is cut off" in errors[0]
    assert "two.npz holds 2 arrays that could be meant" in errors[1]
    assert events[-1].done == events[-1].total
    bad.write_bytes(whole)
    assert _some(_run(store, exclude=("two.npz",))) == {"done": 1, "skipped": 10}


def test_fail_fast_stops(store: Path) -> None:
    (store / "0.npy").write_text("bad")
    report = _run(store, fail_fast=True)
    assert _some(report) == {"failed": 1}
    assert report.exit_code == 4


def test_only_arrays_leaves_the_rest_out(store: Path) -> None:
    report = _run(store, only_arrays=True)
    assert _some(report) == {"done": 4, "left out": 6, "not read": 1}
    target = store.with_name("store.normalized")
    assert {name.split("/")[0] for name in _tree(target)} == {"img_emb"}
    assert _some(_run(store, only_arrays=True)) == {"skipped": 10, "not read": 1}


def test_ids_are_no_vectors_whatever_the_dtype(store: Path) -> None:
    _run(store, options=NormalizeOptions(dtype="float32"))
    target = store.with_name("store.normalized")
    assert (target / "ids.npy").read_bytes() == (store / "ids.npy").read_bytes()
    assert np.load(target / "img_emb" / "img_emb_0.npy").dtype == "f4"


def test_a_selection_that_nothing_holds_is_an_error(store: Path) -> None:
    shutil.rmtree(store / "img_emb")
    with pytest.raises(SelectionError, match="no file of it holds an array 'emb'"):
        _run(store, options=NormalizeOptions(select=("emb",)))
    with pytest.raises(NoArrayError, match="no file of it holds an array to normalize"):
        _run(store)
    assert not store.with_name("store.normalized").exists()


def test_in_place_goes_on_where_it_was(store: Path) -> None:
    rows = {path: np.load(path) for path in store.glob("img_emb/*.npy")}
    first = next(iter(rows))
    first.chmod(0o600)
    assert _some(_run(store, in_place=True)) == {"done": 4, "left out": 6, "not read": 1}
    assert first.stat().st_mode & 0o777 == 0o600
    once = _tree(store)
    for path, before in rows.items():
        assert worst_ulp(np.load(path), before) <= 0.501
    assert _some(_run(store, in_place=True)) == {"skipped": 10, "not read": 1}
    assert _tree(store) == once


def test_in_place_does_no_shard_twice_whenever_it_was_killed(store: Path) -> None:
    class Killed(BaseException):
        pass

    replace = os.replace
    for published in (False, True):
        copy = store.with_name(f"copy{published}")
        shutil.copytree(store, copy)
        quiet = store.with_name(f"quiet{published}")
        shutil.copytree(store, quiet)
        _run(quiet, in_place=True)

        def cut_off(source: Any, target: Any, published: bool = published) -> None:
            staged = Path(source).suffix != ".tmp"
            if published or not staged:
                replace(source, target)
            if staged:
                raise Killed("here")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("l2cli.store.execution.os.replace", cut_off)
            with pytest.raises(Killed, match="here"):
                _run(copy, in_place=True)
        _run(copy, in_place=True)
        assert _tree(copy) == _tree(quiet)


def test_a_dry_run_writes_nothing_and_finds_what_is_bad(store: Path) -> None:
    (store / "bad.npy").write_text("bad")
    report = _run(store, dry_run=True)
    assert _some(report) == {"done": 4, "copied": 6, "failed": 1, "not read": 1}
    assert str(report).startswith(f"{store} → {store}.normalized: would be: 4 done")
    assert not store.with_name("store.normalized").exists()


def test_every_format_is_found(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.savez(store / "a.npz", emb=_rows(0))
    with h5py.File(store / "b.h5", "w") as file:
        file["emb"] = _rows(1)
    pq.write_table(pa.table({"emb": list(_rows(2))}), store / "c.parquet")
    with (store / "D.NPY").open("wb") as file:
        np.save(file, _rows(3))
    assert _some(_run(store)) == {"done": 4}
    target = tmp_path / "store.normalized"
    results = [np.load(target / "a.npz")["emb"], np.load(target / "D.NPY")]
    with h5py.File(target / "b.h5") as file:
        results.append(file["emb"][:])
    results.append(np.stack(pq.read_table(target / "c.parquet")["emb"].to_numpy()))
    for result in results:
        np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, atol=1e-6)


def test_several_sources_go_to_one_folder(store: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.npy"
    np.save(one, _rows(1))
    target = tmp_path / "all"
    report = normalize_store([one, store], target, runner=Here())
    assert _some(report) == {"done": 5, "copied": 6, "not read": 1}
    assert (target / "one.npy").exists()
    assert (target / "store" / "img_emb" / "img_emb_10.npy").exists()
    clash = tmp_path / "clash"
    clash.mkdir()
    shutil.copy(one, clash)
    with pytest.raises(OptionError, match=r"one\.npy would both become"):
        normalize_store([one, clash / "one.npy"], tmp_path / "x", runner=Here())
    with pytest.raises(OptionError, match="which is a source too"):
        normalize_store([one, clash / "one.npy"], clash, runner=Here())


def test_several_files_go_beside_themselves(tmp_path: Path) -> None:
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path in paths:
        np.save(path, _rows(1))
    assert _some(normalize_store(paths, runner=Here())) == {"done": 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.normalized.npy",
        "a.npy",
        "b.normalized.npy",
        "b.npy",
    ]
    report = normalize_store(paths, runner=Here())
    assert _some(report) == {"failed": 2}


def test_source_and_destination_are_kept_apart(store: Path) -> None:
    with pytest.raises(OptionError, match="is inside"):
        _run(store, store / "out")
    with pytest.raises(OptionError, match="is inside"):
        _run(store, store.parent)
    with pytest.raises(OptionError, match="is the source itself"):
        _run(store, store)
    with pytest.raises(DestinationError, match="there is no folder"):
        _run(store, store.parent / "no" / "such")
    with pytest.raises(SourceError, match="there is no such file"):
        _run(store.parent / "nowhere")
    with pytest.raises(SourceError, match="holds no file that may be taken"):
        _run(store, include=("*.xyz",))
    with pytest.raises(OptionError, match="one folder at a time"):
        normalize_store([store, store], files=StoreOptions(in_place=True))


def test_links_never_lead_out_of_the_destination(store: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "img_emb_0.npy").write_text("theirs")
    (outside / "README.md").write_text("theirs")
    target = tmp_path / "target"
    target.mkdir()
    (target / "img_emb").symlink_to(outside)
    (target / "README.md").symlink_to(outside / "README.md")
    report = _run(store, target, overwrite=True)
    assert report.shards["failed"] == 4
    assert (outside / "img_emb_0.npy").read_text() == "theirs"
    assert (outside / "README.md").read_text() == "theirs"
    assert (target / "README.md").read_text() == "# A store"
    assert sorted(path.name for path in outside.iterdir()) == ["README.md", "img_emb_0.npy"]


def test_links_inside_are_mirrored_and_links_outside_are_read(store: Path, tmp_path: Path) -> None:
    with (tmp_path / "blob").open("wb") as file:
        np.save(file, _rows(4))
    (store / "latest.npy").symlink_to("img_emb/img_emb_10.npy")
    (store / "blob.npy").symlink_to(tmp_path / "blob")
    _run(store)
    target = tmp_path / "store.normalized"
    assert os.readlink(target / "latest.npy") == "img_emb/img_emb_10.npy"
    assert not (target / "blob.npy").is_symlink()
    assert worst_ulp(np.load(target / "blob.npy"), _rows(4)) <= 0.501
    assert _some(_run(store)) == {"skipped": 13}
    before = (tmp_path / "blob").read_bytes()
    assert any("links to files outside" in note for note in _run(store, in_place=True).notes)
    assert (tmp_path / "blob").read_bytes() == before


def test_stray_siblings_of_the_dead_are_removed(store: Path) -> None:
    _run(store)
    target = store.with_name("store.normalized")
    dead = target / "img_emb" / f"{name_prefix(Owner(host_label(), 999999999, 0))}0.tmp"
    alive = target / f"{name_prefix(Owner(host_label(), 1, 0))}0.tmp"
    dead.touch()
    alive.touch()
    _run(store)
    assert not dead.exists()
    assert alive.exists()
