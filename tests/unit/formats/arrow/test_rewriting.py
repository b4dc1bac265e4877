"""Arrow IPC: new rows in some columns, and everything else as it was. Checked with pyarrow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from l2cli.errors import DestinationError, FormatError
from l2cli.formats.arrow.reader import ArrowReader
from l2cli.formats.registry import detect
from tests.support import tables
from tests.support.assertions import assert_doubled, load_table, twice
from tests.support.doubling import double

if TYPE_CHECKING:
    from pathlib import Path

NUM_ROWS, DIM = 50, 6
ROWS = np.random.default_rng(0).standard_normal((NUM_ROWS, DIM)).astype("f4")
VARIANTS = [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float16(), DIM)]


def vectors(variant: Any = VARIANTS[0], holes: bool = False) -> Any:
    rows: list[Any] = ROWS.astype(variant.value_type.to_pandas_dtype()).tolist()
    if holes:
        rows[3] = rows[40] = None
        if not pa.types.is_fixed_size_list(variant):
            rows[7], rows[8] = [], rows[8][:2]
        rows[9][1] = None
    return pa.array(rows, variant)


def table(column: Any = None) -> Any:
    return tables.table(vectors() if column is None else column)


def save(path: Path, content: Any, form: str = "file", codec: str | None = None) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with make(str(path), content.schema, options=options) as writer:
        for batch in content.to_batches(max_chunksize=20):
            writer.write_batch(batch)
    return path


@pytest.mark.parametrize("batch_size", [None, 1, 7])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("form", ["file", "stream"])
def test_only_the_vectors_change(
    tmp_path: Path, form: str, variant: Any, holes: bool, batch_size: int | None
) -> None:
    source = save(tmp_path / "x.arrow", table(vectors(variant, holes)), form)
    assert_doubled(source, double(source, "emb", batch_size=batch_size), "emb")


@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize("codec", ["lz4", "zstd", None])
def test_the_codec_stays(tmp_path: Path, codec: str | None, form: str) -> None:
    content = table(pa.array([[1.0] * 1000] * NUM_ROWS, VARIANTS[0]))
    source = save(tmp_path / "x.arrow", content, form, codec)
    doubled = double(source, "emb")
    assert_doubled(source, doubled, "emb")
    assert abs(doubled.stat().st_size - source.stat().st_size) < source.stat().st_size / 10
    magics = {"lz4": b"\x04\x22\x4d\x18", "zstd": b"\x28\xb5\x2f\xfd"}
    assert [c for c, magic in magics.items() if magic in doubled.read_bytes()] == (
        [codec] if codec else []
    )


def test_a_feather_file_of_today(tmp_path: Path) -> None:
    source = tmp_path / "x.feather"
    pyarrow.feather.write_feather(table(), str(source))
    doubled = double(source, "emb")
    assert_doubled(source, doubled, "emb")
    assert pyarrow.feather.read_table(str(doubled))["emb"].to_pylist() == twice(table()["emb"])


def test_a_feather_file_of_version_1_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.feather"
    source.write_bytes(b"FEA1" + bytes(60))
    with pytest.raises(FormatError, match=r"named like Arrow, but a Feather file of version 1"):
        detect(source)


def test_a_dictionary_that_grows_and_metadata_of_batches(tmp_path: Path) -> None:
    source = tmp_path / "x.arrow"
    batches = []
    for words in (["a", "b"], ["a", "b", "c"]):
        codes = pa.DictionaryArray.from_arrays(pa.array([0, 1], "int8"), pa.array(words))
        batches.append(pa.record_batch({"emb": vectors()[:2], "word": codes}))
    with pa.ipc.new_stream(str(source), batches[0].schema) as writer:
        for number, batch in enumerate(batches):
            writer.write_batch(batch, {"number": str(number)})
    with pa.ipc.open_stream(double(source, "emb").read_bytes()) as opened:
        result = list(opened.iter_batches_with_custom_metadata())
    for number, (batch, metadata) in enumerate(result):
        assert batch["word"].equals(batches[number]["word"])
        assert metadata[b"number"] == str(number).encode()


def test_the_metadata_of_a_footer_stay(tmp_path: Path) -> None:
    source = tmp_path / "x.arrow"
    with pa.ipc.new_file(str(source), table().schema, metadata={b"a": b"b"}) as writer:
        writer.write_table(table())
    assert pa.ipc.open_file(str(double(source, "emb"))).metadata == {b"a": b"b"}


@pytest.mark.parametrize("form", ["file", "stream"])
def test_no_record_batch_at_all(tmp_path: Path, form: str) -> None:
    source = save(tmp_path / "x.arrow", table()[:0], form)
    assert_doubled(source, double(source, "emb"), "emb")


def test_another_dtype_and_fewer_components(tmp_path: Path) -> None:
    for variant in VARIANTS:
        source = save(tmp_path / "x.arrow", table(vectors(variant)))
        after = load_table(double(source, "emb", dtype="float64", dim=4))["emb"]
        assert after.type.value_type == pa.float64()
        assert after.to_pylist() == [
            [2 * x for x in row[:4]] for row in vectors(variant).to_pylist()
        ]


def test_a_column_for_each_component(tmp_path: Path) -> None:
    wide = pa.table({f"dim_{i}": ROWS[:, i] for i in range(DIM)})
    source = save(tmp_path / "x.arrow", wide)
    with ArrowReader(source) as reader:
        group = reader.group("dim_*")
        assert group is not None
        assert group.shape == (NUM_ROWS, DIM)
        with reader.writer(tmp_path / "y.arrow", {"dim_*": group}) as writer:
            for batch in reader.batches([group], None):
                writer.write(replace(batch, rows=batch.rows * 2))
            writer.finish()
    assert load_table(tmp_path / "y.arrow").equals(
        pa.table({k: wide[k].to_numpy() * 2 for k in wide.column_names})
    )


def test_an_extension_type_stays(tmp_path: Path) -> None:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(ROWS)
    source = save(tmp_path / "x.arrow", table(tensors))
    after = load_table(double(source, "emb"))["emb"]
    assert after.type == tensors.type
    np.testing.assert_array_equal(after.combine_chunks().to_numpy_ndarray(), ROWS * 2)


def test_bfloat16_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "x.arrow", table())
    with pytest.raises(DestinationError, match="Arrow can't hold bfloat16; use `dtype='float16'`"):
        double(source, "emb", dtype="bfloat16")


def test_what_is_in_there_is_described(tmp_path: Path) -> None:
    source = save(tmp_path / "x.arrow", table(vectors(VARIANTS[2])), codec="zstd")
    with ArrowReader(source) as reader:
        described = [(a.name, a.shape, a.dtype, a.layout, a.refusal) for a in reader.arrays()]
    assert described[0] == ("id", (NUM_ROWS,), "int64", "int64, zstd", "not a list of numbers")
    assert described[1] == ("emb", (NUM_ROWS, DIM), "float16", "fixed_size_list, zstd", "")


@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize("codec", [None, "lz4"])
def test_damage_is_an_error_of_ours(tmp_path: Path, form: str, codec: str | None) -> None:
    content = save(tmp_path / "x.arrow", table(), form, codec).read_bytes()
    source = tmp_path / "bad.arrow"
    for length in range(10, len(content) - 9, max(1, len(content) // 60)):
        source.write_bytes(content[:length])
        with pytest.raises(FormatError, match=r"bad\.arrow"):
            double(source, "emb")
