"""There is no room left: what is said of it, and where a store stops."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from l2cli.errors import DestinationError, is_disk_full
from l2cli.graph.export import export_model
from tests.support.commands import PROGRAM, Done, l2norm, l2norm_anew

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks what is written")

SMALL_DISK = """
import errno, os

def _has_no_room(folder):
    return sum(name[0] != "." for name in os.listdir(folder)) >= {room}

def fsync(descriptor, fsync=os.fsync):
    path = os.readlink(f"/proc/self/fd/{{descriptor}}")
    if path.endswith(".tmp") and _has_no_room(os.path.dirname(path)):
        raise OSError({errno}, os.strerror({errno}))
    fsync(descriptor)

os.fsync = fsync
"""
"""Python code that makes a disk with room for so many files in a folder."""

FULL_MANIFEST = """
import errno, os

def write(descriptor, content, write=os.write):
    if b'"shard"' in content:
        content = content[:10]
    return write(descriptor, content)

os.write = write
"""
"""Python code that makes a disk with room for a header, and ten bytes of a line, in a manifest."""

NO_FOLDERS = """
import errno, os

def mkdir(path, *mode, mkdir=os.mkdir):
    if path.endswith("/sub"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    mkdir(path, *mode)

os.mkdir = mkdir
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    for name in range(6):
        np.save(path / f"{name}.npy", np.full((4, 3), name + 1, "f4"))
    return path


def _with(code: str, folder: Path, *arguments: str | Path) -> Done:
    """Run ``l2norm`` after ``code``, in all of its processes."""
    python = folder / "python"
    python.mkdir(exist_ok=True)
    (python / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(python), os.environ.get("PYTHONPATH", "")])
    return l2norm_anew(*arguments, cwd=folder, PYTHONPATH=path)


def _small_disk(room: int, number: int = errno.ENOSPC) -> str:
    return SMALL_DISK.format(room=room, errno=number)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _check_goes_on(folder: Path) -> None:
    done = l2norm("normalize", "store", cwd=folder)
    assert (done.code, "failed" in done.err) == (0, False)
    for number in range(6):
        rows = np.load(folder / "store.normalized" / f"{number}.npy")
        np.testing.assert_allclose(rows, np.full((4, 3), 3**-0.5), rtol=1e-6)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_store_stops_at_the_first_shard_that_finds_no_room(store: Path, number: int) -> None:
    folder = store.parent
    done = _with(_small_disk(2, number), folder, "normalize", "store", "--no-progress")
    error, summary, note = done.err.splitlines()
    assert error == (
        f"l2norm: store.normalized/2.npy can't be written: {os.strerror(number)}; "
        "nothing of it was left"
    )
    assert ": 2 done, 1 failed; 8 rows; " in summary
    assert note == (
        "note: stopped, because there is no room left to write in, with 3 files to go; make room, "
        "and run the same again to go on from here"
    )
    assert done.code == 3
    assert _files(folder / "store.normalized") == [".l2norm.jsonl", "0.npy", "1.npy"]
    _check_goes_on(folder)


def test_workers_stop_too_and_programs_are_told(store: Path) -> None:
    done = _with(_small_disk(2), store.parent, "normalize", "store", "-j", "2", "--json")
    *shards, last = map(json.loads, done.out.splitlines())
    assert [shard["status"] for shard in shards].count("failed") == 1
    assert (last["summary"]["disk_full"], done.code) == (True, 3)
    assert "make room" in last["summary"]["notes"][-1]
    assert not [name for name in _files(store.with_name("store.normalized")) if ".tmp" in name]


def test_a_disk_that_was_full_from_the_start(store: Path) -> None:
    done = _with(_small_disk(0), store.parent, "normalize", "store", "-q")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "0.npy can't be written: No space left on device" in done.err


