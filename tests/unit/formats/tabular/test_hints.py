"""The glob to type for a table with a column per component comes from its own names."""

from __future__ import annotations

from fnmatch import filter as matching
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2cli.formats.tabular.hints import glob_for
from l2cli.io.inspection import inspect_file
from tests.support.commands import l2norm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("names", "others", "pattern"),
    [
        ([f"dim_{i}" for i in range(8)], ["id", "text"], "dim_*"),
        ([str(i) for i in range(8)], ["id"], "[0-9]*"),
        ([str(i) for i in range(12)], [], "[0-9]*"),
        ([f"x{i}" for i in range(3)], ["x_mean"], "x[0-9]*"),
        ([f"emb.{i}.value" for i in range(3)], ["emb.text"], "emb.*.value"),
        ([f"v2_{i}" for i in range(3)], ["v3_0"], "v2_*"),
        ([f"('dim', '{i}')" for i in range(3)], [], "('dim', '*')"),
        ([f"e[{i}]" for i in range(3)], [], "e[[]*]"),
        (["score"], ["id"], ""),
        (["1", "2"], ["1st"], ""),
    ],
)
def test_the_glob_matches_these_names_alone(
    names: list[str], others: list[str], pattern: str
) -> None:
    assert glob_for(names, others) == pattern
    if pattern:
        assert matching([*names, *others], pattern) == names


TABLES = [
    ({str(i): "float32" for i in range(8)}, {"0": "`select='[0-9]*'`", "7": "`select='[0-9]*'`"}),
    (
        {"id": "int64", "a0": "float32", "b0": "float64", "a1": "float32", "b1": "float64"},
        {"a0": "`select='a*'`", "b1": "`select='b*'`"},
    ),
    (
        {"score": "float32", "pc1": "float64", "pc2": "float64"},
        {"score": "", "pc1": "`select='pc*'`"},
    ),
]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize(("dtypes", "hints"), TABLES)
def test_a_table_says_what_to_type(
    tmp_path: Path, suffix: str, dtypes: dict[str, str], hints: dict[str, str]
) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((10, len(dtypes))) * 10
    table = pa.table(
        {name: numbers[:, i].astype(dtype) for i, (name, dtype) in enumerate(dtypes.items())}
    )
    source = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, source)
    else:
        with pa.ipc.new_file(source, table.schema) as writer:
            writer.write_table(table)
    reasons = {array.name: array.reason for array in inspect_file(source).arrays}
    for name, hint in hints.items():
        expected = f"; select several as one array with a glob, {hint}" if hint else ""
        assert reasons[name] == f"a scalar column{expected}"


def test_what_it_says_works_as_typed(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 8))
    pq.write_table(pa.table({str(i): rows[:, i] for i in range(8)}), tmp_path / "x.parquet")
    done = l2norm("normalize", "x.parquet", cwd=tmp_path)
    assert done.code == 3
    assert "-s '[0-9]*'" in done.err
    done = l2norm("normalize", "x.parquet", "-o", "y.parquet", "-s", "[0-9]*", cwd=tmp_path)
    assert done.code == 0, done.err
    columns = pq.read_table(tmp_path / "y.parquet").columns
    written = np.stack([column.to_numpy() for column in columns], axis=1)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(written, expected, rtol=1e-14)
