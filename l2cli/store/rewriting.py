"""Files that describe the shards of a folder, and are written anew when those are done.

A shard task of the action ``rewrite`` comes here, after all shards that the file describes. It
knows how such files look, and nothing of manifests and plans.
"""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from typing import TYPE_CHECKING, Any

from l2cli.errors import FormatError, SourceError
from l2cli.formats.registry import by_suffix, detect, open_reader
from l2cli.formats.summaries import described_files, rewrite_summary, summary_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions

NAMES = ("_metadata", "_common_metadata", "state.json", "dataset_info.json")
"""What such files are called."""


def is_rewritable(path: Path) -> bool:
    """Whether the file is one that :func:`rewrite` knows, by its name and what is in it."""
    try:
        if path.name in ("_metadata", "_common_metadata"):
            return summary_format(path) is not None
        if path.name == "state.json":
            return isinstance(_read_json(path).get("_data_files"), list)
        return path.name == "dataset_info.json" and isinstance(
            _read_json(path).get("features"), dict
        )
    except (OSError, FormatError):
        return False


def rewrite(source: Path, target: Path, folder: Path, options: NormalizeOptions) -> None:
    """Write a file anew that describes the shards of a folder.

    Parameters
    ----------
    source : Path
        The file as it was.
    target : Path
        Where to write.
    folder : Path
        Where the shards are that it describes now.
    options : NormalizeOptions
        What they were normalized with.

    Raises
    ------
    SourceError
        Where a shard isn't there, or isn't as the file describes it.
    """
    if source.name == "dataset_info.json":
        _rewrite_info(source, target, folder, options)
    elif source.name == "state.json":
        _rewrite_state(source, target, folder, options)
    else:
        _rewrite_summary(source, target, folder)


def described(source: Path) -> list[str]:
    """Return the paths of the shards that a file describes by name, from its own folder."""
    if source.name == "_metadata":
        file_format = summary_format(source)
        return described_files(source, file_format) if file_format else []
    if source.name == "state.json":
        files = _read_json(source)["_data_files"]
        return [str(file.get("filename")) for file in files if isinstance(file, dict)]
    return []


def _rewrite_summary(source: Path, target: Path, folder: Path) -> None:
    file_format = summary_format(source)
    if file_format is None:
        raise FormatError(f"{source} is no summary of files")
    names = _existing(source, folder)
    is_described = functools.partial(operator.is_, file_format)
    files = [folder / name for name in names] if names else _shards(folder, is_described)
    rewrite_summary(source, target, file_format, files)


def _rewrite_info(source: Path, target: Path, folder: Path, options: NormalizeOptions) -> None:
    # Known only where it is needed: it loads pyarrow.
    from l2cli.formats.tabular.datasets import with_types

    state = source.with_name("state.json")
    files = _shards(folder, lambda file_format: file_format.is_table)
    if is_rewritable(state):  # Caches of Hugging Face may lie beside the files that it names.
        files = [folder / name for name in _existing(state, folder)]
    schemas = {path: _schema(path, options) for path in files}
    _write_json(source, target, with_types(_read_json(source), schemas))


def _rewrite_state(source: Path, target: Path, folder: Path, options: NormalizeOptions) -> None:
    """Give a data set another fingerprint: caches of the old one must not be taken for its own."""
    _existing(source, folder)
    state = _read_json(source)
    text = json.dumps([state.get("_fingerprint"), options.affecting_bytes()], sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    _write_json(source, target, {**state, "_fingerprint": fingerprint})


def _existing(source: Path, folder: Path) -> list[str]:
    """Return the files that a file describes by name, all of which must be in ``folder``."""
    names = described(source)
    for name in names:
        if not (folder / name).is_file():
            raise SourceError(f"{source} describes {name}, which isn't in {folder}")
    return names


def _schema(path: Path, options: NormalizeOptions) -> Any:
    """Return the Arrow schema of a table."""
    from l2cli.formats.tabular.table import TableReader

    with open_reader(path, detect(path), options.opening) as reader:
        if not isinstance(reader, TableReader):
            raise FormatError(f"{path} is no table")
        return reader.table().schema


def _shards(folder: Path, is_described: Callable[[Format], bool]) -> list[Path]:
    """Return the files of some formats in a folder and below it."""
    paths = []
    for path in sorted(folder.rglob("*")):
        file_format = by_suffix(path)
        if file_format is not None and is_described(file_format) and path.is_file():
            paths.append(path)
    return paths


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise FormatError(f"{path} is no JSON: {exc}") from exc
    if not isinstance(record, dict):
        raise FormatError(f"{path} is no JSON object")
    return record


def _write_json(source: Path, target: Path, record: dict[str, Any]) -> None:
    """Write JSON, set as it is in ``source``."""
    text = source.read_text("utf-8")
    lines = text.splitlines()
    indent = len(lines[1]) - len(lines[1].lstrip()) if len(lines) > 1 else None
    written = json.dumps(record, indent=indent, ensure_ascii=text.isascii())
    target.write_text(written + ("\n" if text.endswith("\n") else ""), "utf-8")
