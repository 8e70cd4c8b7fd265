"""The benchmark's command line: what it writes, keeps, measures again and refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scripts import benchmark
from scripts.bench import report, tables
from scripts.bench.cases import JAXODE, SAME, Case
from scripts.bench.measure import blanks, measure
from scripts.bench.rows import FAILED
from scripts.bench.sides import Outcome, Ready

ASKED_FOR = {
    *(
        "framework",
        "variant",
        "gradient",
        "batch",
        "tolerance",
        "ms_median",
        "ms_min",
        "ms_max",
        "images_per_second",
    ),
    *("compile_seconds", "memory_mb", "nfe_forward", "nfe_backward", "device", "versions"),
}
SMALL = Case("test", batch=2, width=4, runs=1)


def test_what_is_measured_is_kept_when_the_rest_is_killed(tmp_path, monkeypatch):
    def killed_at_the_second(case, runs, threads):
        if (tmp_path / "benchmark.json").exists():
            raise KeyboardInterrupt
        return list(blanks(case, runs, threads).values())

    monkeypatch.setattr(benchmark, "measure", killed_at_the_second)
    monkeypatch.setattr(benchmark, "confine", lambda threads: 1)
    assert benchmark.main(["--quick", "--only", "precision", "--out", str(tmp_path)]) == 130
    assert len(report.read(tmp_path)) == 2


def solved(case, problem, side):
    """A side that has solved, without solving."""
    outcome = Outcome(np.ones((2, 6, 6, 4)), nfe_forward=32, accepted=5, rejected=0)
    return Ready(lambda: None, outcome, 0.1, 1.0, "cpu: any", field=lambda: None)


def test_the_command_writes_everything_goes_on_and_measures_what_changed(
    tmp_path, capsys, monkeypatch
):
    calls = []

    def counted(case, runs, threads):
        calls.append(case.name)
        return measure(case, runs, threads, solved)

    monkeypatch.setattr(benchmark, "measure", counted)
    monkeypatch.setattr("scripts.bench.measure.pose", lambda case: None)
    monkeypatch.setattr("scripts.bench.measure.exact", lambda case: np.full((2, 6, 6, 4), 2.0))
    monkeypatch.setattr(benchmark, "confine", lambda threads: 1)
    words = [
        "--quick",
        "--only",
        "precision",
        "--width",
        "4",
        "--batch",
        "2",
        "--runs",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert benchmark.main(words) == 0
    assert len(calls) == 2
    rows = json.loads((tmp_path / "benchmark.json").read_text())
    assert [row["framework"] for row in rows] == ["jaxode", "PyTorch"] * 2
    assert all(set(row) >= ASKED_FOR and row["error"] > 0 for row in rows)
    assert all(row["outside_ms_per_step"] is not None for row in rows)
    assert "| 0.0001 | PyTorch, same steps |" in (tmp_path / "benchmark.md").read_text()
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert "4 rows measured" in capsys.readouterr().out
    assert benchmark.main(words) == 0
    assert len(calls) == 2
    assert benchmark.main([*words, "--runs", "1"]) == 0
    assert len(calls) == 4


def test_a_failed_case_is_measured_again():
    row = blanks(SMALL, 1, 1)[JAXODE]
    rival = blanks(SMALL, 1, 1)[SAME]
    assert benchmark.done(SMALL, [row, rival], 1, 1)
    assert not benchmark.done(SMALL, [row, replace(rival, status=FAILED)], 1, 1)
    assert not benchmark.done(SMALL, [row, replace(rival, commit="another")], 1, 1)
    assert not benchmark.done(SMALL, [row], 1, 1)


def test_what_was_aimed_at_is_judged_on_a_quiet_machine_only():
    rows = blanks(replace(SMALL, group="gradient", gradient="backsolve"), 1, 1)
    fast = replace(
        rows[SAME], ratio_median=1.3, ratio_min=1.0, ratio_max=1.5, ms_median=1.0, device="gpu: a"
    )
    assert "| 1.2 | 1.30 (1.00–1.50) | yes |" in tables.targets_table([fast])[2]
    assert "| no |" in tables.targets_table([replace(fast, ratio_median=1.1)])[2]
    assert "not decided" in tables.targets_table([replace(fast, others_busy=1.0)])[2]
    assert (
        "| 2.7 | 1.30 (1.00–1.50) | no |"
        in tables.targets_table([replace(fast, device="cpu: a")])[2]
    )
    swept = replace(fast, device="cpu: a", group="width", gradient="tape", batch=32)
    assert "| 2 | 1.30 (1.00–1.50) | no |" in tables.targets_table([swept])[2]
    assert not tables.targets_table([replace(swept, batch=8)])
    assert not tables.targets_table([rows[JAXODE]])


def test_the_header_states_that_files_were_changed():
    commit = "04caadff4" + 31 * "0"
    (row,) = blanks(replace(SMALL, rivals=()), 1, 1).values()
    assert "commit 04caadff4-dirty" in report.facts([replace(row, commit=f"{commit}-dirty")])
    assert "-dirty" not in report.facts([replace(row, commit=commit)])


def test_the_list_measures_nothing(capsys, tmp_path):
    assert benchmark.main(["--list", "--only", "stock"]) == 0
    assert capsys.readouterr().out.startswith("stock: ODENet 1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "nothing"], "--only must be part of a case's name"),
        (["--runs", "0"], "--runs must be"),
        (["--threads", "9999"], "--threads must be at most"),
        (["--batch", "-1"], "--batch must be"),
        (["--width", "33"], "--width must be at most 32"),
        (["--quik"], "unknown flag --quik: did you mean --quick?"),
    ],
)
def test_a_wrong_request_is_one_line(words, message, capsys):
    assert benchmark.main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["{", '[{"case": 1}]', "3"])
def test_foreign_results_are_not_overwritten(tmp_path, text, capsys):
    (tmp_path / "benchmark.json").write_text(text)
    assert benchmark.main(["--quick", "--out", str(tmp_path)]) == 2
    assert "holds no results of this benchmark" in capsys.readouterr().err
    assert (tmp_path / "benchmark.json").read_text() == text
