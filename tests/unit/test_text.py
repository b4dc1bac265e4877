"""What is proposed for a name that there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from l2cli.text import suggestion
from tests.support.commands import l2norm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("embeding", ["id", "embedding", "text"], "embedding"),
        ("embeddings", ["embedding", "embedding_2"], "embedding"),
        ("emb.1", ["emb.0", "bias"], "emb.0"),
        ("EMBEDDING", ["embedding"], "embedding"),
        ("vektor", ["ids", "Vector"], "Vector"),
        ("trian", ["train", "test"], "train"),
        ("emb", ["ids", "text"], ""),
        ("x", [], ""),
        ("", ["embedding"], ""),
        ("dim_*", ["label", "price"], ""),
    ],
)
def test_the_name_that_is_most_alike_is_proposed(
    name: str, names: list[str], expected: str
) -> None:
    assert suggestion(name, names) == (f"did you mean '{expected}'?" if expected else "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("nromalize", "No such command 'nromalize'; did you mean 'normalize'? See l2norm --help"),
        ("chek", "No such command 'chek'; did you mean 'check'? See l2norm --help"),
        ("Export", "No such command 'Export'; did you mean 'export'? See l2norm --help"),
        ("fetch", "No such command 'fetch'; see l2norm --help"),
    ],
)
def test_a_misspelt_command_gets_a_proposal(command: str, message: str) -> None:
    done = l2norm(command, "x.npy")
    assert (done.code, done.err) == (2, f"l2norm: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["a.npy", "b.npy"], "b.npy: there is no such file or folder; to write it, say -o b.npy\n"),
        (["a.npy", "my b.npy"], "to write it, say -o 'my b.npy'\n"),
        (["a.npy", "a2.npy", "out"], "to write it, say -o out\n"),
        (["a.npy", "no/b.npy"], "to write it, say -o no/b.npy\n"),
    ],
)
def test_a_last_source_that_is_not_there_may_be_a_destination(
    tmp_path: Path, arguments: list[str], hint: str
) -> None:
    for name in ("a.npy", "a2.npy"):
        np.save(tmp_path / name, np.ones((2, 2), "f4"))
    done = l2norm("normalize", *arguments, cwd=tmp_path)
    assert hint in done.err
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a2.npy"]


@pytest.mark.parametrize(
    "arguments", [["b.npy", "a.npy"], ["a.npy", "b.npy", "-o", "out"], ["no.npy", "b.npy"]]
)
def test_other_sources_that_are_not_there_get_no_such_hint(
    tmp_path: Path, arguments: list[str]
) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2), "f4"))
    done = l2norm("normalize", *arguments, cwd=tmp_path)
    assert "to write it" not in done.err
    assert "there is no such file or folder" in done.err
