"""The check of a GPU, rehearsed on a CPU: its parts, what a failure and the end of time leave."""

from __future__ import annotations

import json
import sys
import time

import pytest

from scripts import gpu_check
from scripts.bench.cases import SAME
from scripts.gpu import children, gradient_modes, parity_cells, report, speed, training
from scripts.gpu.children import COMPLETE, FAILED, NOT_STARTED, OUT_OF_TIME, Ended
from scripts.gpu.parts import PARTS
from scripts.gpu.row import FULL, TINY, Row, within


def test_a_gradient_mode_is_compared_with_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gradient_modes, "PRECISIONS", ("float64",))
    monkeypatch.setattr(gradient_modes, "trained", lambda *settings: Row(*settings[:2]))
    rows = list(gradient_modes.measure("tape", TINY, tmp_path))
    by_name = {row.name: row for row in rows}
    assert by_name["float64: gradient"].limit == 1e-10
    assert all(row.passed is not False for row in rows)
    assert "float64: training" in by_name


@pytest.mark.slow
def test_the_whole_check_at_tiny_sizes(tmp_path):
    """Thirteen minutes on 2 cores."""
    assert gpu_check.main(["--tiny", "--minutes", "60", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu_check.json").read_text(encoding="utf-8"))
    assert {part["status"] for part in found["parts"]} == {COMPLETE}
    assert (tmp_path / "benchmark" / "benchmark.md").exists()


def test_one_part_is_a_process_whose_rows_reach_the_page(tmp_path):
    """As in the whole check, with the part that needs the least time."""
    flags = ["--tiny", "--minutes", "4", "--only", "training", "--out", str(tmp_path)]
    assert gpu_check.main(flags) == 0
    page = (tmp_path / "gpu_check.md").read_text(encoding="utf-8")
    assert "sample: epochs done | 2" in page


def test_every_part_and_cell_exists():
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert len(parity_cells.core()) == len(parity_cells.CORE)
    cases = speed.cases(FULL)
    assert len({case.name for case in cases}) == len(cases)
    assert cases[0].rivals == (SAME,)


def command(text):
    return [sys.executable, "-c", text]


def test_a_failure_and_the_end_of_the_time_lose_nothing(tmp_path):
    rows = tmp_path / "rows.jsonl"
    writes = f"f = open({str(rows)!r}, 'w', buffering=1)"
    lines = [json.dumps({"date": "today"}), json.dumps({"part": "p", "name": "n", "value": 1.5})]
    text = f"{writes}\nfor line in {lines!r}: f.write(line + chr(10))\nf.write('{{\"part\": ')\n"
    work = [
        ("good", command("pass")),
        ("bad", command("raise ValueError('reason')")),
        ("long", command(f"{text}\nf.flush()\nimport time\ntime.sleep(60)")),
        ("never", command("pass")),
    ]
    ended = children.run(work[:2], tmp_path, time.monotonic() + 30, together=2)
    ended += children.run(work[2:], tmp_path, time.monotonic() + 3)
    status = {part.name: part.status for part in ended}
    assert status == {
        "good": COMPLETE, "bad": FAILED, "long": OUT_OF_TIME, "never": NOT_STARTED
    }  # fmt: skip
    assert next(part for part in ended if part.name == "bad").note.endswith("ValueError: reason")
    assert children.read(rows) == ({"date": "today"}, [Row("p", "n", 1.5)])
    assert children.read(tmp_path / "none") == (None, [])


def test_only_what_does_not_hold_fails():
    rows = [Row("a", "x", 1.0, aim=3.0), within("a", "y", 1e-3, None), within("a", "z", 1.0, 2.0)]
    ended = [Ended("a", OUT_OF_TIME), Ended("b", COMPLETE)]
    assert report.failures(ended, rows) == 0
    assert report.failures(ended, [*rows, within("a", "w", float("nan"), 1.0)]) == 1
    assert report.failures([Ended("a", FAILED)], rows) == 1
    page = report.page(None, ended, rows)
    assert "not reached" in page
    assert "1 checks hold, 0 do not; 2 figures reported; 1 of 2 parts ran out of time" in page


@pytest.mark.parametrize(
    ("flags", "words"),
    [([], "no NVIDIA driver"), (["--only", "nothing"], "--only must be in one of gradient tape")],
)
def test_a_wrong_request_is_one_line(flags, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert gpu_check.main([*flags, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_a_published_row_is_trained_where_there_is_data(tmp_path):
    words = training.command(tmp_path, tmp_path, "cifar10", "ODENet", FULL)
    assert words[1:] == [
        *("-m", "scripts.reproduce", "cifar10", "--scale", "full", "--only", "ODENet"),
        *("--data-dir", str(tmp_path), "--out", str(tmp_path)),
    ]
