"""What is found in a folder, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2cli.filesystem.walk import list_folder, natural_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    for name in ("b/x10.npy", "b/x9.npy", "a10/x.npy", "a9/x.npy", "top.txt", ".git/config"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / ".l2norm.jsonl").write_text("{}")
    (root / ".l2norm-host-1-0-0.tmp").write_text("")
    return root


def _names(folder: Path, *include: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [file.name for file in list_folder(str(folder), include, exclude).files]


def test_files_come_in_natural_order_without_the_hidden(folder: Path) -> None:
    listing = list_folder(str(folder))
    assert [file.name for file in listing.files] == [
        "a9/x.npy",
        "a10/x.npy",
        "b/x9.npy",
        "b/x10.npy",
        "top.txt",
    ]
    assert listing.folders == ["a9", "a10", "b"]
    assert listing.notes == ["left out 1 hidden: .git"]


@given(st.text("019ab", max_size=8), st.text("019ab", max_size=8))
def test_any_two_names_can_be_compared(left: str, right: str) -> None:
    assert (natural_key(left) < natural_key(right)) + (natural_key(right) < natural_key(left)) == (
        left != right
    )


def test_globs_choose_by_path(folder: Path) -> None:
    assert _names(folder, "*.txt", "**/x9.npy") == ["b/x9.npy", "top.txt"]
    assert _names(folder, "a*") == ["a9/x.npy", "a10/x.npy"]
    assert _names(folder, exclude=("b", "top.*")) == ["a9/x.npy", "a10/x.npy"]
    assert _names(folder, "b/", exclude=("*10*",)) == ["b/x9.npy"]
    assert _names(folder, ".git/*") == [".git/config"]


def test_links_inside_stay_links_and_links_outside_are_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "y.npy").write_text("outside")
    (folder / "inner.npy").symlink_to(folder / "b" / "x9.npy")
    (folder / "b" / "up").symlink_to("../a9")
    (folder / "outer.npy").symlink_to(tmp_path / "outside" / "y.npy")
    (folder / "escape").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to("loop")
    (folder / "to_hidden").symlink_to(".git/config")
    (folder / "to_hidden_folder").symlink_to(".git")
    listing = list_folder(str(folder))
    files = {file.name: file for file in listing.files}
    assert files["inner.npy"].link == "b/x9.npy"
    assert files["b/up"].link == "../a9"
    assert (files["outer.npy"].link, files["outer.npy"].num_bytes) == ("", 7)
    assert files["outer.npy"].outside
    assert files["to_hidden"].link == ""
    assert listing.left_out == {
        "hidden": [".git"],
        "links to folders outside": ["escape"],
        "links that lead nowhere": ["loop"],
        "links to folders that are left out": ["to_hidden_folder"],
    }
