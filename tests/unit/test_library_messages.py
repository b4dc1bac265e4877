"""The library speaks of parameters and functions: no text of it tells anybody what to type."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

import l2cli
from l2cli.cli import cli

PACKAGE = Path(l2cli.__file__).parent
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "cli" not in path.parents]

_OPTION = re.compile(r"(?<![\w-])--[a-z]|(?<!\S)-[so] ")
_COMMAND = re.compile(rf"\bl2norm ({'|'.join(cli.list_commands(click.Context(cli)))})\b")
_PROGRAMS = re.compile(r"\bh5repack\b|\bh5clear\b|\| l2norm normalize -o|^[^\s]*:root\{--")
"""Texts with what to type for another program, or for a pipe, and style sheets."""


def _texts(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the texts of a module, but for docstrings, with their lines."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    docstrings |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_text_names_an_option_or_a_command(path: Path) -> None:
    texts = _texts(ast.parse(path.read_text()))
    named = [
        f"{line}: {text}"
        for line, text in texts
        if (_OPTION.search(text) or _COMMAND.search(text))
        and not _PROGRAMS.search(text)
        and "{--" not in text
    ]
    assert not named, "\n".join(named)
