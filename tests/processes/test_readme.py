"""The README's library section, run as written, and its lists of formats."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import l2cli
from l2cli.formats.registry import NAMES, by_name, titles
from tests.support.commands import SAMPLES, l2norm
from tests.support.reference import true_quotient

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SECTION = README.partition("## Library\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = re.findall(r"^l2norm .*$", SECTION, re.MULTILINE)

_USES = """
import keras, jax, tensorflow as tf
content = open("unit.stablehlo", "rb").read()
rows = np.load("sample_data/glove-50d.npy")
for use in {uses}:
    assert np.asarray(eval(use)(rows)).tobytes() == np.load("unit.npy").tobytes(), use
"""


def test_each_form_takes_five_lines() -> None:
    assert len(BLOCKS) == 6
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sample_data").symlink_to(SAMPLES)
    return tmp_path


@pytest.mark.parametrize("backends", [("jax", "tensorflow")], ids="-".join)
def test_the_library_section_runs_as_written(folder: Path, backends: tuple[str, str]) -> None:
    for command in COMMANDS:
        backend = backends["stablehlo" not in command]
        assert l2norm(*command.split()[1:], cwd=folder, backend=backend).code == 0
    uses = re.findall(r"\| `([^`]*)` \|$", SECTION, re.MULTILINE)
    assert len(uses) == len(COMMANDS) == 3
    blocks = [*BLOCKS, "import numpy as np\n" + _USES.format(uses=uses)]
    # Each block in a namespace of its own, but all in one process: it takes seconds to start.
    script = "\n".join(f"exec({block!r}, {{}})" for block in blocks)
    environ = {**os.environ, "KERAS_BACKEND": backends[1]}
    subprocess.run([sys.executable, "-c", script], cwd=folder, env=environ, check=True)
    rows = np.load(SAMPLES / "glove-50d.npy")
    np.testing.assert_array_equal(np.load(folder / "unit.npy"), true_quotient(rows).astype("f4"))


def test_lists_of_formats_are_those_of_the_registry() -> None:
    *names, last = (f"`{name}`" for name in NAMES)
    assert f"\n| `--from`, `--to` | {', '.join(names)} or {last}, " in README
    *names, last = (f"``{name}``" for name in NAMES)
    assert f"{', '.join(names)} or {last}" in (l2cli.FileOptions.__doc__ or "")
    suffixes = titles("and").replace("np", ".np")
    assert f" {suffixes}, " in (ROOT / "pyproject.toml").read_text()
    assert f"\nReads {suffixes} IPC of any size" in README.replace("`", "")
    untouched = README.partition("**The file.**")[2].partition("**Memory.**")[0]
    kept = {line.split()[0].strip(":") for line in untouched.split("\n- ")[1:]}
    assert kept == {by_name(name).title for name in NAMES}
