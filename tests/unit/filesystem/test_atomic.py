"""A destination appears whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from l2cli.errors import DestinationError
from l2cli.filesystem.atomic import replacing, temporary_file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("source")
    path.chmod(0o640)
    return path


def test_a_new_destination_is_whole_and_has_the_sources_mode(source: Path) -> None:
    destination = source.with_name("new")
    with replacing(destination, like=source, overwrite=False) as sibling:
        assert sibling.parent == destination.parent
        assert not destination.exists()
        sibling.write_text("new")
    assert destination.read_text() == "new"
    assert stat.S_IMODE(destination.stat().st_mode) == 0o640
    assert sorted(p.name for p in source.parent.iterdir()) == ["new", "source"]


def test_a_destination_that_is_replaced_keeps_its_mode(source: Path) -> None:
    destination = source.with_name("old")
    destination.write_text("old")
    destination.chmod(0o604)
    with replacing(destination, like=source, overwrite=True) as sibling:
        sibling.write_text("new")
    assert destination.read_text() == "new"
    assert stat.S_IMODE(destination.stat().st_mode) == 0o604


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_error(source: Path, error: type[BaseException]) -> None:
    destination = source.with_name("old")
    destination.write_text("old")

    def fail() -> None:
        with replacing(destination, like=source, overwrite=True) as sibling:
            sibling.write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fail()
    assert destination.read_text() == "old"
    assert sorted(p.name for p in source.parent.iterdir()) == ["old", "source"]


def test_a_symbolic_link_is_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(target)
    with replacing(link, like=source, overwrite=True) as sibling:
        assert sibling.parent == target.parent
        sibling.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_what_can_not_be_written_is_said_first(source: Path, tmp_path: Path) -> None:
    def attempt(destination: Path, *, overwrite: bool = False) -> None:
        with replacing(destination, like=source, overwrite=overwrite):
            pytest.fail("the block ran")

    with pytest.raises(DestinationError, match="exists; replace it with `overwrite=True`"):
        attempt(source)
    with pytest.raises(DestinationError, match="is a folder"):
        attempt(tmp_path, overwrite=True)
    with pytest.raises(DestinationError, match="there is no folder"):
        attempt(tmp_path / "no" / "such")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DestinationError, match="not a regular file"):
        attempt(tmp_path / "fifo", overwrite=True)


def test_a_destination_that_appears_meanwhile_is_not_overwritten(source: Path) -> None:
    destination = source.with_name("new")

    def race() -> None:
        with replacing(destination, like=source, overwrite=False) as sibling:
            sibling.write_text("ours")
            destination.write_text("theirs")

    with pytest.raises(DestinationError, match="exists"):
        race()
    assert destination.read_text() == "theirs"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system keeps temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("named", [False, True])
def test_a_temporary_file_is_gone_after(folder: Path, named: bool) -> None:
    with temporary_file(named=named) as path:
        path.write_text("whole")
        assert path.read_text() == "whole"
        assert len(list(folder.iterdir())) == (named or not Path("/proc/self/fd").is_dir())
    assert not list(folder.iterdir())
