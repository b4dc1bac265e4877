"""Identifiers use the field's words, and none of the private ones that they replaced."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDERS = ("l2cli", "tests", "benchmarks")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

WORDS = {
    "wish": "option",
    "wishes": "options",
    "kind": "format, dtype, page_type, link_type: whichever it is",
    "kinds": "formats, dtypes, page_types, link_types: whichever it is",
    "fresh": "new, create",
    "carry": "context",
    "inlet": "buffered stream",
    "settle": "write to a temporary file",
    "spooled": "in a temporary file",
    "leftovers": "dropped",
    "mend": "renormalize",
    "mender": "fallback",
    "mended": "renormalized",
    "judge": "classify",
    "extreme": "out of range",
    "trusted": "in range",
    "tally": "statistics",
    "figures": "summary",
    "offender": "non-unit row",
    "offenders": "non-unit rows",
    "turned": "angle",
    "annexes": "column index, offset index, Bloom filter",
    "corner": "chunk offset",
    "box": "hyperslab",
    "picture": "histogram",
    "span": "range",
    "tell": "result, fill in",
    "say": "message",
}
"""What no identifier may contain, and what to say in its place."""

PHRASES = {"take_away": "unlink", "point_at": "relink"}
BARE = {"own", "other", "each", "found", "held", "them"}
"""What says nothing where it is all of a name; the noun does."""

BARE_DEFINITIONS = {"run", "check", "process", "handle", "data", "utils", "manager"}
"""What says nothing where it is all of the name of a module, class or function."""

LEGITIMATE = {
    ("kind", "attribute"): "NumPy's dtype.kind, and click's",
    ("kind", "keyword"): "numpy.sort(kind=...)",
    ("memory_kind", "variable"): "an attribute of jaxlib's shardings",
    ("tell", "attribute"): "file.tell()",
    ("say", "function"): "of cli/terminal.py, by which the command prints a line",
    ("check", "function"): "the public l2cli.check",
    ("check", "module"): "the command and the module of that function",
    ("run", "function"): "l2cli.cli.run(argv), and the one method of a runner",
    ("run", "module"): "the run of a store",
}
"""Of a name and where it stands, the reason why it may."""


def words_of(identifier: str) -> list[str]:
    """Split an identifier at underscores and capitals, in small letters."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)
    return [part.lower() for part in parts]


def identifiers(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yield each name that a module binds or uses, where it stands, and its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, "class" if isinstance(node, ast.ClassDef) else "function", line
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, "variable", line
        elif isinstance(node, ast.arg):
            yield node.arg, "parameter", line
        elif isinstance(node, ast.Attribute):
            yield node.attr, "attribute", line
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, "keyword", node.value.lineno


def faults(path: Path) -> Iterator[str]:
    """Yield a line for each name in a module that ought to be another."""
    module = path.relative_to(ROOT).as_posix()
    names = [(path.stem, "module", 1), *identifiers(ast.parse(path.read_text()))]
    for name, position, line in names:
        instead = _instead(name, position, module)
        if instead and (name, position) not in LEGITIMATE:
            yield f"{module}:{line}: {position} {name}: {instead}"


def _instead(name: str, position: str, module: str) -> str:
    """Return what to say in place of ``name``; nothing where it may stay."""
    if position in ("variable", "parameter") and name in BARE:
        return "the noun"
    if position in ("module", "class", "function") and name.lower() in BARE_DEFINITIONS:
        return "what it does, or is"
    if phrase := next((phrase for phrase in PHRASES if phrase in name), ""):
        return PHRASES[phrase]
    words = words_of(name)
    if "style" in words and "formats/parquet/" in module:
        return "writer properties"
    if "extent" in words and "hdf5" in module and position != "attribute":
        return "contiguous range; an extent is HDF5's dimensions"
    return next((WORDS[word] for word in words if word in WORDS), "")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_identifiers_use_the_words_of_the_field(path: Path) -> None:
    assert list(faults(path)) == []


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("_page_kind", ["page", "kind"]),
        ("FreshWriter", ["fresh", "writer"]),
        ("HDF5Reader", ["hdf", "5", "reader"]),
        ("KINDS", ["kinds"]),
    ],
)
def test_an_identifier_is_split_at_underscores_and_capitals(
    identifier: str, words: list[str]
) -> None:
    assert words_of(identifier) == words


def test_a_private_word_is_found_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.test_words.ROOT", tmp_path)
    (tmp_path / "x.py").write_text("a = 1\nfound, page_kind = a, b.kind\n")
    assert sorted(fault.partition(":")[2] for fault in faults(tmp_path / "x.py")) == [
        "2: variable found: the noun",
        f"2: variable page_kind: {WORDS['kind']}",
    ]
