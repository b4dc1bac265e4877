"""Which array is taken, and what is said where none can be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from l2cli.arrays import ArraySpec
from l2cli.errors import SelectionError
from l2cli.io.candidates import why_not
from l2cli.io.selection import select


def _array(name: str, dtype: str = "float32", rank: int = 2, refusal: str = "") -> ArraySpec:
    return ArraySpec(name, (10, 4, 3)[:rank], dtype, refusal=refusal)


def _select(arrays: list[ArraySpec], *patterns: str) -> list[str]:
    reader: Any = SimpleNamespace(
        arrays=lambda: arrays,
        min_rank=2,
        path=Path("x.h5"),
        group=lambda pattern: None,
        notes=[],
    )
    return [array.name for array in select(reader, patterns)]


def test_the_only_candidate_is_taken() -> None:
    arrays = [_array("ids", "int64"), _array("anything"), _array("text", refusal="strings")]
    assert _select(arrays) == ["anything"]


@pytest.mark.parametrize("name", ["embedding", "embeddings", "emb", "vector", "vectors", "Emb"])
def test_a_preferred_name_decides(name: str) -> None:
    assert _select([_array("x"), _array(f"group/{name}"), _array("my_embedding")]) == [
        f"group/{name}"
    ]


def test_a_name_that_contains_a_preferred_one_comes_second() -> None:
    name = "text-embedding-3-large-1536-embedding"
    assert _select([_array("x"), _array(name)]) == [name]


def test_several_are_listed_with_what_to_type() -> None:
    with pytest.raises(
        SelectionError, match=r"holds 2 arrays .* `select='X'` or `select='obsm/X_pca'`"
    ):
        _select([_array("X"), _array("obsm/X_pca")])
    with pytest.raises(SelectionError, match=r"`select='a/emb'` or `select='b/emb'`"):
        _select([_array("a/emb"), _array("b/emb"), _array("X")])


@pytest.mark.parametrize("name", ["neighbors", "distances", "knns", "dists"])
def test_results_of_searches_are_never_candidates(name: str) -> None:
    assert _select([_array("x"), _array(f"gold/{name}")]) == ["x"]
    assert _select([_array("x"), _array(f"gold/{name}")], f"gold/{name}") == [f"gold/{name}"]
    with pytest.raises(SelectionError, match="a search result"):
        _select([_array(name)])


def test_ann_benchmarks_train_and_test_are_both_taken() -> None:
    arrays = [_array("distances"), _array("neighbors", "int32"), _array("test"), _array("train")]
    assert _select(arrays) == ["test", "train"]
    with pytest.raises(SelectionError, match="holds 2 arrays"):
        _select(arrays[2:])


def test_names_may_be_globs_and_last_components() -> None:
    arrays = [_array("a/x"), _array("b/x"), _array("y", rank=1), _array("z", "int32")]
    assert _select(arrays, "x") == ["a/x", "b/x"]
    assert _select(arrays, "/b/x") == ["b/x"]
    assert _select(arrays, "b/*", "a/x") == ["a/x", "b/x"]
    assert _select(arrays, "*") == ["a/x", "b/x", "y"]
    assert _select(arrays, "z") == ["z"]


def test_a_name_in_full_is_meant_to_the_letter() -> None:
    arrays = [_array("emb"), _array("backup/emb"), _array("emb[4]")]
    assert _select(arrays, "emb") == ["emb"]
    assert _select(arrays, "/emb") == ["emb"]
    assert _select(arrays, "emb[4]") == ["emb[4]"]
    assert _select(arrays, "*/emb") == ["backup/emb"]
    with pytest.raises(SelectionError, match="holds no array"):
        _select(arrays[1:2], "/emb")


def test_any_name_of_an_array_will_do() -> None:
    linked = ArraySpec("a/data", (3, 2), "float32", aliases=("embedding", "base"))
    assert _select([linked, _array("other")]) == ["a/data"]
    assert _select([linked, _array("other")], "base") == ["a/data"]


def test_a_name_that_is_not_there_lists_what_is() -> None:
    with pytest.raises(
        SelectionError, match=r"holds no array 'emb'; it holds x \(10 × 4 float32\)"
    ):
        _select([_array("x")], "emb")


def test_what_many_arrays_have_in_common_is_told_once() -> None:
    arrays = [_array(f"dim_{i}", rank=1, refusal="a scalar; use a glob") for i in range(9)]
    with pytest.raises(
        SelectionError,
        match=r"it holds id \(10 int64: integers, unless named\), "
        r"dim_0, dim_1, dim_2 and 6 more \(10 float32: a scalar; use a glob\)$",
    ):
        _select([_array("id", "int64", rank=1), *arrays])


def test_an_array_that_can_not_be_taken_says_why() -> None:
    with pytest.raises(SelectionError, match=r"x\.h5, array 'text': strings"):
        _select([_array("text", refusal="strings")], "text")
    with pytest.raises(SelectionError, match=r"holds no array to normalize; .*text .*: strings"):
        _select([_array("text", refusal="strings")])
    with pytest.raises(SelectionError, match="it is empty"):
        _select([])


def test_a_misspelt_name_is_answered_with_the_like_of_it() -> None:
    with pytest.raises(SelectionError, match=r"no array 'embeding'; did you mean 'embedding'\?;"):
        _select([_array("embedding"), _array("ids", "int64")], "embeding")


def test_the_name_of_a_temporary_file_of_ours_tells_nothing() -> None:
    lone = ArraySpec("", (10, 4), "float32")
    assert why_not(lone, [lone], ".l2norm-host-12-0-0") == ""
    assert "(norms)" in why_not(lone, [lone], "norms")


def test_one_option_takes_the_vectors_of_a_file_with_one_dataset_for_each() -> None:
    arrays = [_array(name, rank=1) for name in ("P1", "P2", "P3")]
    with pytest.raises(
        SelectionError, match=r"name it: `select='P1'`; `select='\*'` takes all of them"
    ):
        _select(arrays)
