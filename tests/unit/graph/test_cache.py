"""Graphs that are kept between runs: used where they are whole, passed over where not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.graph import keys
from l2cli.graph.cache import (
    MAX_AGE_DAYS,
    MAX_BYTES,
    cache_folder,
    kept_graphs,
    load_graph,
    save_graph,
)
from l2cli.graph.keys import make_executable_key, make_key
from l2cli.graph.spec import GraphSpec
from tests.support.commands import SAMPLES, l2norm, l2norm_anew

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = SAMPLES / "glove-50d.npy"
LOADED = (
    "import sys\nfrom pathlib import Path\nfrom l2cli.normalization.file import normalize_file\n"
    "normalize_file(Path(sys.argv[1]), Path(sys.argv[2]))\nprint('keras' in sys.modules)"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache" / "graphs"
    monkeypatch.setenv("L2NORM_CACHE_DIR", str(path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return path


def _imports_keras(target: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, SAMPLE, target], check=True, capture_output=True, text=True
    )
    return done.stdout == "True\n"


def _expected() -> np.ndarray:
    rows = np.load(SAMPLE).astype(np.longdouble)
    quotients: np.ndarray = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return quotients.astype("f4")


def test_the_second_run_does_without_keras_and_writes_the_same(
    folder: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.npy", tmp_path / "second.npy"
    assert _imports_keras(first)
    assert {path.suffix for path in folder.iterdir()} == {".executable", ".stablehlo"}
    assert not _imports_keras(second)
    assert first.read_bytes() == second.read_bytes()
    np.testing.assert_allclose(np.load(second), _expected(), rtol=6e-8, atol=0)


def _damaged(whole: bytes, damage: str) -> bytes:
    middle = len(whole) // 2
    return {
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "foreign": b"somebody else's",
        "empty": b"",
    }[damage]


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty"])
def test_a_damaged_graph_is_not_read(folder: Path, damage: str) -> None:
    save_graph("key", b"content of a graph")
    assert load_graph("key") == b"content of a graph"
    (path,) = folder.iterdir()
    path.write_bytes(_damaged(path.read_bytes(), damage))
    assert load_graph("key") is None


def test_damaged_graphs_are_made_again_in_silence(folder: Path, tmp_path: Path) -> None:
    assert l2norm_anew("normalize", SAMPLE, "-o", tmp_path / "first.npy").code == 0
    graphs = {path: path.read_bytes() for path in folder.iterdir()}
    for path, whole in graphs.items():
        path.write_bytes(_damaged(whole, "flipped"))
    done = l2norm_anew("normalize", SAMPLE, "-o", tmp_path / "second.npy")
    assert (done.code, done.out, done.err.count("\n")) == (0, "", 1)
    assert (tmp_path / "first.npy").read_bytes() == (tmp_path / "second.npy").read_bytes()
    for path, whole in graphs.items():
        assert len(path.read_bytes()) == len(whole)
        assert load_graph(path.stem, path.suffix) is not None


def test_sound_files_that_cannot_be_read_are_made_again(folder: Path, tmp_path: Path) -> None:
    assert l2norm_anew("normalize", SAMPLE, "-o", tmp_path / "first.npy").code == 0
    for path in folder.iterdir():
        save_graph(path.stem, b"neither StableHLO nor an executable", path.suffix)
    done = l2norm_anew("normalize", SAMPLE, "-o", tmp_path / "second.npy")
    assert (done.code, done.out, done.err.count("\n")) == (0, "", 1)
    assert (tmp_path / "first.npy").read_bytes() == (tmp_path / "second.npy").read_bytes()


def test_a_folder_that_cannot_be_written_is_passed_over(folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file, where a folder is wanted")
    done = l2norm("normalize", SAMPLE, "-o", tmp_path / "unit.npy")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert folder.read_text() == "a file, where a folder is wanted"


def test_what_is_kept_comes_back_and_is_private(folder: Path) -> None:
    assert load_graph("key") is None
    save_graph("key", b"content")
    assert load_graph("key") == b"content"
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_graph_is_not_taken_for_another(folder: Path) -> None:
    save_graph("one", b"content")
    (path,) = folder.iterdir()
    path.rename(path.with_stem("other"))
    assert load_graph("other") is None


def test_a_graph_of_another_user_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_graph("key", b"content")
    another = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: another)
    assert load_graph("key") is None


def test_a_key_tells_all_that_a_graph_depends_on() -> None:
    spec = GraphSpec("normalize", (None, 50), "float32", "float32", (1,), 1e-12)
    others = [
        GraphSpec("scale", (None, 50), "float32", "float32", (1,), 1e-12),
        GraphSpec("normalize", (None, 51), "float32", "float32", (1,), 1e-12),
        GraphSpec("normalize", (None, 50), "float16", "float32", (1,), 1e-12),
        GraphSpec("normalize", (None, 50), "float32", "float16", (1,), 1e-12),
        GraphSpec("normalize", (None, 50), "float32", "float32", (0, 1), 1e-12),
        GraphSpec("normalize", (None, 50), "float32", "float32", (1,), 0.0),
    ]
    made = [make_key(spec, "cpu", ["jax"]) for spec in (spec, *others)]
    made += [make_key(spec, "cuda", ["jax"]), make_key(spec, "cpu", ["jax", "numpy"])]
    assert len(set(made)) == len(made)


SPEC = GraphSpec("normalize", (None, 50), "float32", "float32", (1,), 1e-12)


def _key(dim: int) -> str:
    return make_key(GraphSpec("normalize", (None, dim), "float32", "float32", (1,), 0.0), "cpu", [])


def _age(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_a_key_begins_with_the_versions(folder: Path) -> None:
    key = make_key(SPEC, "cpu", ["numpy"])
    assert key.startswith(f"numpy-{np.__version__}_keras-")
    of_executable = make_executable_key(SPEC, key, "a machine")
    assert of_executable.rpartition("_")[0] == key.rpartition("_")[0]
    assert of_executable != key
    save_graph(of_executable, b"content", ".executable")
    (graph,) = kept_graphs()
    assert graph.versions.startswith(f"numpy {np.__version__}, keras ")
    assert graph.num_bytes == graph.path.stat().st_size


def test_what_no_run_used_for_long_goes_when_a_graph_is_saved(folder: Path) -> None:
    old, used, new = map(_key, (1, 2, 3))
    save_graph(old, b"old")
    save_graph(used, b"used")
    for path in folder.iterdir():
        _age(path, MAX_AGE_DAYS + 1)
    assert load_graph(used) == b"used"
    save_graph(new, b"new")
    assert [load_graph(key) for key in (old, used, new)] == [None, b"used", b"new"]


def test_the_least_recently_used_go_where_there_is_too_much(folder: Path) -> None:
    names = [_key(dim) for dim in range(1, 6)]
    for days, key in enumerate(names):
        save_graph(key, bytes(MAX_BYTES // 4))
        _age(folder / f"{key}.stablehlo", 10 - days)
    save_graph(_key(6), b"new")
    assert [load_graph(key) is not None for key in names] == [False, False, True, True, True]
    assert sum(graph.num_bytes for graph in kept_graphs()) <= MAX_BYTES


def test_files_of_others_and_unfinished_ones_of_now_stay(folder: Path) -> None:
    folder.mkdir(parents=True)
    digest = "0" * 64
    names = ("model.stablehlo", f"my-model_v2_{digest}.stablehlo", f"other_{digest}.stablehlo")
    theirs = [folder / name for name in (*names, ".l2norm-graph-now")]
    abandoned = folder / ".l2norm-graph-old"
    for path in (*theirs, abandoned):
        path.write_text("theirs")
    for path in (*theirs[:-1], abandoned):
        _age(path, MAX_AGE_DAYS + 1)
    save_graph(_key(1), b"content")
    assert sorted(folder.iterdir()) == sorted([*theirs, folder / f"{_key(1)}.stablehlo"])


def _refuse_home(name: str) -> str:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("answer", [_refuse_home, lambda name: f"~/.cache/{name}"])
def test_nothing_is_kept_for_a_user_without_a_home(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.delenv("L2NORM_CACHE_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", answer)
    save_graph(_key(1), b"content")
    assert load_graph(_key(1)) is None
    assert kept_graphs() == []
    assert not cache_folder().is_dir()


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_may_write_is_not_run(folder: Path, mode: int) -> None:
    save_graph("key", b"content")
    (path,) = folder.iterdir()
    path.chmod(mode)
    assert load_graph("key") is None


def test_a_pipe_in_place_of_a_graph_is_not_waited_for(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / f"{_key(1)}.stablehlo", 0o600)
    assert load_graph(_key(1)) is None
    assert kept_graphs() == []


def test_nothing_is_kept_where_the_code_or_a_version_cannot_be_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_key(SPEC, "cpu", ["no-such-distribution"]) == ""
    monkeypatch.setattr(keys, "_GRAPH", folder / "archive.zip" / "graph")
    keys._digest_of_code.cache_clear()
    assert make_key(SPEC, "cpu", ["numpy"]) == ""
    keys._digest_of_code.cache_clear()
    assert make_executable_key(SPEC, "", "a machine") == ""
    assert make_executable_key(SPEC, "key", "") == ""
    save_graph("", b"content")
    assert load_graph("") is None
    assert not folder.exists()
