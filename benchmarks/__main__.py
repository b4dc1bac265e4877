"""Print the table of speeds: ``python -m benchmarks FOLDER [--runs N] [WORD...]``.

Makes files of 614 MB in FOLDER, one after the other, and times whole commands in turn with a
peer. FOLDER wants 5 GB; in ``/dev/shm`` nothing waits for a disk. A WORD chooses the rows that
contain it. Peers that aren't installed are left out: ``scikit-learn``, ``faiss-cpu``, ``polars``,
``duckdb``, and ``h5repack`` of the HDF5 tools.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import tempfile
from dataclasses import dataclass, replace
from multiprocessing import Process
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import files, peers
from benchmarks.timing import CHECK, L2NORM, PIPE, Command, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Path, int], None]
    Pair = tuple[Command, Command]

NUM_ROWS, SMALL_ROWS = 200_000, 10
MARGINAL, WHOLE = "marginal", "whole command"


@dataclass(frozen=True)
class Comparison:
    """Our command against a peer's.

    Attributes
    ----------
    title, peer_title
        What is compared, for people.
    measure
        Whether the whole commands count, or what the bytes cost alone.
    prepare
        Makes the files in a folder, and returns our command and the peer's.
    needs
        What must be installed for the peer: a module of Python or a program.
    scale
        How many times the peer's work ours does.
    """

    title: str
    peer_title: str
    measure: str
    prepare: Callable[[Path], Pair]
    needs: str = ""
    scale: int = 1

    @property
    def label(self) -> str:
        """The first cells of the table's row."""
        return f"{self.title} | {self.peer_title} | {self.measure}"

    def row(self, parent: Path, num_runs: int) -> str:
        """Make the files, run both, and return a row of the table."""
        with tempfile.TemporaryDirectory(dir=parent) as name:
            ours, peer = self.prepare(Path(name))
            ratio = compare(ours, peer, Path(name), num_runs)
        ratio = replace(ratio, ratios=[one / self.scale for one in ratio.ratios])
        return f"| {self.label} | {ratio} |"


def _make(make: Make, path: Path, num_rows: int) -> None:
    """Make a file in a process of its own: what it keeps in memory is none of a peak's."""
    process = Process(target=make, args=(path, num_rows))
    process.start()
    process.join()


def _files(
    make: Make,
    suffix: str,
    peer: str,
    *,
    ours: str = L2NORM,
    num_rows: int = NUM_ROWS,
    marginal: bool = True,
) -> Callable[[Path], Pair]:
    def prepare(folder: Path) -> Pair:
        source, small = folder / f"source{suffix}", folder / f"small{suffix}"
        _make(make, source, num_rows)
        _make(make, small, SMALL_ROWS)
        command = Command(ours, source, small if marginal else None, suffix)
        return command, replace(command, line=peer)

    return prepare


def _half(path: Path, num_rows: int) -> None:
    files.make_npy(path, num_rows, "f2")


