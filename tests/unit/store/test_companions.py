"""Files that describe the shards of a store: true of the new ones, or refused beforehand.

Results are read with pyarrow, Polars, fastparquet and Hugging Face datasets.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from l2cli.errors import L2NormError, SourceError
from l2cli.options import NormalizeOptions, StoreOptions
from l2cli.store.rewriting import is_rewritable, rewrite
from l2cli.store.run import normalize_store
from tests.support.workers import Here

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.store.report import StoreReport

DIM, NUM_ROWS = 4, 30
FLOATS = {"float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64()}
Rows = np.ndarray[Any, Any]


def run(
    store: Path,
    destination: Path | None = None,
    options: NormalizeOptions | None = None,
    **how: Any,
) -> StoreReport:
    return normalize_store([store], destination, options, StoreOptions(**how), runner=Here())


def rows_of(seed: int) -> Rows:
    return np.random.default_rng(seed).standard_normal((NUM_ROWS, DIM)).astype("float32")


def unit(rows: Rows) -> Rows:
    exact = rows.astype("float64")
    normalized: Rows = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return normalized


def table_of(seed: int, layout: str) -> pa.Table:
    rows = rows_of(seed)
    number = pa.array(range(seed * NUM_ROWS, (seed + 1) * NUM_ROWS))
    if layout == "wide":
        return pa.table({"id": number, **{f"x{i}": rows[:, i] for i in range(DIM)}})
    arrow_type = pa.list_(pa.float32(), DIM) if layout == "fixed" else pa.list_(pa.float32())
    return pa.table({"id": number, "embedding": pa.array(rows.tolist(), arrow_type)})


def summarized(root: Path, layout: str = "list", names: tuple[str, ...] = ("0", "1")) -> Path:
    """Write a data set with ``_metadata`` and ``_common_metadata``, as Dask does by pyarrow."""
    collected: list[Any] = []
    for seed, name in enumerate(names):
        path = root / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = table_of(seed, layout)
        pq.write_table(table, path, row_group_size=20, metadata_collector=collected)
        collected[-1].set_file_path(f"{name}.parquet")
    schema = table_of(0, layout).schema
    pq.write_metadata(schema, root / "_common_metadata")
    pq.write_metadata(schema, root / "_metadata", metadata_collector=collected)
    return root


def vectors_in(table: pa.Table) -> Rows:
    ordered = table.sort_by("id")
    if "embedding" in table.column_names:
        return np.stack([np.array(row) for row in ordered["embedding"].to_pylist()])
    return np.stack([ordered[f"x{i}"].to_numpy() for i in range(DIM)], axis=1)


def expected(count: int, length: int = DIM) -> Rows:
    return np.concatenate([unit(rows_of(seed)[:, :length]) for seed in range(count)])


def assert_true_summary(root: Path, count: int = 2, length: int = DIM, rtol: float = 1e-6) -> None:
    """Read a data set by its summary, and compare the summary with the files' own footers."""
    by_summary = ds.parquet_dataset(root / "_metadata")
    table = by_summary.to_table()
    np.testing.assert_allclose(vectors_in(table), expected(count, length), rtol=rtol, atol=1e-7)
    assert table.schema.equals(pq.read_schema(root / "_common_metadata"), check_metadata=True)
    summary = pq.read_metadata(root / "_metadata")
    assert summary.num_rows == count * NUM_ROWS
    taken: dict[str, int] = {}
    for number in range(summary.num_row_groups):
        chunks = [summary.row_group(number).column(i) for i in range(summary.num_columns)]
        (name,) = {chunk.file_path for chunk in chunks}
        row_group = pq.read_metadata(root / name).row_group(taken.setdefault(name, 0))
        taken[name] += 1
        for index, chunk in enumerate(chunks):
            same = row_group.column(index)
            assert chunk.data_page_offset == same.data_page_offset
            assert chunk.total_compressed_size == same.total_compressed_size
            assert chunk.statistics == same.statistics


# _metadata and _common_metadata


