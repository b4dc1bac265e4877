"""A process that tries mutants: ``python -m tests.fuzz.worker SEED FOLDER``.

It is told an index a line, says a line of JSON before each stage of it, and one with the
outcome. It may crash, hang or be killed for want of memory: whoever started it sees to that.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

from tests.fuzz.trial import Trial, folder_for, mutant

SECONDS = 20
"""Of processor time, for one mutant."""
_SPARE_BYTES = 2**31


def main(seed: int, parent: Path) -> None:
    """Try each mutant whose index comes in."""
    folder = folder_for(parent)
    tempfile.tempdir = str(folder)
    warnings.simplefilter("ignore")
    _warm(folder)
    _limit_memory()
    for line in sys.stdin:
        _limit_time()
        index = int(line)
        _send(stage="make")
        outcome, message = Trial(mutant(seed, index), folder, partial(_stage, index)).outcome()
        _send(outcome=outcome, message=message)


def _stage(index: int, name: str) -> None:
    _send(stage=name)


def _send(**words: str) -> None:
    print(json.dumps(words), flush=True)


def _warm(folder: Path) -> None:
    """Have the backend loaded, and the usual rows compiled, before memory and time count."""
    from tests.fuzz.seeds import seeds
    from tests.fuzz.trial import Mutant

    for seed in seeds()[:2]:
        Trial(Mutant(seed, seed.content, "file", "error"), folder, lambda name: None).outcome()


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