def test_a_copy_that_finds_no_room_stops_a_store(store: Path) -> None:
    for number in range(6):
        (store / f"{number}.txt").write_text("words")
    done = _with(_small_disk(3), store.parent, "normalize", "store", "--no-progress")
    assert done.code == 3
    assert done.err.count("l2norm: ") == 1
    assert "1.txt can't be copied to " in done.err
    assert ": No space left on device\n" in done.err


def test_a_manifest_that_finds_no_room_stops_a_store(store: Path) -> None:
    done = _with(FULL_MANIFEST, store.parent, "normalize", "store", "--no-progress")
    assert done.code == 3
    assert "0.npy can't be noted as done: No space left on device" in done.err
    assert done.err.count("l2norm: ") == 1
    _check_goes_on(store.parent)


def test_a_source_is_not_replaced_where_that_can_not_be_noted(store: Path) -> None:
    """It would be normalized a second time."""
    before = (store / "0.npy").read_bytes()
    done = _with(FULL_MANIFEST, store.parent, "normalize", "store", "--in-place")
    assert done.code == 3
    assert "0.npy can't be replaced: No space left on device" in done.err
    assert (store / "0.npy").read_bytes() == before


def test_a_folder_that_finds_no_room_stops_a_store(store: Path) -> None:
    (store / "sub").mkdir()
    (store / "0.npy").rename(store / "sub" / "0.npy")
    done = _with(NO_FOLDERS, store.parent, "normalize", "store")
    assert done.code == 3
    assert done.err == "l2norm: store.normalized/sub can't be made: No space left on device\n"


def test_a_file_that_is_too_large_fails_alone(store: Path) -> None:
    """That is a limit of each file: others may fit."""
    np.save(store / "1.npy", np.ones((2000, 30), "f4"))
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", *PROGRAM, "normalize", "store"],
        cwd=store.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "1.npy can't be written: File too large" in done.stderr
    assert "5 done, 1 failed" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "x.npy", "--report", "z.html"],
        ["check", "x.npy", "--plot", "z.svg"],
        ["export", "z.stablehlo", "--dim", "3"],
        ["normalize", "x.npy", "-o", "z.npy"],
        ["normalize", "x.npy", "--norms", "z.npy"],
    ],
    ids=" ".join,
)
def test_what_finds_no_room_is_named(tmp_path: Path, arguments: list[str]) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 3), "f4"))
    name = next(word for word in arguments if word.startswith("z."))
    done = _with(_small_disk(0), tmp_path, *arguments)
    assert done.err == (
        f"l2norm: {name} can't be written: No space left on device; nothing of it was left\n"
    )
    assert done.code == 3
    assert _files(tmp_path) == ["python", "x.npy"]


def test_the_errors_of_tensorflow_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ResourceExhaustedError(Exception):
        __module__ = "tensorflow.python.framework.errors_impl"

    class Model:
        def export(self, path: str, **options: Any) -> NoReturn:
            raise ResourceExhaustedError(
                f"{{{{node SaveV2}}}} {path}/variables; No space left on device [Op:SaveV2]"
            )

    for name in ("load_backend", "import_keras"):
        monkeypatch.setattr(
            f"l2cli.graph.export.{name}", lambda *_: type("Backend", (), {"name": ""})
        )
    monkeypatch.setattr("l2cli.graph.forms.saved_model.SavedModel.build", lambda *_: Model())
    with pytest.raises(
        DestinationError, match="model can't be written: No space left on device; nothing of it"
    ):
        export_model(tmp_path / "model", (3,))
    assert not _files(tmp_path)


def test_what_counts_as_a_full_disk() -> None:
    def caused(error: Exception) -> Exception:
        outer = DestinationError("x.npy can't be written")
        outer.__cause__ = error
        return outer

    assert is_disk_full(OSError(errno.ENOSPC, "no room"))
    assert is_disk_full(caused(caused(OSError(errno.EDQUOT, "quota"))))
    for another in (None, ValueError(), OSError(errno.EFBIG, ""), caused(PermissionError(13, ""))):
        assert not is_disk_full(another)
