"""Every public name is documented as NumPy documents: completely, and with examples that run."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import l2cli

if TYPE_CHECKING:
    from pathlib import Path

_ENTRY = re.compile(r"^([\w*, ]+?)(?: : (.+))?$")


def _sections(name: str) -> dict[str, list[str]]:
    """Return the lines of each section of a docstring, by its underlined title."""
    lines = (inspect.getdoc(getattr(l2cli, name)) or "").splitlines()
    titles = [
        index
        for index in range(len(lines) - 1)
        if lines[index] and re.fullmatch(r"-{3,}", lines[index + 1])
    ]
    stops = [*titles, len(lines)][1:]
    return {lines[i]: lines[i + 2 : stop] for i, stop in zip(titles, stops, strict=True)}


def _parameters(name: str) -> dict[str, str]:
    """Return the type of each parameter that a docstring has."""
    sections = _sections(name)
    entries = [
        match
        for line in sections.get("Parameters", sections.get("Attributes", []))
        if line and not line.startswith(" ") and (match := _ENTRY.match(line))
    ]
    return {
        entry.strip().lstrip("*"): match[2] or ""
        for match in entries
        for entry in match[1].split(",")
    }


def _signature(name: str) -> list[str]:
    public: Any = getattr(l2cli, name)
    if isinstance(public, type) and issubclass(public, Exception):
        return []
    return list(inspect.signature(public).parameters)


@pytest.mark.parametrize("name", l2cli.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    sections, parameters, public = _sections(name), _parameters(name), getattr(l2cli, name)
    assert set(parameters) == set(_signature(name))
    assert all(parameters.values()), parameters
    assert isinstance(public, type) or "Returns" in sections
    assert any(line.startswith(">>> ") for line in sections.get("Examples", []))


_RUN = """
import doctest, sys
import l2cli
failed = 0
for name in l2cli.__all__:
    for test in doctest.DocTestFinder(recurse=False).find(getattr(l2cli, name), name, globs={}):
        failed += doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed
sys.exit(failed)
"""


def test_the_examples_run(tmp_path: Path) -> None:
    environ = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
