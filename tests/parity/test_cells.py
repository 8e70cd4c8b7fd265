"""Every quick cell of the parity map, in float64 and float32: the same numbers, steps and evaluations as PyTorch."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from scripts.parity.bounds import BOUNDS, gradient_bound
from scripts.parity.cells import Cell, cells
from scripts.parity.limits import unreachable
from scripts.parity.measure import FAIL, OUT_OF_REACH, PASS, judge, measure
from scripts.parity.training import measure_training, trainings

CELLS = list(cells())
TRAININGS = list(trainings())


@pytest.mark.parametrize("cell", [c for c in CELLS if c.quick], ids=lambda c: c.name)
def test_cell(cell, x64):
    row = measure(cell)
    assert row.status == PASS, row


@pytest.mark.parametrize("training", [t for t in TRAININGS if t.quick], ids=lambda t: t.name)
def test_training(training, x64):
    row = measure_training(training)
    assert row.status == PASS, row


def test_the_map_is_large_and_names_every_cell_once():
    names = [cell.name for cell in CELLS] + [f"{t.name} {t.solve and t.solve.gradient}" for t in TRAININGS]
    assert len(set(names)) == len(names) >= 200


def test_the_bounds_are_those_promised():
    promised = {"output": 1e-11, "exact": 1e-10, "backsolve": 1e-9, "training": 1e-9}
    assert {what: BOUNDS["float64", what].limit for what in promised} == promised
    assert gradient_bound("float64", "backsolve").limit == promised["backsolve"]
    assert gradient_bound("float64", "checkpointed").limit == gradient_bound("float64", "").limit == promised["exact"]


@pytest.mark.parametrize(("output", "gradient"), [(2e-11, 0.0), (0.0, 2e-10), (float("nan"), 0.0)])
def test_an_error_above_its_bound_fails(output, gradient):
    row = judge(Cell(CELLS[0].subject), output=output, gradient=gradient, stats=None, counts=[])
    assert row.status == FAIL
    assert "error" in row.reason


def test_what_is_out_of_reach_says_why():
    rows = unreachable()
    assert {row.status for row in rows} == {OUT_OF_REACH}
    assert all(len(row.reason) > 20 for row in rows)
