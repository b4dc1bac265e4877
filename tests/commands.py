"""Running ``l2norm`` as a user does: a process, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "sample_data"
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


def l2norm(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> Done:
    """Run ``l2norm`` with ``arguments`` to its end."""
    process = start(*arguments, cwd=cwd, **environ)
    out, err = process.communicate(timeout=300)
    return Done(process.returncode, out, err)
