"""What is said of a source that the system fails to read."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.errors import SourceError
from l2cli.normalization.file import normalize_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_disk_that_fails_is_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """The destination is open when it happens, and must not be blamed."""
    source = tmp_path / "x.npy"
    np.save(source, np.ones((200, 4), "f4"))

    def fail(*arguments: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("l2cli.filesystem.byte_ranges.os.preadv", fail)
    with pytest.raises(SourceError, match=r"x\.npy can't be read: Input/output error$"):
        normalize_file(source, tmp_path / f"y.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
