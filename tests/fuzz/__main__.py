"""Try mutants and print what became of them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.runner import Table, try_mutants
from tests.fuzz.trial import mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


_FOLDER = Path(tempfile.gettempdir(), "mutants")


def main() -> int:
    """Parse, try, print."""
    arguments = _arguments()
    if arguments.mutant is None:
        indices = _indices(arguments.seed, arguments.count, arguments.only)
    else:
        indices = iter([arguments.mutant])
    table, started = Table(), time.monotonic()
    for outcome in try_mutants(arguments.seed, indices, jobs=arguments.jobs):
        table.outcomes.append(outcome)
        if not outcome.is_good or arguments.mutant is not None:
            tested = mutant(arguments.seed, outcome.index)
            arguments.folder.mkdir(parents=True, exist_ok=True)
            path = arguments.folder / f"{arguments.seed}-{outcome.index}{tested.seed.suffix}"
            path.write_bytes(tested.content)
            print(f"{outcome.outcome}: {outcome.message}")
            print(f"    {path}: {outcome.seed_name}, {tested.way}, --nonfinite {tested.nonfinite}")
    rate = len(table.outcomes) / (time.monotonic() - started)
    print(f"\nseed {arguments.seed}, {rate:.0f} mutants a second\n{table}")
    return 1 if table.offending else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="how many mutants")
    parser.add_argument("--only", default="", help="of this format alone, such as HDF5")
    parser.add_argument("--mutant", type=int, help="this one alone; it is kept whatever it is")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where to keep them")
    return parser.parse_args()


def _indices(seed: int, count: int, only: str) -> Iterator[int]:
    index = 0
    while count:
        if only.lower() in ("", mutant(seed, index).format.lower()):
            yield index
            count -= 1
        index += 1


if __name__ == "__main__":
    sys.exit(main())