LAYOUTS = ["list", "fixed", "wide"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["same", "float64"])
@pytest.mark.parametrize("in_place", [False, True])
def test_summaries_are_those_of_the_new_files(
    tmp_path: Path, layout: str, dtype: Any, in_place: bool
) -> None:
    store = summarized(tmp_path / "store", layout)
    before = (store / "_common_metadata").read_bytes()
    options = NormalizeOptions(dtype=dtype, select=("x*",) if layout == "wide" else ())
    report = run(store, None if in_place else tmp_path / "out", options, in_place=in_place)
    assert report.shards["done"] == report.shards["rewritten"] == 2
    assert report.exit_code == 0
    result = store if in_place else tmp_path / "out"
    assert_true_summary(result)
    assert ((result / "_common_metadata").read_bytes() == before) == (dtype == "same")
    arrow_type = FLOATS["float32" if dtype == "same" else dtype]
    changed = pq.read_schema(result / "_metadata").field(1).type
    assert (changed if layout == "wide" else changed.value_type) == arrow_type
    assert pl.scan_parquet(result / "*.parquet").collect().height == 2 * NUM_ROWS


@pytest.mark.parametrize("dtype", ["same", "float16"])
def test_cut_vectors(tmp_path: Path, dtype: Any) -> None:
    store = summarized(tmp_path / "store", "fixed")
    run(store, tmp_path / "out", NormalizeOptions(truncate_dim=2, dtype=dtype))
    rtol = 1e-6 if dtype == "same" else 1e-3
    assert_true_summary(tmp_path / "out", length=2, rtol=rtol)
    assert pq.read_schema(tmp_path / "out" / "_common_metadata").field(1).type.list_size == 2


def test_files_in_folders_of_a_partition(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store", names=("g=a/0", "g=b/1", "g=b/10"))
    run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))
    assert_true_summary(tmp_path / "out", 3)


def test_a_summary_that_a_later_file_is_not_in(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    pq.write_table(table_of(2, "list"), store / "2.parquet")
    run(store, tmp_path / "out")
    assert_true_summary(tmp_path / "out")
    assert (tmp_path / "out" / "2.parquet").exists()


def test_in_place_a_summary_follows_though_it_is_not_included(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    report = run(store, in_place=True, include=("*.parquet",))
    assert report.shards["rewritten"] == 2
    assert_true_summary(store)


def test_several_data_sets_have_summaries_of_their_own(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for name in ("a", "b/c"):
        summarized(store / name)
    run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))
    for name in ("a", "b/c"):
        assert_true_summary(tmp_path / "out" / name)


def test_of_several_sources(tmp_path: Path) -> None:
    stores = [summarized(tmp_path / name) for name in ("a", "b")]
    normalize_store(stores, tmp_path / "out", runner=Here())
    for name in ("a", "b"):
        assert_true_summary(tmp_path / "out" / name)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_summary_waits_until_every_file_is_done(tmp_path: Path, in_place: bool) -> None:
    store = summarized(tmp_path / "store")
    good = (store / "1.parquet").read_bytes()
    before = (store / "_metadata").read_bytes()
    (store / "1.parquet").write_bytes(good[:-9] + b"\xff" * 9)
    result = store if in_place else tmp_path / "out"
    destination = None if in_place else result
    events: list[Any] = []
    report = normalize_store(
        [store],
        destination,
        files=StoreOptions(in_place=in_place),
        runner=Here(),
        on_event=events.append,
    )
    assert report.shards["failed"] == 3
    assert report.exit_code == 4
    errors = [event.error for event in events if getattr(event, "error", "")]
    assert any("_metadata is not written anew: 1 of its files are not done" in e for e in errors)
    if in_place:
        assert (store / "_metadata").read_bytes() == before
    else:
        assert not (result / "_metadata").exists()
    (store / "1.parquet").write_bytes(good)
    report = run(store, destination, in_place=in_place)
    assert report.exit_code == 0
    assert report.shards["rewritten"] == 2
    assert_true_summary(result)
    report = run(store, destination, in_place=in_place)
    assert report.shards["skipped"] == 4
    assert_true_summary(result)


@pytest.mark.parametrize("gone", ["_metadata", "1.parquet"])
def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, gone: str) -> None:
    store, out = summarized(tmp_path / "store"), tmp_path / "out"
    run(store, out)
    whole = {path.name: path.read_bytes() for path in out.iterdir() if path.name[0] != "."}
    (out / gone).unlink()
    report = run(store, out)
    assert report.shards["rewritten"] == (2 if gone == "1.parquet" else 1)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.name[0] != "."} == whole