def _store(path: Path, num_rows: int) -> None:
    files.make_store(path, 64, max(1, num_rows // 64))


def _small_shards(path: Path, num_rows: int) -> None:
    files.make_store(path, 2000, 33)


def _growth(folder: Path) -> Pair:
    small, one, four = (folder / f"{n}.npy" for n in (SMALL_ROWS, NUM_ROWS, 4 * NUM_ROWS))
    for path in (small, one, four):
        _make(files.make_npy, path, int(path.stem))
    return Command(L2NORM, four, small, ".npy"), Command(L2NORM, one, small, ".npy")


def _start(peer: str, *, cached: bool) -> Callable[[Path], Pair]:
    def prepare(folder: Path) -> Pair:
        source = folder / "small.npy"
        _make(files.make_npy, source, SMALL_ROWS)
        line = L2NORM if cached else f"L2NORM_CACHE_DIR=$(mktemp -d -p {folder}) {L2NORM}"
        command = Command(line, source, suffix=".npy")
        return command, replace(command, line=peer)

    return prepare


def _npy(peer: str, **others: str) -> Callable[[Path], Pair]:
    return _files(files.make_npy, ".npy", peer, **others)  # type: ignore[arg-type]


def _npy_script(title: str, peer: str, needs: str = "") -> Comparison:
    prepare = _files(files.make_npy, ".npy", peer, marginal=False)
    return Comparison("npy, float32", title, WHOLE, prepare, needs)


def _parquet(title: str, peer: str, needs: str = "") -> list[Comparison]:
    return [
        Comparison(f"Parquet, {name}", title, MARGINAL, _files(make, ".parquet", peer), needs)
        for name, make in (("list", files.make_list), ("fixed_size_list", files.make_fixed))
    ]


COMPARISONS = [
    Comparison("npy, float32", "`cp`", MARGINAL, _npy(peers.COPY)),
    Comparison("npy, float16", "`cp`", MARGINAL, _files(_half, ".npy", peers.COPY)),
    Comparison(
        "npy, float32, TensorFlow",
        "`cp`",
        MARGINAL,
        _npy(peers.COPY, ours=f"{L2NORM} --backend tensorflow"),
    ),
    Comparison(
        "npy, float32, axis 0", "`cp`", MARGINAL, _npy(peers.COPY, ours=f"{L2NORM} --axis 0")
    ),
    Comparison("npy, 2.5 GB, by the byte", "the same, 0.6 GB", MARGINAL, _growth, scale=4),
    _npy_script("five lines of NumPy", peers.NUMPY),
    _npy_script("five lines of scikit-learn", peers.SKLEARN, "sklearn"),
    _npy_script("faiss, in memory", peers.FAISS, "faiss"),
    Comparison("npy, pipe", "`cat \\| cat`", MARGINAL, _npy(peers.PIPE, ours=PIPE)),
    Comparison(
        "store, 64 npy of 9.6 MB",
        "`cp -r`",
        MARGINAL,
        _files(_store, "", peers.COPY_FOLDER),
    ),
    Comparison(
        "store, 2,000 npy of 101 kB",
        "`cp -r`",
        WHOLE,
        _files(_small_shards, "", peers.COPY_FOLDER, marginal=False),
    ),
    Comparison("npy, check", "`cat`", MARGINAL, _npy(peers.READ, ours=CHECK)),
    Comparison("npy, `--verify`", "without", MARGINAL, _npy(L2NORM, ours=f"{L2NORM} --verify")),
    Comparison(
        "HDF5, contiguous",
        "`h5repack`",
        MARGINAL,
        _files(files.make_contiguous, ".h5", peers.H5REPACK),
        "h5repack",
    ),
    Comparison(
        "HDF5, shuffle and gzip 4, 154 MB",
        "`h5repack`, recompressing",
        MARGINAL,
        _files(files.make_gzipped, ".h5", peers.H5REPACK_AGAIN, num_rows=NUM_ROWS // 4),
        "h5repack",
    ),
    *_parquet("pyarrow, by row groups", peers.PYARROW),
    *_parquet("Polars, scan and sink", peers.POLARS, "polars"),
    *_parquet("DuckDB, `COPY`", peers.DUCKDB, "duckdb"),
    Comparison("10 rows, start", "`import numpy`", WHOLE, _start(peers.IMPORT_NUMPY, cached=True)),
    Comparison(
        "10 rows, start",
        "`import sklearn.preprocessing`",
        WHOLE,
        _start(peers.IMPORT_SKLEARN, cached=True),
        "sklearn",
    ),
    Comparison(
        "10 rows, first start, no cache",
        "`import keras`, on JAX",
        WHOLE,
        _start(peers.IMPORT_KERAS, cached=False),
    ),
]


def _is_there(needs: str) -> bool:
    return not needs or bool(importlib.util.find_spec(needs) or shutil.which(needs))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("words", nargs="*")
    args = parser.parse_intermixed_args()
    print("| | against | | ratio | from, to | ours | theirs | peak |")
    print("|---" * 8 + "|")
    for comparison in COMPARISONS:
        if all(word in comparison.label for word in args.words) and _is_there(comparison.needs):
            print(comparison.row(args.folder, args.runs), flush=True)


if __name__ == "__main__":
    main()
