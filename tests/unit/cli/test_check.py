"""``l2norm check`` as a user runs it: what it prints, where, and its exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest

from l2cli.checking.bars import bars_of
from l2cli.checking.histogram import NormHistogram
from l2cli.cli.bars import draw
from tests.support.commands import PROGRAM, SAMPLES, l2norm
from tests.unit.checking.test_check import unit_rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    path = tmp_path / "unit.npy"
    np.save(path, unit_rows())
    return path


def test_yes(unit: Path) -> None:
    done = l2norm("check", unit.name, cwd=unit.parent)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "unit.npy: 500 × 20 float32"
    assert lines[1] == "  500 rows: 500 unit"
    assert lines[2].startswith("  norms: ")
    assert lines[2].endswith("at most, 1e-06 allowed")
    assert lines[3:] == ["yes: all 500 rows are unit"]


def test_no(unit: Path) -> None:
    rows = np.load(unit)
    rows[123] *= 1.5
    rows[300] = 0
    np.save(unit, rows)
    done = l2norm("check", unit.name, cwd=unit.parent)
    assert (done.code, done.err) == (1, "")
    assert "\n  500 rows: 498 unit, 1 not unit, 1 zero\n" in done.out
    assert "\n  not unit: row 123 (norm 1.5)\n" in done.out
    assert done.out.splitlines()[-1] == "no: 1 of 500 rows is not unit"


def test_quiet_and_json(unit: Path) -> None:
    quiet = l2norm("check", unit, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    report = json.loads(l2norm("check", unit, "--json").out)
    assert report["is_unit"] is True
    summary = report["files"][0]["arrays"][0]["figures"]
    assert (summary["num_rows"], summary["unit"]) == (500, 500)
    assert summary["norms"]["smallest"] <= 1 <= summary["norms"]["largest"]


@pytest.mark.parametrize("backends", [("jax", "tensorflow")], ids="-".join)
def test_backends_agree(unit: Path, backends: tuple[str, ...]) -> None:
    on_jax, on_tensorflow = (
        json.loads(l2norm("check", unit, "--json", "--backend", backend, backend=backend).out)
        for backend in backends
    )
    assert on_tensorflow["figures"] == on_jax["figures"]


def test_a_store_names_only_what_is_not_unit(tmp_path: Path, unit: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    for index in range(3):
        np.save(folder / f"{index}.npy", np.load(unit) * (2 if index == 1 else 1))
    (folder / "3.npy").write_bytes(unit.read_bytes()[:1000])
    done = l2norm("check", "store", cwd=tmp_path)
    assert done.code == 3
    assert done.err.startswith("l2norm: store/3.npy is cut off")
    assert done.err.count("\n") == 1
    assert [line.split(":")[0] for line in done.out.splitlines() if line.startswith("store")] == [
        "store/1.npy"
    ]
    assert "\nall arrays\n  1,500 rows: 1,000 unit, 500 not unit\n" in done.out
    assert done.out.splitlines()[-1] == (
        "no: 500 of 1,500 rows in 3 arrays are not unit; 1 of 4 files could not be read"
    )


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_a_pipe(unit: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [*PROGRAM, "check", *arguments], input=unit.read_bytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"standard input: 500")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.npy"], 3, "no.npy can't be read: No such file"),
        (["unit.npy", "--tolerance", "-1"], 2, "tolerance is -1.0, expected a finite number"),
        (["unit.npy", "--zero-rows", "keep"], 2, "'keep' is not one of"),
        (["unit.npy", "-s", "emb"], 3, "holds no array 'emb'"),
        (["unit.npy", "--from", "npz"], 3, "unit.npy is a damaged zip archive"),
        (["-", "-"], 2, "standard input can be read once; name - once"),
        (["unit.npy", "--device", "gpu"], 2, "jax sees no GPU"),
    ],
)
def test_bad_input_gets_one_line(unit: Path, arguments: list[str], code: int, message: str) -> None:
    done = l2norm("check", *arguments, cwd=unit.parent)
    assert message in done.err
    assert done.err.startswith("l2norm: ")
    assert (done.err.count("\n"), done.code, done.out) == (1, code, "")


def on_terminal(columns: int) -> str:
    """Return what a terminal of that width shows of a check of the sample."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "check", str(SAMPLES / "glove-50d.npy")],
        stdout=follower,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": str(columns)},
    ) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        assert process.stderr is not None
        assert b"l2norm:" not in process.stderr.read()
    os.close(leader)
    assert process.returncode == 1
    return shown.decode()


def test_a_wide_terminal_gets_a_histogram() -> None:
    assert "█" in on_terminal(80)
    assert "█" not in on_terminal(60)


def test_the_histogram_shows_one_row_beside_a_million() -> None:
    unit, not_unit = NormHistogram(), NormHistogram()
    unit.add(np.ones(1_000_000))
    not_unit.add(np.array([0.5, 9.0]))
    lines = draw(bars_of(unit, not_unit, NormHistogram())).splitlines()
    *bars, axis, scale = lines
    assert all("█" in line for line in bars)
    assert bars[-1].count("▁") + bars[-1].count("▂") == 2
    left, one, right = axis.split()
    assert float(left) == pytest.approx(0.5, rel=0.05)
    assert float(right) == pytest.approx(9, rel=0.05)
    assert one == "1"
    assert scale.strip() == "heights by logarithm, the highest bar 1,000,000 rows"
    assert max(map(len, map(click.unstyle, lines))) <= 80


def test_names_can_not_drive_the_terminal(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"r\x1b[31m\n": np.ones((2, 2))}
    np.savez(tmp_path / "x.npz", **arrays)
    done = l2norm("check", "x.npz", cwd=tmp_path)
    assert "\x1b" not in done.out + done.err
    assert "r\\x1b[31m\\n" in done.out


def test_the_page_names_options_and_no_parameters(unit: Path) -> None:
    np.savez(unit.parent / "two.npz", emb=unit_rows(), embedding=unit_rows())
    done = l2norm("check", unit.name, "two.npz", "--report", "x.html", cwd=unit.parent)
    page = (unit.parent / "x.html").read_text(encoding="utf-8")
    assert (done.code, "-s emb or -s embedding" in done.err) == (3, True)
    assert "choose with -s emb or -s embedding; -s takes several names" in page
    assert "`" not in page
