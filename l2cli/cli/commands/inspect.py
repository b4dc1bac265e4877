"""What is in a file or folder: ``l2norm inspect``.

It parses and prints; files and folders are looked into by :mod:`l2cli.io.inspection`, each in a
child process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from l2cli.cli.child import in_child
from l2cli.cli.errors import EXIT_FAILED, Command, error_text, with_flags_in_json
from l2cli.cli.options import PATH, Output, debug_option, json_option, made, option_of
from l2cli.cli.tables import inspection_lines
from l2cli.cli.terminal import print_json, say
from l2cli.errors import L2NormError
from l2cli.options import NormalizeOptions, OpenOptions

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.io.inspection import Inspection, StoreInspection


@click.command(cls=Command, short_help="What is in a file or folder, what would be taken, and why.")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=PATH)
@option_of(NormalizeOptions, "allow_external", "Look into other files that HDF5 points to.")
@json_option
@debug_option
def command(sources: tuple[Path, ...], **parameters: Any) -> int:
    """List the arrays in each SOURCE, and say which ones 'l2norm normalize' takes.

    Of a folder, files that are named alike but for their numbers are listed together, by the
    first of them. No numbers are read and no backend is loaded. --json prints one object a
    source.
    """
    options, output = made(OpenOptions, parameters), made(Output, parameters)
    code = 0
    for index, source in enumerate(sources):
        try:
            inspection = _inspect(source, options, output)
        except L2NormError as exc:
            if len(sources) == 1:
                raise
            message = error_text(str(exc))
            say(f"l2norm: {message}")
            if output.as_json:
                print_json({"source": str(source), "error": message})
            code = EXIT_FAILED
            continue
        if output.as_json:
            print_json(with_flags_in_json(inspection.as_dict()))
        else:
            click.echo(("\n" if index else "") + "\n".join(inspection_lines(inspection)))
    return code


def _inspect(source: Path, options: OpenOptions, output: Output) -> Inspection | StoreInspection:
    from l2cli.filesystem.streams import is_stream
    from l2cli.formats.registry import detect
    from l2cli.io.inspection import inspect_file, inspect_folder

    is_folder = os.path.isdir(source)

    def work() -> Inspection | StoreInspection:
        inspect = inspect_folder if is_folder else inspect_file
        return inspect(source, options)

    if not (is_folder or is_stream(source)):
        detect(source)
    return in_child(work, str(source), output, repeatable=False)