def test_a_dry_run_says_so_and_writes_nothing(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    report = run(store, tmp_path / "out", dry_run=True)
    assert report.shards["rewritten"] == 2
    assert "2 rewritten" in str(report)
    assert not (tmp_path / "out").exists()


def test_a_summary_of_files_that_are_not_taken_is_refused(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    with pytest.raises(SourceError, match=r"_metadata describes 1.parquet, which isn't there or"):
        run(store, tmp_path / "out", exclude=("1.parquet",))
    assert not (tmp_path / "out").exists()
    run(store, tmp_path / "out", exclude=("1.parquet", "_metadata"))
    assert sorted(os.listdir(tmp_path / "out"))[1:] == ["0.parquet", "_common_metadata"]


@pytest.mark.parametrize("how", [{"destination_format": "npy"}, {"only_arrays": True}])
def test_a_summary_has_no_place_beside_other_files(tmp_path: Path, how: dict[str, Any]) -> None:
    store = summarized(tmp_path / "store")
    report = run(store, tmp_path / "out", NormalizeOptions(select=("embedding",)), **how)
    assert report.notes[0] == "left out: _common_metadata, _metadata, which would become false"
    assert not (tmp_path / "out" / "_metadata").exists()


def test_where_nothing_changes_a_summary_stays_to_the_byte(tmp_path: Path) -> None:
    store = tmp_path / "store"
    summarized(store / "vectors")
    texts = store / "texts"
    texts.mkdir()
    collected: list[Any] = []
    table = pa.table({"text": ["a", "b"], "id": [1, 2]})
    pq.write_table(table, texts / "0.parquet", metadata_collector=collected)
    collected[0].set_file_path("0.parquet")
    pq.write_metadata(table.schema, texts / "_metadata", metadata_collector=collected)
    report = run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))
    assert report.shards["rewritten"] == 2
    for name in ("_metadata", "0.parquet"):
        assert (tmp_path / "out" / "texts" / name).read_bytes() == (texts / name).read_bytes()
    assert_true_summary(tmp_path / "out" / "vectors")


def test_a_file_that_is_only_called_so_is_copied(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "emb_0.npy", rows_of(0))
    (store / "_metadata").write_text("a note")
    (store / "state.json").write_text("[1, 2]")
    (store / "dataset_info.json").write_text("{")
    run(store, tmp_path / "out")
    for name in ("_metadata", "state.json", "dataset_info.json"):
        assert (tmp_path / "out" / name).read_bytes() == (store / name).read_bytes()


def test_a_summary_of_other_row_groups_fails_by_name(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    pq.write_table(table_of(1, "list"), store / "1.parquet", row_group_size=7)
    events: list[Any] = []
    report = normalize_store([store], tmp_path / "out", runner=Here(), on_event=events.append)
    assert report.shards["failed"] == 1
    (error,) = [event.error for event in events if getattr(event, "error", "")]
    assert error.endswith("_metadata: its row groups aren't those of 1.parquet; write it anew")
    assert not (tmp_path / "out" / "_metadata").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.parquet", ""])
def test_a_summary_does_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    store = summarized(tmp_path / "store")
    metadata = pq.read_metadata(store / "0.parquet")
    metadata.set_file_path(name)
    metadata.write_metadata_file(store / "_metadata")
    with pytest.raises(SourceError, match="a row group is in no file, in several, or in one"):
        run(store, tmp_path / "out")


def test_files_of_unlike_types_fail_by_name(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    second = table_of(1, "fixed")
    pq.write_table(second, store / "1.parquet", row_group_size=20)
    report = run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))
    assert report.shards["failed"] == 2
    assert not (tmp_path / "out" / "_common_metadata").exists()


