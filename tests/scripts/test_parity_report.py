"""The report's command line: what it writes, what it refuses, and that a failing cell fails the
command.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from scripts import parity_report, unfinished
from scripts.parity.bounds import BOUNDS, Bound
from scripts.parity.measure import Row

KEYS = {
    "subject",
    "solver",
    "gradient",
    "stepping",
    "dtype",
    "tolerance",
    "output_error",
    "gradient_error",
}
KEYS |= {"steps_jax", "steps_torch", "nfe_jax", "nfe_torch", "status", "reason"}
ONE = "linear"
"""Part of one cell's name, a cheap one."""


def test_all_cells_are_listed(capsys):
    assert parity_report.main(["--list"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert len(names) == len(set(names)) >= 200


def test_a_report_of_one_cell(tmp_path, capsys):
    out = tmp_path / "report"
    assert parity_report.main(["--only", ONE, "--out", str(out)]) == 0
    assert "written to" in capsys.readouterr().out
    rows = json.loads((out / "parity.json").read_text())
    assert all(set(row) >= KEYS for row in rows)
    assert [row["status"] for row in rows].count("pass") == len(parity_report.selected(ONE))
    assert all(row["reason"] for row in rows if row["status"] == "out-of-reach")
    table = (out / "parity.md").read_text()
    assert all(
        word in table for word in (f"--only {ONE}", "jax 0.", "torchdiffeq 0.", "diffrax 0.")
    )
    assert (out / "parity.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_report_goes_on(tmp_path, monkeypatch, capsys):
    measured, row = [], Row("linear", "", "", "", "float64", None, 1e-16, 1e-16, status="pass")

    def interrupted(cell):
        measured.append(cell.name)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return replace(row, dtype=cell.dtype)

    monkeypatch.setattr(unfinished, "commit", lambda: "abc")
    monkeypatch.setattr(parity_report, "measure", interrupted)
    words = ["--only", ONE, "--out", str(tmp_path)]
    assert parity_report.main(words) == 130
    assert parity_report.main(words) == 0
    stopped, there = capsys.readouterr().err.splitlines()
    assert stopped.endswith("stopped by SIGINT; the same command goes on from here")
    assert "1 cells are there" in there
    assert measured == ["linear-float64", "linear-float32", "linear-float32"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parity.json",
        "parity.md",
        "parity.png",
    ]


@pytest.mark.parametrize(
    ("first", "second"), [("abc", "abd"), ("abc-dirty", "abc-dirty"), (None, None)]
)
def test_results_of_other_or_unknown_source_are_not_reused(first, second, tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "commit", lambda: first)
    unfinished.Unfinished(tmp_path).add("cell", {"error": 1.0})
    monkeypatch.setattr(unfinished, "commit", lambda: second)
    assert unfinished.Unfinished(tmp_path).results == {}


def test_a_cell_that_fails_fails_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(BOUNDS, ("float32", "output"), Bound(0.0, "nothing is that near"))
    assert parity_report.main(["--only", ONE, "--out", str(tmp_path)]) == 1
    assert "fail: linear" in capsys.readouterr().err


def test_a_part_of_the_cells_is_not_written_over_a_map_of_more(tmp_path, capsys):
    (tmp_path / "parity.json").write_text(json.dumps([{}] * 300))
    assert parity_report.main(["--only", ONE, "--out", str(tmp_path)]) == 2
    assert "--only leaves out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["parity.json"]


@pytest.mark.parametrize(
    "words", [["--only", "no such cell"], [], ["--out", "FILE"], ["--only", ONE, "--ou", "x"]]
)
def test_wrong_requests(words, tmp_path, capsys):
    (tmp_path / "file").touch()
    words = [str(tmp_path / "file") if word == "FILE" else word for word in words]
    assert parity_report.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m scripts.parity_report: error: ")


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"results": {}}',
        '{"origin": ORIGIN, "results": {"cell": 5}}',
        '{"origin": ORIGIN, "results": []}',
    ],
)
def test_files_of_other_programs_are_not_reused(tmp_path, monkeypatch, content):
    monkeypatch.setattr(unfinished, "commit", lambda: "abc")
    unfinished.Unfinished(tmp_path).add("cell", {"error": 1.0})
    assert unfinished.Unfinished(tmp_path).results == {"cell": {"error": 1.0}}
    path = tmp_path / ".unfinished.json"
    origin = json.loads(path.read_text())["origin"]
    path.write_text(content.replace("ORIGIN", json.dumps(origin)))
    assert unfinished.Unfinished(tmp_path).results == {}
    path.unlink()
    os.mkfifo(path)
    assert unfinished.Unfinished(tmp_path).results == {}
