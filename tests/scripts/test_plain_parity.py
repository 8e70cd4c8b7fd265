"""The map of plain torchdiffeq: its cells, a measured one, and what a difference would say."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("torchdiffeq")

from scripts import plain_parity
from scripts.parity import plain
from scripts.parity.plain_cells import plain_cells
from scripts.parity.plain_sides import Found, settings, theirs
from scripts.parity.plain_truth import Differences, TorchErrors, errors_of_torch, moved_by_rounding

CELLS = list(plain_cells())
FOUND = Found([np.ones(2)], [np.ones(3)], 8, None, (1, 0, 0, 0), np.linspace(0, 1, 8))


def test_every_combination_is_a_cell():
    assert len(CELLS) == len({cell.name for cell in CELLS}) == 696


def test_every_cell_has_settings():
    made = {settings(cell.solver, cell.gradient, cell.setting).gradient for cell in CELLS}
    assert made == {"tape", "checkpointed", "backsolve"}


def test_a_cell_is_measured_and_written(tmp_path, capsys):
    flags = ["--only", "euler, direct, tuple, one, rising, 0.07", "--out", str(tmp_path)]
    assert plain_parity.main(flags) == 0
    rows = json.loads((tmp_path / "plain.json").read_text(encoding="utf-8"))
    assert [row["status"] for row in rows] == ["pass"]
    assert all(row["times_error"] < 1e-13 for row in rows)
    assert "1 cells pass, 0 fail" in (tmp_path / "plain.md").read_text(encoding="utf-8")
    assert "1 cells pass" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"outputs": [np.ones(2) + 1e-9]}, "output"),
        ({"gradients": [np.ones(3) + 1e-9]}, "gradient"),
        ({"outputs": [np.array([1.0, np.nan])]}, "output inf"),
        ({"gradients": [np.array([np.nan, 1.0, 1.0])]}, "gradient inf"),
        ({"forward": 9}, "evaluations differ"),
        ({"steps": (1, 1, 0, 0)}, "steps differ"),
        ({"times": FOUND.times + 1e-6}, "times of evaluations differ"),
        ({"times": FOUND.times[1:]}, "times of evaluations differ"),
    ],
)
def test_a_difference_fails(changed, reason, monkeypatch):
    monkeypatch.setattr(plain, "ours", lambda cell: replace(FOUND, **changed))
    monkeypatch.setattr(plain, "theirs", lambda cell: FOUND)
    stub_truth(monkeypatch, Differences(0, 0, 0), TorchErrors(9, 9))
    row = plain.measure(CELLS[0])
    assert row.status == "fail"
    assert reason in row.reason
    json.dumps(asdict(row), allow_nan=False)
    assert "## Failing" in plain.markdown([row], "facts")


def stub_truth(monkeypatch, moves, errors):
    monkeypatch.setattr(plain, "moved_by_rounding", lambda cell, found: moves)
    monkeypatch.setattr(plain, "times_moved", lambda cell, found: moves.times)
    monkeypatch.setattr(plain, "errors_of_torch", lambda cell, found: errors)


@pytest.mark.parametrize(
    ("moves", "errors", "changed_by", "status"),
    [
        (Differences(1e-9, 0, 0), TorchErrors(0.2, 0), {}, "out-of-reach"),
        (Differences(1e-9, 0, 0), TorchErrors(0, 2.0), {}, "out-of-reach"),  # of 1e-3
        (Differences(1e-9, 0, 0), TorchErrors(0.09, 0.09), {}, "fail"),  # torchdiffeq is right
        (Differences(1e-11, 1, 0), TorchErrors(3.5, 9), {}, "fail"),  # well conditioned
        (Differences(1e-9, 0, 1), TorchErrors(3.5, 9), {"steps": (1, 1, 0, 0)}, "fail"),
    ],
)
def test_out_of_reach_is_where_torchdiffeq_is_ill_conditioned_and_wrong(
    moves, errors, changed_by, status, monkeypatch
):
    changed = replace(FOUND, outputs=[np.ones(2) + 1e-9], **changed_by)
    monkeypatch.setattr(plain, "ours", lambda cell: changed)
    monkeypatch.setattr(plain, "theirs", lambda cell: FOUND)
    stub_truth(monkeypatch, moves, errors)
    row, steps = plain.measure(CELLS[0]), "steps" in changed_by
    assert row.status == status
    assert ("against SciPy" in row.reason) == (errors != TorchErrors(0.09, 0.09) and not steps)


def test_torchdiffeqs_adams_method_is_unstable_at_a_step_of_a_49th():
    """Against SciPy it is wrong by the solution's size, and it multiplies a rounding by 10⁵."""
    for cell in CELLS:
        if cell.name.startswith("explicit_adams, direct, tensor, one, rising"):
            found = theirs(cell)
            unstable = cell.setting < 0.05
            assert (errors_of_torch(cell, found).output > 1) == unstable
            assert (moved_by_rounding(cell, found).output > 1e-11) == unstable


def test_an_unknown_name_is_refused(capsys):
    assert plain_parity.main(["--only", "none such"]) == 2
    assert "--only must be part of a cell's name" in capsys.readouterr().err


def test_a_whole_map_is_not_overwritten_by_a_part(tmp_path, capsys):
    (tmp_path / "plain.json").write_text(json.dumps([{}] * 696), encoding="utf-8")
    assert plain_parity.main(["--only", "euler, direct", "--out", str(tmp_path)]) == 2
    assert "--only leaves out 680 cells of the map" in capsys.readouterr().err
