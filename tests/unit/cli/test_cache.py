"""``l2norm cache``: what is kept between runs, shown and removed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from l2cli.cli import run
from l2cli.graph.cache import EXECUTABLE, kept_graphs, save_graph
from tests.support.commands import SAMPLES, l2norm, l2norm_anew

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = SAMPLES / "glove-50d.npy"
NAME = f"jax-0.10.2_keras-3.12.0_{'0' * 64}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(path))
    return path


def test_an_empty_cache_is_shown_and_not_made(folder: Path) -> None:
    done = l2norm("cache")
    assert (done.code, done.out, done.err) == (0, f"{folder}: 0 files, 0 bytes\n", "")
    assert not folder.exists()


def test_what_is_kept_is_shown_by_version(folder: Path) -> None:
    save_graph(NAME, b"content")
    save_graph(NAME, b"content", EXECUTABLE)
    save_graph("1" * 64, b"of a version that didn't say its own")
    lines = l2norm("cache", "show").out.splitlines()
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    assert lines[0] == f"{folder}: 3 files, {num_bytes:,} bytes"
    assert sorted(line.partition(":")[0] for line in lines[1:]) == [
        "  an older l2norm",
        "  jax 0.10.2, keras 3.12.0",
    ]
    record = json.loads(l2norm("cache", "--json").out)
    assert (record["folder"], record["files"], record["bytes"]) == (str(folder), 3, num_bytes)
    assert {made["packages"]: made["files"] for made in record["versions"]} == {
        "jax 0.10.2, keras 3.12.0": 2,
        "": 1,
    }


def test_clear_removes_what_a_run_kept_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "exported.stablehlo").write_text("somebody's own")
    assert l2norm_anew("normalize", SAMPLE, "-o", tmp_path / "unit.npy").code == 0
    (folder / f"{NAME}.trial").write_text("1 1 cut-off-by-a-crash")
    os.utime(folder / f"{NAME}.trial", (0, 0))
    kept = kept_graphs()
    assert {graph.path.suffix for graph in kept} == {".stablehlo", ".executable"}
    done = l2norm("cache", "clear")
    num_bytes = sum(graph.num_bytes for graph in kept)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"removed {len(kept)} files, {num_bytes:,} bytes from {folder}\n"
    assert [path.name for path in folder.iterdir()] == ["exported.stablehlo"]
    assert json.loads(l2norm("cache", "clear", "--json").out)["removed"] == {"files": 0, "bytes": 0}


def test_what_cannot_be_removed_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_graph(NAME, b"content")
    monkeypatch.setattr("l2cli.cli.commands.cache.remove_graphs", lambda graphs: 0)
    assert run(["cache", "clear"]) == 3
    assert capsys.readouterr() == (
        "",
        f"l2norm: 1 of 1 file in {folder} can't be removed; look at its permissions\n",
    )


def test_without_a_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("L2NORM_CACHE_DIR", os.devnull)
    assert l2norm("cache").out == "nothing is kept; name a folder in L2NORM_CACHE_DIR\n"
