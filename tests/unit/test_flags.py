"""What a message of the library names becomes what to type, in the command alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from l2cli.cli import cli, run
from l2cli.cli.errors import error_text, with_flags, with_flags_in_json
from l2cli.errors import message_of
from l2cli.runtime.child import crash_message

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["normalize", "check"])
def command(request: pytest.FixtureRequest) -> Iterator[str]:
    """Be inside a command that was parsed."""
    name: str = request.param
    with cli.make_context("l2norm", [name]) as root:
        subcommand = cli.get_command(root, name)
        assert subcommand is not None
        with click.Context(subcommand, parent=root, info_name=name):
            yield name


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("it exists; `overwrite=True` replaces it", "it exists; --overwrite replaces it"),
        (
            "a `dtype`, such as `dtype='float32'`",
            "a --dtype, such as --dtype float32",
        ),
        ("`truncate_dim` is 0", "--truncate-dim is 0"),
        ("`select='emb'`, or `select='*'` for all", "-s emb, or -s '*' for all"),
        ("`select=['a b', 'c']`", "-s 'a b' -s c"),
        ('`select="a\'b`c"`', "-s 'a'\"'\"'b`c'"),
        ("`axis=0` or `axis=(0, 1)`", "--axis 0 or --axis 0,1"),
        ("`select='ids', dtype='float32'` does", "-s ids --dtype float32 does"),
        ("`destination='FILE.npy'`", "-o FILE.npy"),
        ("`source_format='npy'`", "--from npy"),
        ("`destination_format='npy'`", "--to npy"),
        ("`norms='FILE.npy'`", "--norms FILE.npy"),
        ("`progress=False`", "--no-progress"),
        ("`sources` are two", "SOURCE are two"),
        ("`epsilon=0`, `epsilon=1e-06`", "--epsilon 0, --epsilon 1e-06"),
        ("see `inspect_file`", "see l2norm inspect"),
        ("`normalize_store` or `check`", "l2norm normalize or l2norm check"),
        ("`build_model` and `inspect`", "`build_model` and `inspect`"),
        ("type `h5repack -v OLD NEW`", "type `h5repack -v OLD NEW`"),
        ("`colour=1` and `overwrite=x` and `in`", "`colour=1` and `overwrite=x` and `in`"),
        ("it's `", "it's `"),
    ],
)
@pytest.mark.usefixtures("command")
def test_a_parameter_becomes_an_option_and_a_function_a_command(
    message: str, expected: str
) -> None:
    assert with_flags(message) == expected


def test_each_command_uses_its_own_options_first(command: str) -> None:
    assert with_flags("`zero_rows='allow'`") == "--zero-rows allow"
    expected = {"normalize": "`tolerance`", "check": "--tolerance"}[command]
    assert with_flags("`tolerance`") == expected


def test_without_a_command_a_message_stays() -> None:
    message = "`overwrite=True`, or see `inspect_file`"
    assert with_flags(message) == message


@pytest.mark.usefixtures("command")
def test_names_in_json_stay() -> None:
    record = {"name": "`axis`", "notes": ["`axis`"], "arrays": [{"reason": "`axis`", "dim": 3}]}
    assert with_flags_in_json(record) == {
        "name": "`axis`",
        "notes": ["--axis"],
        "arrays": [{"reason": "--axis", "dim": 3}],
    }


@pytest.mark.parametrize(
    ("message", "hidden"),
    [
        (message_of(KeyError("x")), "where"),
        (crash_message("x.npy", 3), "what it said"),
        (crash_message("x.npy", -11), "what the library said"),
    ],
)
def test_the_command_says_what_debug_shows(message: str, hidden: str) -> None:
    assert "--debug" not in message
    assert error_text(message) == f"{message}; --debug shows {hidden}"


@pytest.mark.filterwarnings("ignore:os.fork")  # Another test may have loaded JAX here.
def test_errors_are_lines_and_codes_in_process_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["normalize", "no.npy", "--json"]) == 3
    out, err = capsys.readouterr()
    assert err == "l2norm: no.npy can't be read: No such file or directory\n"
    assert out == '{"error": "no.npy can\'t be read: No such file or directory"}\n'
    assert run(["normalize", "--json", "--zzz"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "l2norm: No such option '--zzz'; see l2norm normalize --help\n")
    assert run(["check", "no.npy", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err
    assert run(["--version"]) == 0
