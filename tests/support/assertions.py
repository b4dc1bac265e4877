"""What must be true of a file whose rows were doubled: read with the format's own library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path


def assert_doubled(source: Path, destination: Path, *names: str) -> None:
    """Assert that the arrays called ``names`` are doubled; in tables, that nothing else differs."""
    if h5py.is_hdf5(source):
        _assert_datasets_doubled(source, destination, names)
        return
    before, after = load_table(source), load_table(destination)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.drop([*names]).equals(before.drop([*names]))
    for name in names:
        assert after[name].to_pylist() == twice(before[name])
    magic = source.read_bytes()[:8]
    if magic.startswith(b"PAR1"):
        assert_same_groups(pq.ParquetFile(source).metadata, pq.ParquetFile(destination).metadata)
    else:
        assert [len(b) for b in after.to_batches()] == [len(b) for b in before.to_batches()]
        assert destination.read_bytes()[:8] == magic


def load_table(path: Path) -> Any:
    """Return the table in a file of Parquet, or of Arrow in either form."""
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(b"PAR1"):
            return pq.read_table(path, page_checksum_verification=True)
        return (pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream)(file).read_all()


def twice(column: Any) -> list[Any]:
    """Double a column of lists in Python, nulls and all."""
    return [row and [x if x is None else 2 * x for x in row] for row in column.to_pylist()]


def _assert_datasets_doubled(source: Path, destination: Path, names: tuple[str, ...]) -> None:
    with h5py.File(source, "r") as old, h5py.File(destination, "r") as new:
        for name in names:
            assert new[name].dtype == old[name].dtype
            expected = old[name][()] * old[name].dtype.type(2)
            assert new[name][()].tobytes() == expected.astype(old[name].dtype).tobytes(), name


def assert_same_groups(before: Any, after: Any) -> None:
    """Assert that Parquet's row groups, and the chunks in them, are as they were."""
    assert after.created_by == before.created_by
    assert after.num_row_groups == before.num_row_groups
    for number in range(before.num_row_groups):
        groups = before.row_group(number), after.row_group(number)
        assert groups[0].num_rows == groups[1].num_rows
        for column in range(before.num_columns):
            chunks = [group.column(column) for group in groups]
            assert chunks[0].compression == chunks[1].compression
            assert chunks[0].path_in_schema == chunks[1].path_in_schema
            assert chunks[0].num_values == chunks[1].num_values
            assert chunks[0].is_stats_set == chunks[1].is_stats_set