def test_workers_write_summaries_too(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    report = normalize_store([store], tmp_path / "out", NormalizeOptions(dtype="float64"))
    assert report.shards["rewritten"] == 2
    assert_true_summary(tmp_path / "out")


def flipped(raw: bytes, seed: int) -> bytes:
    dice, broken = random.Random(seed), bytearray(raw)
    for _ in range(dice.choice((1, 1, 3))):
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
    return bytes(broken[: dice.randrange(len(broken))] if seed % 10 == 0 else broken)


FLIPS = """
    import contextlib, sys
    from pathlib import Path
    sys.path[:0] = {path!r}
    from l2cli.errors import L2NormError
    from l2cli.options import NormalizeOptions
    from l2cli.store.rewriting import described, rewrite
    from tests.unit.store.test_companions import flipped

    folder = Path(sys.argv[1])
    raw = (folder / {name!r}).read_bytes()
    for seed in range(300):
        (folder / {name!r}).write_bytes(flipped(raw, seed))
        with contextlib.suppress(L2NormError):
            described(folder / {name!r})
            rewrite(folder / {name!r}, folder / "written", folder, NormalizeOptions())
"""
"""Run apart: pyarrow may take its process down. An exception of another kind is a failure."""


@pytest.mark.parametrize("name", ["_metadata", "_common_metadata"])
def test_a_damaged_summary_is_an_error_or_harmless(tmp_path: Path, name: str) -> None:
    summarized(tmp_path)
    code = FLIPS.format(path=[path for path in sys.path if path] + ["."], name=name)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode <= 0, ran.stderr[-3000:]


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
def test_damaged_json_is_an_error_or_harmless(tmp_path: Path, name: str) -> None:
    store = saved(tmp_path / "store")
    raw = (store / name).read_bytes()
    for seed in range(300):
        (store / name).write_bytes(flipped(raw, seed))
        if not is_rewritable(store / name):
            continue
        with contextlib.suppress(L2NormError):
            rewrite(store / name, tmp_path / "written", store, NormalizeOptions())
            json.loads((tmp_path / "written").read_bytes())


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fastparquet_reads_what_it_wrote(tmp_path: Path) -> None:
    fastparquet = pytest.importorskip("fastparquet")
    store, out = tmp_path / "store", tmp_path / "out"
    frame = pa.concat_tables([table_of(seed, "wide") for seed in range(2)]).to_pandas()
    fastparquet.write(str(store), frame, file_scheme="hive", row_group_offsets=NUM_ROWS)
    run(store, out, NormalizeOptions(select=("x*",), dtype="float64"))
    assert_true_summary(out)
    after = fastparquet.ParquetFile(str(out)).to_pandas()
    assert after.dtypes["x0"] == "float64"
    np.testing.assert_allclose(after[[f"x{i}" for i in range(DIM)]], expected(2), rtol=1e-6)


def test_a_column_of_norms_is_in_no_summary(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    options = NormalizeOptions(norms_name="norm")
    with pytest.raises(SourceError, match="_metadata knows no column 'norm'; keep the norms in"):
        run(store, tmp_path / "out", options)
    run(store, tmp_path / "out", options, exclude=("_*",))
    assert "norm" in pq.read_schema(tmp_path / "out" / "0.parquet").names


def test_a_summary_that_a_failed_run_left_behind_is_written_anew(tmp_path: Path) -> None:
    store, result = summarized(tmp_path / "store"), tmp_path / "out"
    run(store, result)
    second = store / "1.parquet"
    content, status = second.read_bytes(), second.stat()
    pq.write_table(table_of(0, "list"), store / "0.parquet", row_group_size=20, compression="none")
    second.write_bytes(content[:-9])
    assert run(store, result).exit_code == 4
    second.write_bytes(content)
    os.utime(second, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = run(store, result)
    assert (report.shards["skipped"], report.shards["rewritten"]) == (2, 2)
    assert_true_summary(result)
    assert run(store, result).shards["skipped"] == 4


def test_a_summary_of_files_without_vectors_is_copied_once(tmp_path: Path) -> None:
    store, collected = tmp_path / "store", list[Any]()
    (store / "meta").mkdir(parents=True)
    table = pa.table({"text": ["a", "b"]})
    pq.write_table(table, store / "meta" / "0.parquet", metadata_collector=collected)
    collected[-1].set_file_path("0.parquet")
    pq.write_metadata(table.schema, store / "meta" / "_metadata", metadata_collector=collected)
    np.save(store / "0.npy", rows_of(0))
    assert run(store, tmp_path / "out").shards["copied"] == 2
    assert run(store, tmp_path / "out").shards["skipped"] == 3


# Hugging Face


def saved(path: Path, layout: str = "fixed") -> Path:
    length = DIM if layout == "fixed" else -1
    value = datasets.Sequence(datasets.Value("float32"), length=length)
    features = datasets.Features({"id": datasets.Value("int64"), "embedding": value})
    columns = {"id": list(range(2 * NUM_ROWS)), "embedding": [*rows_of(0), *rows_of(1)]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(path), num_shards=2)
    return path


@pytest.mark.parametrize("layout", ["fixed", "list"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("asked", [{}, {"dtype": "float16"}, {"dtype": "float64"}])
def test_a_saved_data_set_loads(
    tmp_path: Path, layout: str, in_place: bool, asked: dict[str, Any]
) -> None:
    store = saved(tmp_path / "store", layout)
    before = datasets.load_from_disk(str(store))
    texts = {name: (store / name).read_text() for name in ("state.json", "dataset_info.json")}
    run(store, None if in_place else tmp_path / "out", NormalizeOptions(**asked), in_place=in_place)
    result = store if in_place else tmp_path / "out"
    after = datasets.load_from_disk(str(result))
    feature = after.features["embedding"]
    assert feature.feature.dtype == asked.get("dtype", "float32")
    assert feature.length == before.features["embedding"].length
    assert after.features["id"] == before.features["id"]
    rtol = 1e-3 if asked.get("dtype") == "float16" else 1e-6
    np.testing.assert_allclose(np.array(after["embedding"]), expected(2), rtol=rtol, atol=1e-4)
    assert after._fingerprint != before._fingerprint
    states = json.loads((result / "state.json").read_text()), json.loads(texts["state.json"])
    assert states[0].pop("_fingerprint") != states[1].pop("_fingerprint")
    assert states[0] == states[1]
    if not asked:
        assert (result / "dataset_info.json").read_text() == texts["dataset_info.json"]


def test_a_cut_saved_data_set(tmp_path: Path) -> None:
    run(saved(tmp_path / "store"), tmp_path / "out", NormalizeOptions(truncate_dim=2))
    after = datasets.load_from_disk(str(tmp_path / "out"))
    assert after.features["embedding"].length == 2
    assert after.map(lambda row: {"first": row["embedding"][0]}).features["first"].dtype


def test_a_dictionary_of_data_sets(tmp_path: Path) -> None:
    for split in ("train", "test"):
        saved(tmp_path / "store" / split)
    (tmp_path / "store" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    run(tmp_path / "store", tmp_path / "out", NormalizeOptions(dtype="float64"))
    after = datasets.load_from_disk(str(tmp_path / "out"))
    assert {split: d.features["embedding"].feature.dtype for split, d in after.items()} == {
        "train": "float64",
        "test": "float64",
    }


def test_the_fingerprint_depends_on_what_was_asked_alone(tmp_path: Path) -> None:
    store, batches = saved(tmp_path / "store"), []
    options = NormalizeOptions(), NormalizeOptions(batch_size=7), NormalizeOptions(epsilon=0)
    for number, asked in enumerate(options):
        run(store, tmp_path / str(number), asked)
        batches.append((tmp_path / str(number) / "state.json").read_bytes())
    assert batches[0] == batches[1] != batches[2]


def test_in_place_the_fingerprint_changes_once(tmp_path: Path) -> None:
    store = saved(tmp_path / "store")
    run(store, in_place=True)
    once = (store / "state.json").read_bytes()
    assert run(store, in_place=True).shards["skipped"] == 4
    assert (store / "state.json").read_bytes() == once


def test_a_saved_data_set_without_one_of_its_files_is_refused(tmp_path: Path) -> None:
    store = saved(tmp_path / "store")
    with pytest.raises(SourceError, match=r"state.json describes data-00001-of-00002.arrow"):
        run(store, tmp_path / "out", exclude=("data-00001*",))


def test_caches_of_a_saved_data_set_do_not_speak_for_it(tmp_path: Path) -> None:
    store = saved(tmp_path / "store")
    second = pa.table({"embedding": ["text"]})
    with pa.ipc.new_stream(store / "cache-0123456789abcdef.arrow", second.schema) as writer:
        writer.write_table(second)
    report = run(store, tmp_path / "out", NormalizeOptions(dtype="float64"), exclude=("cache-*",))
    assert report.exit_code == 0
    after = datasets.load_from_disk(str(tmp_path / "out"))
    assert after.features["embedding"].feature.dtype == "float64"


@pytest.mark.parametrize("name", ["0.parquet", "0.pq", "0.PARQUET", "0"])
def test_types_come_from_parquet_files_of_any_name(tmp_path: Path, name: str) -> None:
    pq.write_table(
        pa.table({"embedding": pa.array([[1.0]], pa.list_(pa.float64()))}), tmp_path / name
    )
    value = {"dtype": "float32", "_type": "Value"}
    info = {"features": {"embedding": {"feature": value, "length": -1, "_type": "Sequence"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    target = tmp_path / "new.json"
    rewrite(tmp_path / "dataset_info.json", target, tmp_path, NormalizeOptions())
    new = json.loads(target.read_text())
    assert new["features"]["embedding"]["feature"]["dtype"] == "float64"


@pytest.mark.parametrize("indent", [None, 2, 4])
@pytest.mark.parametrize("end", ["", "\n"])
def test_json_stays_as_it_was_set(tmp_path: Path, indent: int | None, end: str) -> None:
    store = saved(tmp_path / "store")
    info = json.loads((store / "dataset_info.json").read_text())
    text = json.dumps({**info, "description": "größer"}, indent=indent, ensure_ascii=False) + end
    (store / "dataset_info.json").write_text(text, "utf-8")
    run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))
    written = (tmp_path / "out" / "dataset_info.json").read_text("utf-8")
    assert written == text.replace("float32", "float64")


README = (
    "---\ndataset_info:\n  features:\n  - name: embedding\n    sequence: float32\n---\n# A set\n"
)


@pytest.mark.parametrize(
    ("name", "text"), [("README.md", README), ("dataset_infos.json", '{"default": {}}')]
)
def test_a_repository_that_declares_types_is_refused(tmp_path: Path, name: str, text: str) -> None:
    store = summarized(tmp_path / "store")
    (store / name).write_text(text)
    with pytest.raises(SourceError, match=rf"{name} declares the types .* .exclude=\[.{name}.\]`"):
        run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))
    run(store, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == text
    options = NormalizeOptions(dtype="float64")
    run(store, tmp_path / "out2", options, exclude=(name,))


@pytest.mark.parametrize("text", ["# Plain\nfeatures:\n", "---\nlicense: mit\n---\nfeatures:\n"])
def test_a_readme_that_declares_none_is_not(tmp_path: Path, text: str) -> None:
    store = summarized(tmp_path / "store")
    (store / "README.md").write_text(text)
    run(store, tmp_path / "out", NormalizeOptions(dtype="float64"))


# What can't be written anew


TABLES = {
    "Delta Lake table": "_delta_log/00000000000000000000.json",
    "Hudi table": ".hoodie/hoodie.properties",
    "Iceberg table": "metadata/v1.metadata.json",
}


def with_marker(store: Path, marker: str) -> Path:
    path = store / marker
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return store


def table_store(root: Path, marker: str, where: str = "") -> Path:
    folder = root / where
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table_of(0, "list"), folder / "part-0.parquet")
    pq.write_table(table_of(1, "list"), root / "part-1.parquet")
    return with_marker(folder, marker) and root


@pytest.mark.parametrize(("name", "marker"), TABLES.items())
@pytest.mark.parametrize("where", ["", "inner/table"])
@pytest.mark.parametrize("how", [{}, {"in_place": True}, {"dry_run": True}])
def test_a_table_is_refused_by_name(
    tmp_path: Path, name: str, marker: str, where: str, how: dict[str, Any]
) -> None:
    store = table_store(tmp_path / "store", marker, where)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    destination = None if how.get("in_place") else tmp_path / "out"
    folder = (store / where).as_posix().rstrip("/")
    log = marker.split("/")[0]
    with pytest.raises(SourceError, match=rf"{folder} is a {name}, whose log \({log}\) would"):
        run(store, destination, **how)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "marker"), TABLES.items())
@pytest.mark.parametrize("where", ["", "inner"])
def test_a_table_whose_log_is_left_out_is_a_folder_of_files(
    tmp_path: Path, name: str, marker: str, where: str
) -> None:
    store = table_store(tmp_path / "store", marker, where)
    log = f"{where}/{marker}".strip("/").removesuffix(f"/{marker.split('/')[1]}")
    with pytest.raises(SourceError, match=rf"with `exclude=\['{log}'\]`$"):
        run(store, tmp_path / "out")
    report = run(store, tmp_path / "out", exclude=(log,))
    assert report.shards["done"] == 2
    with pytest.raises(SourceError, match=f"is a {name}"):
        run(store, in_place=True, exclude=(log,))


def test_a_table_without_vectors_stands_in_no_way(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "words").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a"], "id": [1]}), store / "words" / "0.parquet")
    with_marker(store / "words", TABLES["Delta Lake table"])
    np.save(store / "emb_0.npy", rows_of(0))
    report = run(store, tmp_path / "out")
    assert report.shards["done"] == 1
    assert (tmp_path / "out" / "words" / TABLES["Delta Lake table"]).exists()


def test_a_table_outside_of_what_is_included_stands_in_no_way(tmp_path: Path) -> None:
    store = table_store(tmp_path / "store", TABLES["Delta Lake table"], "inner")
    report = run(store, tmp_path / "out", include=("part-1.parquet",))
    assert report.shards["done"] == 1


UNREAD = {
    "Lance dataset": "_versions/1.manifest",
    "Zarr store": "zarr.json",
    "TileDB array": "__schema/__1_1_x",
}


@pytest.mark.parametrize(("name", "marker"), [*UNREAD.items(), ("Zarr store", ".zarray")])
@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_not_read_is_not_passed_off(
    tmp_path: Path, name: str, marker: str, in_place: bool
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "emb_0.npy", rows_of(0))
    with_marker(store / "other", marker)
    destination = None if in_place else tmp_path / "out"
    with pytest.raises(SourceError, match=rf"other is a {name}, which is not read; .*`exclude="):
        run(store, destination, in_place=in_place)
    assert run(store, destination, in_place=in_place, exclude=("other",)).shards["done"] == 1
    with pytest.raises(SourceError, match=rf"other is a {name}, which is not read; [^,]*$"):
        run(store / "other", tmp_path / "out2")


@pytest.mark.parametrize("marker", ["metadata/0.parquet", "data/zarr.json.txt", "_versions/note"])
def test_folders_that_are_only_called_so(tmp_path: Path, marker: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "emb_0.npy", rows_of(0))
    path = store / marker
    path.parent.mkdir()
    pq.write_table(pa.table({"text": ["a"]}), path)
    assert run(store, tmp_path / "out").shards["done"] == 1


def test_checksums_of_hadoop_are_refused_in_place(tmp_path: Path) -> None:
    store = summarized(tmp_path / "store")
    (store / ".0.parquet.crc").write_bytes(b"crc\x00")
    with pytest.raises(SourceError, match=r"\.0\.parquet\.crc holds the checksum of 0\.parquet"):
        run(store, in_place=True)
    run(store, tmp_path / "out")
    assert not (tmp_path / "out" / ".0.parquet.crc").exists()


@pytest.mark.parametrize("name", ["SHA256SUMS", "emb_0.npy.md5", "emb_0.npy.dvc", "sub/x.sha256"])
def test_other_checksums_get_a_note(tmp_path: Path, name: str) -> None:
    store = tmp_path / "store"
    (store / "sub").mkdir(parents=True)
    np.save(store / "emb_0.npy", rows_of(0))
    (store / name).write_text("0  emb_0.npy")
    report = run(store, tmp_path / "out")
    assert f"{name}: not changed, so of the files as they were" in report.notes
