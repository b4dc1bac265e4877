"""The suite itself: it does the same on every machine, and leaves the machine's own folders be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest


def test_the_suite_tries_the_same_examples_each_time() -> None:
    suite, explore = map(settings.get_profile, ("suite", "explore"))
    assert suite.derandomize
    assert suite.database is None
    assert not explore.derandomize
    assert explore.max_examples > suite.max_examples


def test_the_suite_has_folders_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    for folder in (tempfile.gettempdir(), os.environ["TMPDIR"]):
        assert Path(folder).is_relative_to(base)
    assert Path(os.environ["L2NORM_CACHE_DIR"]).parent in (base, base.parent)
