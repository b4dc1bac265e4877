"""Running ``l2norm`` as a user does: a process, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.prepared import Call, run_prepared

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLES = Path(__file__).parents[2] / "sample_data"
PROGRAM = [sys.executable, "-m", "l2cli"]


@dataclass(frozen=True)
class Done:
    """A process that ended."""

    code: int
    out: str
    err: str


def start(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
    """Start ``l2norm`` with ``arguments``."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def l2norm(
    *arguments: str | Path,
    cwd: Path | None = None,
    backend: str = "jax",
    streams: Mapping[int, str] | None = None,
) -> Done:
    """Run ``l2norm`` with ``arguments`` to its end, with its imports already made.

    ``backend`` is what Keras runs on, if it runs; ``streams`` are those that go to a file
    or, where its name is empty, are closed.
    """
    environ = {**os.environ, "COLUMNS": "80"}
    call = Call([*map(str, arguments)], str(cwd or Path.cwd()), environ, streams=streams or {})
    code, out, err = run_prepared(call, backend)
    return Done(code, out.decode(), err.decode())


def l2norm_piped(content: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run ``l2norm`` in the same way, with ``content`` as what comes through a pipe."""
    command = [*map(str, arguments)]
    call = Call(command, str(Path.cwd()), dict(os.environ), content)
    return subprocess.CompletedProcess(command, *run_prepared(call, "jax"))


def l2norm_anew(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> Done:
    """Run ``l2norm`` to its end as a shell does: nothing is imported, ``environ`` is set before."""
    process = start(*arguments, cwd=cwd, **environ)
    out, err = process.communicate(timeout=300)
    return Done(process.returncode, out, err)


def children(pid: int) -> list[int]:
    """Return the processes that process ``pid`` started and that live."""
    result = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            result.append(int(status.parent.name))
    return result
